"""The real GLUE files: row counts, texts and labels. Needs BERT_TF_DATA."""

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
