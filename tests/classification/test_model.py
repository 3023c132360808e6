"""The training step: what one update is, however it is computed."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.training.optimization import make_optimizer
from bert_tf.training.schedules import make_schedule
from tests import tiny

CONFIG = BertConfig(
    vocab_size=30, **tiny.SHAPE, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
)
DROPOUT = CONFIG.replace(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)


def make_batch(rows=8, length=9, pad_to=None, seed=0):
    rng = np.random.default_rng(seed)
    mask = np.arange(pad_to or length) < rng.integers(3, length + 1, [rows, 1])
    ids = np.where(mask, rng.integers(1, 30, [rows, length]) if pad_to is None else 0, 0)
    if pad_to is not None:
        narrow, _ = make_batch(rows, length, seed=seed)
        ids[:, :length] = narrow["input_word_ids"]
    inputs = {"input_word_ids": ids, "input_mask": mask, "input_type_ids": mask * 0}
    tensors = {name: tf.constant(value, tf.int32) for name, value in inputs.items()}
    return tensors, tf.constant(np.arange(rows) % 2, tf.int32)


def make_model(config=CONFIG, regression=False, seed=0, **compile_arguments):
    """A compiled model, evaluated eagerly, whose weights depend on nothing but the shapes."""
    model = SequenceClassifier(config, 1 if regression else 2, regression=regression, seed=seed)
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.2, size=variable.shape))
    optimizer = make_optimizer("adamw", make_schedule("constant", 1e-2, total_steps=10))
    model.compile(optimizer=optimizer, run_eagerly=True, **compile_arguments)
    return model


def gradients(model, batch, step=0):
    """(loss, {name: gradient}) of one batch, and the update left undone."""
    found = {}

    def apply_gradients(pairs, **_):
        found.update({v.name: tf.convert_to_tensor(g).numpy() for g, v in pairs})

    model.global_step.assign(step)
    model.optimizer.apply_gradients = apply_gradients
    logs = model.train_step(batch)
    return float(logs["loss"]), found


def assert_close(found, expected, atol):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=atol, err_msg=name)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulation_is_the_update_of_the_whole_batch(parts):
    batch = make_batch()
    loss, whole = gradients(make_model(clip_norm=None), batch)
    found, accumulated = gradients(make_model(clip_norm=None, accumulation_steps=parts), batch)
    assert found == pytest.approx(loss, abs=1e-6)
    assert_close(accumulated, whole, atol=1e-6)


def test_accumulation_of_a_batch_that_does_not_divide():
    batch = make_batch(rows=7)
    loss, whole = gradients(make_model(), batch)
    found, accumulated = gradients(make_model(accumulation_steps=3), batch)
    assert found == pytest.approx(loss, abs=1e-6)
    assert_close(accumulated, whole, atol=1e-6)


def test_padding_changes_neither_loss_nor_gradients():
    loss, narrow = gradients(make_model(clip_norm=None), make_batch())
    padded, wide = gradients(make_model(clip_norm=None), make_batch(pad_to=20))
    assert padded == pytest.approx(loss, abs=1e-6)
    assert_close(wide, narrow, atol=1e-5)


def test_dropout_masks_are_a_function_of_seed_and_step():
    batch = make_batch()

    def loss(seed, step):
        return gradients(make_model(DROPOUT, seed=seed), batch, step)[0]

    assert loss(seed=3, step=5) == loss(seed=3, step=5)
    assert len({loss(3, 5), loss(3, 6), loss(4, 5)}) == 3


def test_micro_batches_draw_different_masks():
    same = {name: tf.tile(x[:1], [2, 1]) for name, x in make_batch()[0].items()}
    losses = []
    for labels in ([0, 0], [1, 1]):
        model = make_model(DROPOUT, accumulation_steps=2)
        seen, real = [], model.example_losses

        def example_losses(labels, logits, seen=seen, real=real):
            seen.append(real(labels, logits))
            return seen[-1]

        model.example_losses = example_losses
        gradients(model, (same, tf.constant(labels)))
        losses.append([float(x[0]) for x in seen])
    assert all(first != second for first, second in losses)


def test_the_loss_is_the_mean_and_the_norm_is_unclipped():
    model, (inputs, labels) = make_model(clip_norm=1e-3), make_batch()
    logits = model(inputs, training=False).numpy()
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.mean(log_probabilities[np.arange(len(labels)), labels.numpy()])
    loss, clipped = gradients(model, (inputs, labels))
    assert loss == pytest.approx(float(expected), abs=1e-6)
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in clipped.values()))
    assert norm == pytest.approx(1e-3, rel=1e-3)
    logs = make_model(clip_norm=1e-3).train_step((inputs, labels))
    assert float(logs["grad_norm"]) > 0.01


def test_regression_is_squared_error():
    model, (inputs, _) = make_model(regression=True), make_batch()
    scores = tf.range(8, dtype=tf.float32)
    logits = model(inputs, training=False).numpy()
    loss, _ = gradients(model, (inputs, scores))
    assert loss == pytest.approx(float(np.mean((logits[:, 0] - np.arange(8)) ** 2)), rel=1e-5)


def test_float16_scales_the_loss_and_skips_a_step_that_overflows():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = make_model()  # Keras' compile wraps its optimizer
        kernel = model.encoder.trainable_variables[0]
        before = kernel.numpy()
        loss = float(model.train_step(make_batch())["loss"])
        assert loss == pytest.approx(0.69, abs=0.2)  # not the scaled one
        after = kernel.numpy()
        assert np.abs(after - before).max() > 1e-4
        model.classifier.output_weights.assign_add([[np.inf] * 16] * 2)
        model.train_step(make_batch())
        np.testing.assert_array_equal(kernel.numpy(), after)
    finally:
        keras.mixed_precision.set_global_policy("float32")
