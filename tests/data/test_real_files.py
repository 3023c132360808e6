"""The real files: row counts, texts and labels. Needs BERT_TF_DATA."""

import os
import pathlib

import numpy as np
import pytest

from bert_tf.data.batching import train_plan
from bert_tf.data.features import build_features
from bert_tf.data.tasks import get_task
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import load_vocab

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "BERT_TF_DATA" not in os.environ, reason="BERT_TF_DATA does not name the data folder"
    ),
]

COUNTS = [
    ("sst-2", "SST-2", (67349, 872, 1821)),
    ("cola", "CoLA", (8551, 1043, 1063)),
    ("sts-b", "STS-B", (5749, 1500, 1379)),
    ("mrpc", "MRPC", (3668, 408, 1725)),
]


def data():
    return pathlib.Path(os.environ["BERT_TF_DATA"])


def folder(name):
    return data() / "glue_data" / name


@pytest.mark.parametrize(("name", "where", "counts"), COUNTS)
def test_row_counts(name, where, counts):
    task = get_task(name)
    for split, count in zip(task.splits, counts, strict=True):
        examples = task.read(folder(where), split)
        assert len(examples) == count
        assert examples.empty_texts == 0
        assert (examples.labels is None) == (split == "test")


DOCUMENTS = [("ag", "agnews", (6652, 948)), ("imdb", "imdb", (2498, 1000))]


@pytest.mark.parametrize(("name", "where", "counts"), DOCUMENTS)
def test_documents(name, where, counts):
    """No quote merges rows, no class is rare, no text is empty, none holds another row."""
    task = get_task(name)
    train, dev, test = (task.read(data() / where, split) for split in task.splits)
    assert (len(train), len(dev)) == counts
    assert dev.text_a == test.text_a and test.labels is None
    for examples in (train, dev):
        classes = np.bincount(examples.labels, minlength=len(task.labels))
        assert classes.min() == classes.max()
        assert examples.empty_texts == 0
        assert not any("\n" in text for text in examples.text_a)


def test_long_reviews_end_as_they_do_in_the_file():
    """A tail cut keeps the last words, a head cut the first; short reviews keep all."""
    vocab = load_vocab(data() / "vocab" / "uncased" / "vocab.txt")
    tokenizer, examples = BertTokenizer(vocab), get_task("imdb").read(data() / "imdb", "dev")
    whole, *cut = (
        build_features(examples, tokenizer, length, truncation=truncation)
        for length, truncation in ((4000, "head"), (384, "head"), (384, "tail"), (384, "head_tail"))
    )
    assert 0.1 < (whole.lengths > 384).mean() < 0.4
    for i, length in enumerate(whole.lengths):
        pieces, *kept = (s.ids[s.offsets[i] + 1 : s.offsets[i + 1] - 1] for s in (whole, *cut))
        last = min(length - 2, 382)
        expected = [pieces[:382], pieces[length - 2 - last :], pieces]
        if length > 384:
            expected[2] = np.concatenate([pieces[:96], pieces[-286:]])
        for found, wanted in zip(kept, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_mrpc_corpus_files_are_split_as_glue_does(tmp_path):
    for name in ("msr_paraphrase_train.txt", "msr_paraphrase_test.txt", "dev_ids.tsv"):
        (tmp_path / name).symlink_to(folder("MRPC") / name)
    task = get_task("mrpc")
    for split in task.splits:
        ours, glue = task.read(tmp_path, split), task.read(folder("MRPC"), split)
        pairs = [sorted(zip(x.text_a, x.text_b, strict=True)) for x in (ours, glue)]
        assert pairs[0] == pairs[1]
        if split != "test":
            assert np.bincount(ours.labels).tolist() == np.bincount(glue.labels).tolist()


def test_sst2_batches_are_nearly_free_of_padding(tmp_path):
    vocab = load_vocab(data() / "vocab" / "uncased" / "vocab.txt")
    examples = get_task("sst-2").read(folder("SST-2"), "train")
    store = build_features(examples, BertTokenizer(vocab), 128, tmp_path)
    assert 13.2 < store.lengths.mean() < 13.4
    plan = train_plan(store.lengths, batch_size=32, epochs=3.0)
    assert plan.steps == 6313
    assert plan.padding_share < 0.05
    assert train_plan(store.lengths, token_budget=512).padding_share < 0.05
