"""What the masked language model puts in the place of a word."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.augmentation.candidates import whole_words
from bert_tf.augmentation.masked import MaskedWords
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.encoder import BertEncoder
from bert_tf.errors import UserError
from bert_tf.heads import MaskedLMHead
from tests import tiny
from tests.augmentation.small import make_masked_lm


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return load_model(make_masked_lm(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def masked(source):
    tokenizer = tokenizer_of(source)
    return MaskedWords(source, tokenizer, whole_words(tokenizer.vocab))


@pytest.fixture(scope="module")
def ids(source):
    """{text: its pieces}."""
    tokenizer = tokenizer_of(source)
    texts = [" ".join(words) for words in (tiny.PLAIN, tiny.GOOD, [*tiny.GOOD, *tiny.BAD] * 4)]
    return dict(zip(texts, map(np.array, tokenizer.tokenize(texts).to_list()), strict=True))


def logits_at(source, ids, position):
    """Of the pair [CLS] masked [SEP] ids [SEP], computed in full: float [vocabulary]."""
    encoder = BertEncoder(source.config)
    head = MaskedLMHead(source.config, encoder.get_embedding_table())
    for variable in [*encoder.weights, *head.weights]:
        variable.assign(source.arrays[variable.name.split(":")[0]])
    masked = np.where(np.arange(len(ids)) == position, 4, ids)
    row = tf.constant([[2, *masked, 3, *ids, 3]], tf.int32)
    types = tf.constant([[0] * (len(ids) + 2) + [1] * (len(ids) + 1)], tf.int32)
    outputs = encoder({"input_word_ids": row, "input_type_ids": types})
    return head(outputs["sequence_output"]).numpy()[0, position + 1]


def test_the_likeliest_words_but_not_itself(source, masked, ids):
    row = next(iter(ids.values()))
    for position in (0, 5, len(row) - 1):
        logits = logits_at(source, row, position)
        order = [i for i in np.argsort(-logits) if tiny.TOKENS[i].isalpha() and i != row[position]]
        (found,) = masked.predict([(row, position)], 4)
        assert found == tuple(tiny.TOKENS[i] for i in sorted(order[:4]))


def test_batches_change_nothing(masked, ids):
    queries = [(row, position) for row in ids.values() for position in range(0, len(row), 2)]
    alone = [masked.predict([query], 3)[0] for query in queries]
    assert masked.predict(queries, 3) == alone
    assert masked.predict(queries[::-1], 3) == alone[::-1]
    assert len(set(alone)) > 1
    assert masked.predict([], 3) == []


def test_more_candidates_than_there_are_words(masked, ids):
    row = next(iter(ids.values()))
    (found,) = masked.predict([(row, 0)], 1000)
    assert set(found) == {token for token in tiny.TOKENS if token.isalpha()} - {tiny.PLAIN[0]}


@pytest.mark.parametrize(("position", "start"), [(0, 0), (20, 13), (39, 26)])
def test_a_pair_that_is_too_long_is_cut_around_the_word(source, masked, ids, position, start):
    row = list(ids.values())[-1]
    assert len(row) == 40 and source.config.max_position_embeddings == 32
    cut = row[start : start + 14]
    assert masked.predict([(row, position)], 5) == masked.predict([(cut, position - start)], 5)


def test_a_model_that_predicts_no_words(source, tmp_path):
    tokenizer = tokenizer_of(source)
    words = whole_words(tokenizer.vocab)

    def check(message, **changes):
        with pytest.raises(UserError, match=message):
            MaskedWords(dataclasses.replace(source, **changes), tokenizer, words)

    encoder = {name: x for name, x in source.arrays.items() if name.startswith("bert/")}
    check("holds no cls/predictions/transform/dense/kernel, of the masked-LM head .* give a pre-tr",
          arrays=encoder)  # fmt: skip
    check("knows single texts only", config=source.config.replace(type_vocab_size=1))
    check("has 4 positions, expected 5", config=source.config.replace(max_position_embeddings=4))
    ranks = {"bert/encoder/layer_0/output/dense_p/kernel": 4}
    check("is factorised: give the dense", config=source.config.replace(pruned_layers_dim=ranks))
    without = [token for token in tiny.TOKENS if token != "[MASK]"] + ["more"]
    other = load_model(make_masked_lm(tmp_path / "other", tokens=without))
    with pytest.raises(UserError, match=r"has no \[MASK\] token"):
        MaskedWords(other, tokenizer_of(other), words)
