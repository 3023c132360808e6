"""create_pretraining_data.py from the command line to the files it leaves."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.pretraining import create
from bert_tf.data.pretraining.corpus import Corpus
from bert_tf.data.pretraining.options import PretrainingDataOptions
from bert_tf.errors import UserError
from tests import tiny


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    texts = tiny.sentences(600, seed=5)[0]
    documents = ["\n".join(texts[i : i + 3]) for i in range(0, len(texts), 3)]
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(tiny.TOKENS) + "\n", encoding="utf-8")
    return path


def options(**values):
    values = {k: str(v) if isinstance(v, os.PathLike) else v for k, v in values.items()}
    return PretrainingDataOptions(given=frozenset(values), **values)


def script(**values):
    """The program as a process of its own, started."""
    flags = [f"--{name}={value}" for name, value in values.items()]
    return subprocess.Popen(
        [sys.executable, str(tiny.ROOT / "create_pretraining_data.py"), *flags],
        env=tiny.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_packed_rows(text_file, vocab_file, tmp_path):
    report = create.run(
        options(
            input_file=text_file, vocab_file=vocab_file, output_dir=tmp_path / "rows",
            max_seq_length=16, num_shards=2, validation_fraction=0.1,
        )
    )  # fmt: skip
    corpus = Corpus.open(tmp_path / "rows")
    assert corpus.manifest["documents"] == 200
    assert f"{corpus.rows('train'):,} training rows of 16 tokens in 2 shards" in report
    assert f"{corpus.rows('validation'):,} validation rows" in report


def test_vocabulary_and_case_of_a_model(text_file, tmp_path):
    model = tiny.make_model(tmp_path / "model", extra={"do_lower_case": False})
    values = {"input_file": text_file, "model_dir": model, "output_dir": tmp_path / "rows"}
    create.run(options(**values))
    corpus = Corpus.open(tmp_path / "rows")
    assert corpus.vocab.tokens == tiny.TOKENS
    assert corpus.manifest["do_lower_case"] is False
    with pytest.raises(UserError, match="--do_lower_case=true contradicts the checkpoint"):
        create.run(options(**values, do_lower_case=True, overwrite=True))


def test_learned_vocabulary(text_file, tmp_path):
    create.run(
        options(input_file=text_file, learn_vocab=True, vocab_size=90, output_dir=tmp_path / "rows")
    )
    corpus = Corpus.open(tmp_path / "rows")
    assert "story" in corpus.vocab.tokens
    rows = corpus.read("train", np.arange(corpus.rows("train")))
    assert not (rows == corpus.vocab.unk_id).any()


def test_googles_command_line(text_file, vocab_file, tmp_path):
    names = [tmp_path / "a.tfrecord", tmp_path / "b.tfrecord"]
    process = script(
        input_file=text_file, output_file=",".join(map(str, names)), vocab_file=vocab_file,
        do_lower_case=True, max_seq_length=32, max_predictions_per_seq=5, random_seed=12345,
        dupe_factor=2, masked_lm_prob=0.15, short_seq_prob=0.1, do_whole_word_mask=False,
    )  # fmt: skip
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    records = [list(tf.data.TFRecordDataset(str(name))) for name in names]
    assert len(records[0]) - len(records[1]) in (0, 1)
    assert f"{sum(map(len, records)):,} examples of 200 documents" in out
    example = tf.train.Example.FromString(records[0][0].numpy())
    sizes = {
        name: len(feature.int64_list.value or feature.float_list.value)
        for name, feature in example.features.feature.items()
    }
    assert sizes == {
        **dict.fromkeys(["input_ids", "input_mask", "segment_ids"], 32),
        **dict.fromkeys(["masked_lm_positions", "masked_lm_ids", "masked_lm_weights"], 5),
        "next_sentence_labels": 1,
    }


def test_killed_run_leaves_no_folder_and_is_run_again(vocab_file, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(" . ".join(tiny.sentences(2000)[0]) + "\n", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")  # never written to: the program waits for its second file
    values = {"vocab_file": vocab_file, "output_dir": tmp_path / "rows", "max_seq_length": 16}
    process = script(input_file=f"{text},{tmp_path / 'pipe'}", input_format="lines", **values)
    try:
        _wait(lambda: list((tmp_path / "rows.building").glob("train-*.npy")), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not (tmp_path / "rows").exists()
    text.write_text("good film\n" * 100, encoding="utf-8")
    create.run(options(input_file=text, **values))
    assert Corpus.open(tmp_path / "rows").manifest["documents"] == 100
    assert not (tmp_path / "rows.building").exists()


def test_json_lines_in_both_formats(vocab_file, tmp_path, caplog):
    """Neither braces nor keys nor escapes become tokens, and the log says what was read."""
    caplog.set_level("INFO", logger="absl")
    texts = ["the film was good .\nso very good .\nit is fine ."] * 60
    lines = [json.dumps({"id": str(i), "url": "bad", "text": text}) for i, text in enumerate(texts)]
    path = tmp_path / "wiki_00"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = {"input_file": path, "vocab_file": vocab_file, "max_seq_length": 16}
    create.run(options(**flags, output_dir=tmp_path / "rows", validation_fraction=0.0))
    corpus = Corpus.open(tmp_path / "rows")
    tokens = {corpus.vocab.tokens[i] for i in np.unique(corpus.read("train", np.arange(3)))}
    assert tokens == {"[CLS]", "[SEP]", *" ".join(texts).split()}
    assert corpus.manifest["documents"] == 60
    assert "60 documents in 1 file, read as jsonl" in caplog.text
    report = create.run(options(**flags, output_file=tmp_path / "a.tfrecord", dupe_factor=1))
    assert "examples of 60 documents" in report


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ("good film\n" * 9, "the text is one document: pairs that are labelled random are not"),
        (
            "good film\n\n" * 9,
            "9 of 9 documents consist of one sentence, so that all their next-sentence",
        ),
        ("good film\nbad film\n\n" * 9, None),
    ],
)
def test_text_without_next_sentences_is_worth_a_warning(
    vocab_file, tmp_path, caplog, content, warning
):
    (tmp_path / "text.txt").write_text(content, encoding="utf-8")
    create.run(
        options(
            input_file=tmp_path / "text.txt", vocab_file=vocab_file,
            output_file=tmp_path / "a.tfrecord", max_seq_length=16, dupe_factor=1,
        )
    )  # fmt: skip
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert [text[: len(warning or "")] for text in warnings] == ([warning] if warning else [])


def _wait(done, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not done():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


GOOD = {"input_file": "text.txt", "vocab_file": "vocab.txt", "output_dir": "rows"}
GOOGLE = {"input_file": "text.txt", "vocab_file": "vocab.txt", "output_file": "x.tfrecord"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**GOOD, "input_file": None}, "--input_file is required"),
        ({**GOOD, "output_dir": None}, "--output_dir is required for --output_format=packed"),
        (
            {**GOOGLE, "output_format": "packed"},
            "--output_file has no effect without --output_format=google",
        ),
        ({**GOOD, "dupe_factor": 5}, "--dupe_factor has no effect without --output_format=google"),
        ({**GOOGLE, "num_shards": 5}, "--num_shards has no effect without --output_format=packed"),
        (
            {**GOOD, "output_file": "x"},
            "--output_file has no effect without --output_format=google",
        ),
        ({**GOOD, "vocab_file": None}, "--learn_vocab, found none of them"),
        ({**GOOD, "model_dir": "m"}, "found --vocab_file and --model_dir"),
        ({**GOOD, "vocab_size": 100}, "--vocab_size has no effect without --learn_vocab"),
        (
            {**GOOGLE, "vocab_file": None, "learn_vocab": True},
            "--learn_vocab has no effect without --output_format=packed: TFRecords hold no",
        ),
        ({**GOOD, "max_seq_length": 4}, "--max_seq_length=4: expected 8 or more"),
        ({**GOOGLE, "max_seq_length": 4}, "--max_seq_length=4: expected 5 or more"),
        ({**GOOD, "validation_fraction": 1.0}, r"--validation_fraction=1.0: expected a number"),
        ({**GOOD, "num_shards": 0}, r"--num_shards=0: expected a number in \[1, 400\]"),
        ({**GOOD, "num_workers": 0}, "--num_workers=0: expected 1 or more"),
        ({**GOOGLE, "masked_lm_prob": 0.0}, "--masked_lm_prob=0.0: expected a number in"),
        ({**GOOGLE, "short_seq_prob": 2.0}, "--short_seq_prob=2.0: expected a number in"),
        ({**GOOGLE, "dupe_factor": 0}, "--dupe_factor=0: expected 1 or more"),
    ],
)
def test_flags_that_are_wrong_or_without_effect(values, message):
    with pytest.raises(UserError, match=message):
        options(**{k: v for k, v in values.items() if v is not None}).check()
