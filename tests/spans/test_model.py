"""SpanModel: its logits by hand, and that neither padding nor the pooler has a part in them."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.heads import softened_span_losses, span_losses
from bert_tf.spans.model import NO_TOKEN, build_model
from tests import tiny


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return load_model(tiny.make_model(tmp_path_factory.mktemp("model"), num_hidden_layers=2))


@pytest.fixture(scope="module")
def model(source):
    model = build_model(source.config, source.arrays)
    assign_arrays(model.model_weights, source.arrays, "test")
    return model


def inputs(length, padded):
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 20, [2, length]).astype(np.int32)
    mask = np.ones_like(ids)
    pad = [(0, 0), (0, padded)]
    names = ("input_word_ids", "input_mask", "input_type_ids")
    arrays = (np.pad(x, pad) for x in (ids, mask, mask * 0))
    return {name: tf.constant(x) for name, x in zip(names, arrays, strict=True)}


def test_logits_are_those_of_every_token_whatever_the_padding(model):
    names = [v.name for v in model.model_weights[-2:]]
    assert names == ["cls/squad/output_weights:0", "cls/squad/output_bias:0"]
    plain, (logits, states) = inputs(6, 0), model.forward(inputs(6, 3), training=False)
    sequence = model.encoder(plain)["sequence_output"].numpy()
    weights, bias = (v.numpy() for v in model.classifier.weights)
    np.testing.assert_allclose(logits[:, :6], sequence @ weights.T + bias, atol=1e-5)
    assert (logits[:, 6:].numpy() == NO_TOKEN).all()
    assert states[-1].shape == (2, 9, 16)
    labels = tf.constant([[1, 3], [0, 0]])
    bare = model.forward(plain, training=False)[0]
    np.testing.assert_allclose(span_losses(labels, logits), span_losses(labels, bare), atol=1e-5)


def test_losses_by_hand():
    logits = np.random.default_rng(1).normal(size=[2, 5, 2]).astype(np.float32)
    labels = np.array([[1, 3], [0, 0]])
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = [
        -(np.log(shares[i, labels[i, 0], 0]) + np.log(shares[i, labels[i, 1], 1])) / 2
        for i in range(2)
    ]
    np.testing.assert_allclose(span_losses(labels, logits), expected, rtol=1e-5)
    # A teacher that is sure of the labels asks for what they do.
    sure = np.full_like(logits, -100.0)
    for i, ends in enumerate(labels):
        sure[i, ends, [0, 1]] = 100.0
    np.testing.assert_allclose(softened_span_losses(sure, logits, 1.0), expected, rtol=1e-5)


def test_a_model_without_a_pooler_stays_without(source):
    arrays = {n: x for n, x in source.arrays.items() if not n.startswith("bert/pooler/")}
    model = build_model(source.config, arrays)
    assert not [n for n in model.arrays() if "pooler" in n]
    kept = build_model(source.config, source.arrays)
    assert [n for n in kept.arrays() if "pooler" in n]
    for one in (model, kept):
        assert not [v.name for v in one.trained_weights if "pooler" in v.name]
