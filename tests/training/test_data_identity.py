"""A run goes on with the data that it began with, and with no others that only look like them."""

import shutil

import numpy as np
import pytest

from bert_tf.data.pretraining.build import build_corpus
from bert_tf.data.pretraining.corpus import Corpus
from bert_tf.data.pretraining.google_records import serialize, write_records
from bert_tf.errors import UserError
from bert_tf.tokenization.tokenizer import BertTokenizer
from tests import tiny

EVALUATED = {"max_eval_steps": 2, "eval_batch_size": 4, "do_eval": True}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def vocab(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(tiny.TOKENS) + "\n", encoding="utf-8")
    return path


def make_rows(folder, vocab, word="film"):
    """Packed rows of a text with another word for "film": as many rows, made in the same way."""
    texts = [text.replace("film", word) for text in tiny.sentences(400, seed=7)[0]]
    (folder / "text.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    build_corpus(
        [str(folder / "text.txt")], folder / "rows", BertTokenizer(vocab), input_format="lines",
        seq_length=16, num_shards=2, validation_fraction=0.2, overwrite=True,
    )  # fmt: skip
    return folder / "rows"


def make_records(path, seed):
    rng, records = np.random.default_rng(seed), []
    for i in range(20):
        records.append(serialize({
            "input_ids": rng.integers(5, len(tiny.TOKENS), 16),
            "input_mask": np.ones(16, np.int64),
            "segment_ids": np.zeros(16, np.int64),
            "masked_lm_positions": np.array([1, 3, 5]),
            "masked_lm_ids": rng.integers(5, len(tiny.TOKENS), 3),
            "masked_lm_weights": np.ones(3, np.float32),
            "next_sentence_labels": np.array([i % 2]),
        }))  # fmt: skip
    write_records(records, [path])
    return path


def test_other_rows_of_the_same_number_are_refused(tmp_path, vocab):
    flags = {**EVALUATED, "output_dir": tmp_path / "run"}
    rows = make_rows(tmp_path, vocab)
    tiny.pretrain(**flags, data_dir=rows, budget="2steps")
    first = Corpus.open(rows)
    shutil.move(rows, tmp_path / "moved")
    second = Corpus.open(make_rows(tmp_path, vocab, word="plot"))
    assert (first.fingerprint, first.rows("train")) == (second.fingerprint, second.rows("train"))
    with pytest.raises(UserError, match=r"training_state\.json: .* had other training rows"):
        tiny.pretrain(**flags, data_dir=rows, budget="4steps")
    found = tiny.pretrain(**flags, data_dir=tmp_path / "moved", budget="4steps")
    assert found["global_step"] == 4


@pytest.mark.parametrize("which", ["input_file", "eval_input_file"])
def test_other_records_of_the_same_number_are_refused(tmp_path, vocab, which):
    places = {name: tmp_path / f"{name}.tfrecord" for name in ("input_file", "eval_input_file")}
    flags = {
        **EVALUATED, **places, "vocab_file": vocab, "max_seq_length": 16,
        "max_predictions_per_seq": 3, "output_dir": tmp_path / "run",
    }  # fmt: skip
    for seed, path in enumerate(places.values()):
        make_records(path, seed)
    tiny.pretrain(**flags, budget="2steps")
    make_records(places[which], seed=2)
    what = "training" if which == "input_file" else "held-out"
    with pytest.raises(UserError, match=f"had other {what} records"):
        tiny.pretrain(**flags, budget="4steps")
    moved = make_records(tmp_path / "moved" / "x.tfrecord", list(places).index(which))
    assert tiny.pretrain(**{**flags, which: moved}, budget="4steps")["global_step"] == 4


def test_a_run_that_was_not_evaluated_may_be_from_now_on(tmp_path, vocab):
    flags = {"output_dir": tmp_path / "run", "data_dir": make_rows(tmp_path, vocab)}
    tiny.pretrain(**flags, budget="2steps")
    assert tiny.pretrain(**flags, do_eval=True, budget="4steps")["metrics"]


def test_other_dev_examples_are_refused_where_they_are_evaluated(tmp_path):
    data = tiny.make_sst2(tmp_path / "sst2")
    flags = {
        "do_train": True, "task_name": "sst-2", "model_dir": tiny.make_model(tmp_path / "model"),
        "data_dir": data, "max_seq_length": 16, "train_batch_size": 20, "num_train_epochs": 1.0,
        "output_dir": tmp_path / "run",
    }  # fmt: skip
    tiny.run(**flags, do_eval=True)
    rows = zip(*tiny.sentences(20, seed=5), strict=True)
    tiny.write_rows(data / "dev.tsv", [("sentence", "label"), *rows])
    with pytest.raises(UserError, match="had other dev examples"):
        tiny.run(**flags, do_eval=True)
    assert tiny.run(**flags)["global_step"] == 2
