"""Raw text to packed rows: nothing lost, the same bytes always, all or nothing."""

import collections
import json
import pathlib

import numpy as np
import pytest

from bert_tf import locks
from bert_tf.data.pretraining import build as build_lib
from bert_tf.data.pretraining import encoding
from bert_tf.data.pretraining.build import unigram_entropy
from bert_tf.data.pretraining.corpus import Corpus
from bert_tf.errors import UserError

CLS, SEP = 2, 3


def stream(folder, split):
    """The tokens of a split's rows, end to end, without the leading [CLS] of each."""
    corpus = Corpus.open(folder)
    rows = corpus.read(split, np.arange(corpus.rows(split)))
    assert (rows[:, 0] == CLS).all()
    return rows[:, 1:].ravel().tolist()


def documents_of(tokens):
    """The documents (list of tuples) of a stream; what follows the last [SEP] is one, too."""
    found, now = [], []
    for token in tokens:
        now.append(token)
        if token == SEP:
            found.append(tuple(now))
            now = []
    return found, now


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_no_token_is_lost(build, tokenizer, texts):
    folder, manifest = build(num_shards=1, validation_fraction=0)
    expected = [i for row in tokenizer.tokenize(texts).to_list() for i in [*row, SEP]]
    tokens = stream(folder, "train")
    assert tokens[: len(expected)] == expected
    # The last row is full: it goes on with the tokens that the split begins with.
    assert tokens[len(expected) :] == expected[: len(tokens) - len(expected)]
    assert len(tokens) - len(expected) < 15
    assert manifest["tokens"] == len(expected)
    assert manifest["documents"] == len(texts)
    assert manifest["splits"]["train"]["rows"] == manifest["rows"] == -(-len(expected) // 15)
    assert manifest["splits"]["validation"]["rows"] == 0


def test_every_document_is_in_one_split_and_whole(build, tokenizer, texts, tmp_path):
    numbered = [f"{text} " + " ".join(["story"] * (i + 1)) for i, text in enumerate(texts[:40])]
    path = tmp_path / "numbered.txt"
    path.write_text("\n".join(numbered), encoding="utf-8")
    # One shard, so that the rests of several are not in the way of reading documents back.
    folder, manifest = build(files=[str(path)], num_shards=1, validation_fraction=0.3)
    expected = {(*row, SEP) for row in tokenizer.tokenize(numbered).to_list()}
    found = {s: documents_of(stream(folder, s))[0] for s in ("train", "validation")}
    for split, documents in found.items():
        assert len(set(documents) & expected) == manifest["splits"][split]["documents"] > 0
    assert not set(found["train"]) & set(found["validation"]) & expected
    assert (set(found["train"]) | set(found["validation"])) >= expected


def test_shards_hold_what_one_shard_holds(build, tokenizer):
    one, _ = build("one", num_shards=1)
    folder, manifest = build("three", num_shards=3)
    shards = manifest["splits"]["train"]["shards"]
    assert [shard["name"] for shard in shards] == [f"train-0000{i}-of-00003" for i in range(3)]
    body = manifest["splits"]["train"]["tokens"]
    # As many of every token, but for the fill of the last row, which is under a row.
    counts = [collections.Counter(stream(path, "train")) for path in (one, folder)]
    assert sum(((counts[0] - counts[1]) + (counts[1] - counts[0])).values()) <= 2 * 15
    assert abs(sum(counts[1].values()) - body) < 15


def test_held_out_share(build):
    # At random. (academic-budget-bert deals documents out by length, the longest first to the
    # training files, so that of lengths 9, 8, ..., 1, 1 its one test file is [7].)
    _, manifest = build(validation_fraction=0.25)
    held_out = manifest["splits"]["validation"]["documents"]
    assert 0.18 < held_out / manifest["documents"] < 0.32


def test_at_least_a_row_is_held_out(build):
    folder, manifest = build(validation_fraction=1e-9)
    validation = manifest["splits"]["validation"]
    assert 15 <= validation["tokens"] < 60
    assert (
        Corpus.open(folder).rows("validation")
        == validation["rows"]
        == -(-validation["tokens"] // 15)
    )
    assert manifest["splits"]["train"]["documents"] + validation["documents"] == 300


def test_another_seed_holds_out_other_documents(build):
    a, b = (build(f"seed{seed}", seed=seed)[0] for seed in (1, 2))
    assert stream(a, "validation") != stream(b, "validation")


def test_same_bytes_with_one_and_two_processes(build, monkeypatch):
    monkeypatch.setattr(encoding, "_BLOCK_CHARACTERS", 2000)  # several blocks
    monkeypatch.setattr(build_lib, "_SMALL_CORPUS", 1)
    one, _ = build("one", num_workers=1)
    two, _ = build("two", num_workers=2)
    assert contents(one) == contents(two)
    monkeypatch.undo()
    whole, _ = build("whole")  # and however the text is cut into blocks
    assert contents(one) == contents(whole)


def test_manifest(build, tokenizer):
    folder, manifest = build()
    assert manifest == json.loads((folder / "manifest.json").read_text())
    assert manifest["fingerprint"] == tokenizer.fingerprint
    assert manifest["vocab_size"] == len(tokenizer.vocab)
    assert manifest["special_ids"] == {"pad": 0, "unk": 1, "cls": CLS, "sep": SEP, "mask": 4}
    assert manifest["sequence_length"] == 16
    assert manifest["do_lower_case"] is True
    assert manifest["input"]["formats"] == ["lines"]
    assert (folder / "vocab.txt").read_bytes() == pathlib.Path(tokenizer.vocab.path).read_bytes()
    assert (
        sum(s["rows"] for s in manifest["splits"]["train"]["shards"])
        == (manifest["splits"]["train"]["rows"])
    )


def test_unigram_entropy_leaves_the_separator_out():
    assert unigram_entropy(np.array([5, 5, 100, 0]), sep_id=2) == pytest.approx(np.log(2))


def test_interrupted_run_starts_over(build, tmp_path, monkeypatch):
    expected, _ = build("expected")
    with monkeypatch.context() as patch:
        patch.setattr(build_lib.Packer, "finish", lambda self: 1 / 0)
        patch.setattr(build_lib.shutil, "rmtree", lambda *a, **k: None)  # as after kill -9
        with pytest.raises(ZeroDivisionError):
            build("rows")
    assert not (tmp_path / "rows").exists()
    assert list((tmp_path / "rows.building").glob("train-*.npy"))
    folder, _ = build("rows")
    assert contents(folder) == contents(expected)
    assert not (tmp_path / "rows.building").exists()


def test_failed_run_leaves_nothing(build, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"good film\n\xff\n")
    with pytest.raises(UserError, match="line 2 is not UTF-8"):
        build("rows", files=[str(path)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.txt"]


def test_output_dir_in_use(build, tmp_path):
    folder, _ = build("rows", seed=1)
    before = contents(folder)
    with pytest.raises(UserError, match=r"holds pre-training data already.*--overwrite"):
        build("rows", seed=2)
    assert contents(folder) == before
    build("rows", seed=2, overwrite=True)
    assert contents(folder) != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="exists and holds no pre-training data"):
        build("mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_two_runs_do_not_write_one_folder(build, tmp_path):
    (tmp_path / "rows.building").mkdir()
    with locks.hold(tmp_path / ".rows.lock"):
        with pytest.raises(UserError, match="another process is writing"):
            build("rows")
        assert (tmp_path / "rows.building").exists()
    build("rows")
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".txt") == ["rows"]


def test_data_that_appeared_while_this_run_began_are_not_replaced(build, tmp_path, monkeypatch):
    hold = locks.hold

    def late(path):
        monkeypatch.setattr(locks, "hold", hold)
        build("rows", seed=1)
        return hold(path)

    monkeypatch.setattr(locks, "hold", late)
    with pytest.raises(UserError, match="holds pre-training data already"):
        build("rows", seed=2)
    assert json.loads((tmp_path / "rows" / "manifest.json").read_text())["seed"] == 1


@pytest.mark.parametrize("content", ["", "\n \n", "\u200b\n"])
def test_empty_corpus(build, tmp_path, content):
    path = tmp_path / "empty.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"empty\.txt: the corpus is empty, expected text"):
        build(files=[str(path)])


def test_corpus_shorter_than_a_row(build, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("good film\nbad plot\n", encoding="utf-8")
    with pytest.raises(
        UserError,
        match=r"2 documents of 6 tokens, too few for a row of 16 tokens in train: give more text",
    ):
        build(files=[str(path)], validation_fraction=0)
    path.write_text("good film " * 20, encoding="utf-8")  # one row, but nothing to hold out
    with pytest.raises(UserError, match="--validation_fraction=0 holds nothing out"):
        build(files=[str(path)])
    _, manifest = build(files=[str(path)], validation_fraction=0)
    assert manifest["rows"] == 3
