"""Reading a data folder: what does not fit is refused, what is damaged is skipped up to a limit."""

import json
import shutil

import numpy as np
import pytest

from bert_tf.data.pretraining.corpus import Corpus
from bert_tf.errors import UserError
from bert_tf.tokenization.tokenizer import BertTokenizer


@pytest.fixture
def folder(build):
    return build()[0]


def damage(folder, row, shard="train-00000-of-00003"):
    path = folder / f"{shard}.ids.npy"
    ids = np.load(path)
    ids[row, 5] ^= 1
    np.save(path, ids)


def test_rows_in_any_order_over_all_shards(folder):
    corpus = Corpus.open(folder)
    rows = corpus.read("train", np.arange(corpus.rows("train")))
    assert rows.dtype == np.int32
    assert rows.shape == (corpus.rows("train"), corpus.seq_length)
    files = [np.load(path) for path in sorted(folder.glob("train-*.ids.npy"))]
    np.testing.assert_array_equal(rows, np.concatenate(files))
    some = np.array([7, corpus.rows("train") - 1, 0, 7])
    np.testing.assert_array_equal(corpus.read("train", some), rows[some])


def test_how_often_each_token_occurs(folder):
    corpus = Corpus.open(folder)
    rows = corpus.read("train", np.arange(corpus.rows("train")))
    counts = corpus.token_counts("train")
    np.testing.assert_array_equal(counts, np.bincount(rows.ravel(), minlength=corpus.vocab_size))
    damage(folder, 0)
    corpus = Corpus.open(folder)
    np.testing.assert_array_equal(
        corpus.token_counts("train"), counts - np.bincount(rows[0], minlength=len(counts))
    )
    assert corpus.corrupt_rows == 0  # it is training that notes them


def test_the_digest_is_of_the_rows_not_of_their_place(folder, build, tmp_path, texts):
    digests = {split: Corpus.open(folder).digest(split) for split in ("train", "validation")}
    shutil.copytree(folder, tmp_path / "copy")
    assert Corpus.open(tmp_path / "copy").digest("train") == digests["train"]
    other = tmp_path / "other.txt"
    other.write_text("\n".join(text.replace("story", "plot") for text in texts) + "\n")
    corpus = Corpus.open(build("other", files=[str(other)])[0])
    assert corpus.rows("train") == Corpus.open(folder).rows("train")
    assert all(corpus.digest(split) != digest for split, digest in digests.items())


def test_folder_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"holds no manifest\.json, expected a folder"):
        Corpus.open(tmp_path)


def test_another_vocabulary(folder, tokenizer):
    Corpus.open(folder, tokenizer.fingerprint)
    cased = BertTokenizer(tokenizer.vocab, do_lower_case=False)
    with pytest.raises(UserError, match="another vocabulary or lower-casing"):
        Corpus.open(folder, cased.fingerprint)


def test_shard_from_another_vocabulary(folder, tmp_path, build, monkeypatch):
    # The same text and shapes; ids that are valid here, but mean other words.
    with monkeypatch.context() as patch:
        patch.setattr(BertTokenizer, "fingerprint", "another")
        other, _ = build("other")
    for path in other.glob("train-00001-*"):
        shutil.copy(path, folder)
    with pytest.raises(UserError, match=r"train-00001-of-00003\.ids\.npy.*another vocabulary"):
        Corpus.open(folder)


def test_missing_shard(folder):
    (folder / "train-00002-of-00003.ids.npy").unlink()
    with pytest.raises(UserError, match=r"train-00002-of-00003\.ids\.npy: no such file"):
        Corpus.open(folder)


@pytest.mark.parametrize("kind", ["ids", "crc"])
def test_shard_of_another_size(folder, kind):
    path = folder / f"train-00001-of-00003.{kind}.npy"
    np.save(path, np.load(path)[1:])
    with pytest.raises(UserError, match=rf"train-00001-of-00003\.{kind}\.npy: the shard holds"):
        Corpus.open(folder)


def test_cut_shard(folder):
    path = folder / "train-00001-of-00003.ids.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"train-00001-of-00003\.ids\.npy: cannot read the shard"):
        Corpus.open(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99, expected 1"),
        ({"sequence_length": "16"}, "sequence_length is '16', expected int"),
        ({"splits": None}, "splits is None, expected dict"),
        ({"splits": {"train": {"shards": [{"name": 3}]}}}, "splits: shard .* of train"),
    ],
)
def test_manifest_that_is_none(folder, change, message):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        Corpus.open(folder)


def test_corrupt_rows_are_skipped_up_to_a_limit(folder):
    rows = Corpus.open(folder).read("train", np.arange(6))
    damage(folder, 1)
    damage(folder, 2)
    corpus = Corpus.open(folder, max_corrupt_rows=2)
    found = corpus.read("train", np.arange(6))
    np.testing.assert_array_equal(found, rows[[0, 3, 3, 3, 4, 5]])
    corpus.read("train", np.arange(6))  # counts every row once
    assert corpus.corrupt_rows == 2
    assert corpus.failure is None
    damage(folder, 5)
    corpus = Corpus.open(folder, max_corrupt_rows=2)
    with pytest.raises(UserError, match=r"ids\.npy: row 6 is corrupt, as are 2 more: 2 at most"):
        corpus.read("train", np.arange(6))
    assert isinstance(corpus.failure, UserError)
    first = str(corpus.failure)
    damage(folder, 7)
    with pytest.raises(UserError):  # tf.data reads ahead of what it has passed on
        corpus.read("train", np.arange(8))
    assert str(corpus.failure) == first
