"""What a student is compared with: the same tokens of the teacher's layers, whatever its depth."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.distillation.losses import DistillationLoss, hidden_losses
from tests import tiny

CONFIG = BertConfig(vocab_size=30, **tiny.SHAPE)


def make_model(layers, seed):
    model = SequenceClassifier(CONFIG.replace(num_hidden_layers=layers), 2)
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    return model


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    mask = np.arange(7) < rng.integers(3, 8, [4, 1])
    found = {"input_word_ids": rng.integers(1, 30, [4, 7]), "input_mask": mask}
    found["input_type_ids"] = np.zeros([4, 7])
    return {name: tf.constant(value, tf.int32) for name, value in found.items()}


def full_states(model, inputs):
    """[float [batch, seq, hidden]]: embeddings and every layer, at every token."""
    hidden = model.encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"])
    outputs = model.encoder.transform(hidden, inputs["input_mask"])[1]
    return [x.numpy().astype(np.float64) for x in (hidden, *outputs)]


@pytest.mark.parametrize("own", [1, 2, 4, 6])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
def test_each_layer_is_compared_at_the_tokens_that_it_computes(inputs, own, depth):
    student, teacher = make_model(own, seed=1), make_model(depth, seed=2)
    distillation = DistillationLoss(teacher, student.config, logits_weight=0.0)
    found = distillation(inputs, student.forward(inputs), distillation.wanted(inputs))
    wanted, states = full_states(teacher, inputs), full_states(student, inputs)
    mask = inputs["input_mask"].numpy().astype(float)
    expected = np.zeros(4)
    for i, state in enumerate(states):
        weights = mask * (np.arange(7) == 0) if i == own else mask
        target = wanted[round(i * depth / own)]
        errors = ((target - state) ** 2).mean(-1) * weights
        expected += errors.sum(-1) / ((target**2).mean(-1) * weights).sum(-1)
    np.testing.assert_allclose(found, expected / (own + 1), rtol=1e-4)


def test_a_teacher_as_deep_computes_no_more_than_before(inputs, monkeypatch):
    student, teacher = make_model(3, seed=1), make_model(3, seed=2)
    seen, real = [], teacher.forward

    def forward(*args, **kwargs):
        seen.append(real(*args, **kwargs)[1][-1].shape[1])
        return real(*args, **kwargs)

    monkeypatch.setattr(teacher, "forward", forward)
    DistillationLoss(teacher, student.config).wanted(inputs)
    assert seen == [1]


def test_cached_states_weigh_what_they_weigh_without_a_cache(inputs):
    student, teacher = make_model(4, seed=1), make_model(2, seed=2)
    student.encoder.freeze(2)
    loss = DistillationLoss(teacher, student.config)
    hidden = student.encoder.transform(
        student.encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"]),
        inputs["input_mask"], range(2),
    )[1][-1]  # fmt: skip
    gradients = []
    for given in (inputs, {**inputs, "hidden": hidden}):
        with tf.GradientTape() as tape:
            outputs = student.forward(given)
            losses = loss(given, outputs, loss.wanted(given))
        gradients.append(tape.gradient(losses, student.trainable_variables))
    assert len(outputs[1]) == 3
    for whole, cached in zip(*gradients, strict=True):
        np.testing.assert_allclose(cached, whole, rtol=1e-4, atol=1e-6)


def test_states_of_different_tokens_are_not_broadcast():
    full, first = tf.ones([2, 5, 8]), tf.ones([2, 1, 8])
    for wanted, found in ((full, first), (first, full), (full, tf.ones([2, 5, 1]))):
        with pytest.raises(ValueError, match="shapes differ"):
            hidden_losses([wanted], [found], tf.ones([2, 5]))

    @tf.function(input_signature=[tf.TensorSpec([None, None, 8])] * 2)
    def traced(wanted, found):
        return hidden_losses([wanted], [found], tf.ones([2, 5]))

    np.testing.assert_allclose(traced(full, 2 * full), [1, 1])
    np.testing.assert_allclose(traced(first, 2 * first), [1, 1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes differ"):
        traced(first, full)


@pytest.mark.parametrize("regression", [False, True])
def test_labels_are_a_vector(inputs, regression):
    model = SequenceClassifier(CONFIG, 1 if regression else 2, regression=regression)
    logits = model(inputs)
    with pytest.raises(ValueError, match=r"labels of shape \(4, 1\): expected \[batch\]"):
        model.example_losses(np.zeros([4, 1], np.int32), logits)
