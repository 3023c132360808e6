"""Real text through the whole way. Needs BERT_TF_DATA."""

import os
import pathlib

import numpy as np
import pytest

from bert_tf.data.pretraining.build import build_corpus
from bert_tf.data.pretraining.corpus import Corpus
from bert_tf.data.pretraining.masking import Masking
from bert_tf.data.pretraining.order import RowOrder
from bert_tf.data.pretraining.pipeline import make_masked_lm_dataset
from bert_tf.tokenization.tokenizer import BertTokenizer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "BERT_TF_DATA" not in os.environ, reason="BERT_TF_DATA does not name the data folder"
    ),
]


def test_real_corpus_becomes_batches(tmp_path):
    data = pathlib.Path(os.environ["BERT_TF_DATA"])
    tokenizer = BertTokenizer(data / "vocab" / "uncased" / "vocab.txt")
    text = data / "text" / "pretrain_corpus_bert_format.txt"
    manifest = build_corpus([str(text)], tmp_path / "rows", tokenizer, validation_fraction=0.02)
    assert manifest["input"]["formats"] == ["blank_lines"]
    assert manifest["documents"] == 5019
    assert 6 < manifest["unigram_entropy"] < 7.5

    corpus = Corpus.open(tmp_path / "rows", tokenizer.fingerprint)
    # Every row is full, so the rows hold all tokens and less than a row of fill per split.
    assert 0 <= manifest["rows"] * 127 - manifest["tokens"] < 2 * 127
    rows = corpus.read("train", np.arange(corpus.rows("train")))
    assert (rows == tokenizer.vocab.unk_id).mean() < 0.001
    order = RowOrder(corpus.rows("train"), 64, seed=1)
    batches = make_masked_lm_dataset(
        corpus, "train", batches=order.batch, order=order, masking=Masking(whole_word=True),
        steps=corpus.rows("train") // 64,
    )  # fmt: skip
    weights = np.concatenate([batch["masked_lm_weights"] for batch in batches])
    assert weights.mean() > 0.99
