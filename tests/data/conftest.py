"""A small stand-in for the tokenizer, and stores made with it."""

import numpy as np
import pytest

from bert_tf.data.examples import Examples
from bert_tf.data.features import FeatureStore


class WordTokenizer:
    """One id per word, [CLS] = 2, [SEP] = 3; counts how often it is asked."""

    fingerprint = "words-1"

    def __init__(self):
        self.calls = 0

    def encode_flat(self, texts_a, texts_b, max_seq_length, truncation="head"):
        self.calls += 1
        self.truncation = truncation
        rows, first = [], []
        for a, b in zip(texts_a, texts_b or [None] * len(texts_a), strict=True):
            row = [2, *(10 + len(w) for w in a.split()), 3][: max_seq_length - 2]
            first.append(len(row))
            if b is not None:
                row += [*(10 + len(w) for w in b.split()), 3]
            rows.append(row[:max_seq_length])
        offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
        flat = np.array([i for row in rows for i in row], np.int32)
        return flat, offsets, np.array(first, np.int32)


@pytest.fixture
def tokenizer():
    return WordTokenizer()


@pytest.fixture
def examples():
    return Examples(
        ids=["a", "b", "c"],
        text_a=["one two three", "four", ""],
        text_b=["x", "yy zzz", "w"],
        labels=np.array([1, 0, 1], np.int32),
        source="examples.tsv",
    )


@pytest.fixture
def make_store():
    def make(lengths, labels=None, first_lengths=None):
        lengths = np.asarray(lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids = np.arange(1, offsets[-1] + 1, dtype=np.int32)
        first = lengths if first_lengths is None else first_lengths
        return FeatureStore(ids, offsets, np.asarray(first, np.int32), labels, "made")

    return make
