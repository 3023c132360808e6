"""Masks in half precision: weights, gates and multipliers skip an update together."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.encoder import BertEncoder
from bert_tf.pruning.lever import GateTraining
from bert_tf.training.optimization import make_optimizer
from flop.factorized_dense import FactorizedDense
from flop.pruner import Pruner
from tests import tiny

CONFIG = BertConfig(vocab_size=30, **tiny.SHAPE)


@pytest.fixture(autouse=True)
def _half_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    with tiny.eagerly():
        yield


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    inputs = {
        "input_word_ids": rng.integers(1, 30, [8, 9]),
        "input_mask": np.ones([8, 9]),
        "input_type_ids": np.zeros([8, 9]),
    }
    tensors = {name: tf.constant(value, tf.int32) for name, value in inputs.items()}
    return tensors, tf.constant(np.arange(8) % 2, tf.int32)


def make_model(loss_scale, **compile_arguments):
    keras.utils.set_random_seed(0)
    factory = functools.partial(FactorizedDense, rank=8, masked=True)
    encoder = BertEncoder(CONFIG, dense_factory=factory)
    model = SequenceClassifier(CONFIG, 2, encoder=encoder)
    kernels = [kernel for layer in encoder.encoder_layers for kernel in layer.kernels]
    optimizer = make_optimizer("adamw", 1e-3)
    if loss_scale:
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=loss_scale)
    model.compile(optimizer, levers=[GateTraining(Pruner(kernels, 0.5))], **compile_arguments)
    model.create_slots()
    return model


def pruner_of(model):
    return model.levers[0].pruner


def optimizers_of(model):
    pruner = pruner_of(model)
    return model.optimizer.inner_optimizer, pruner.gate_optimizer, pruner.lambda_optimizer


def state_of(model):
    """{name: array} of all that an update writes, the numbers of updates aside."""
    written = [*model.trainable_variables, pruner_of(model).lambda_1, pruner_of(model).lambda_2]
    for optimizer in optimizers_of(model):
        written += [v for v in optimizer.variables if v is not optimizer.iterations]
    return {f"{i}:{v.name}": v.numpy() for i, v in enumerate(written)}


@pytest.mark.parametrize("arguments", [{}, {"accumulation_steps": 2}, {"clip_norm": None}])
def test_updates_that_overflow_are_skipped_until_the_scale_fits(batch, arguments):
    model = make_model(2.0**22, **arguments)
    skipped = 0
    for step in range(1, 12):
        before, scale = state_of(model), float(model.optimizer.loss_scale)
        model.train_step(batch)
        after = state_of(model)
        assert all(np.isfinite(value).all() for value in after.values())
        assert [int(optimizer.iterations) for optimizer in optimizers_of(model)] == [step] * 3
        if float(model.optimizer.loss_scale) < scale:
            skipped += 1
            tiny.assert_same_bits(after, before)
        else:
            moved = {name.split(":")[1] for name in after if np.any(after[name] != before[name])}
            assert {"lambda_1", "lambda_2", "output_weights"} < moved
    assert 0 < skipped < 11
    assert all(np.ptp(np.append(gate.numpy(), 5.0)) > 0 for gate in pruner_of(model).gates)


def test_a_gate_alone_that_overflows_skips_the_weights_too(batch, monkeypatch):
    model = make_model(1024.0)
    real = model.batch_gradients

    def overflowing(data, variables):
        logs, gradients = real(data, variables)
        gradients[-1] = tf.concat([gradients[-1][1:], [np.inf]], 0)
        return logs, gradients

    model.train_step(batch)
    before = state_of(model)
    monkeypatch.setattr(model, "batch_gradients", overflowing)
    logs = model.train_step(batch)
    tiny.assert_same_bits(state_of(model), before)
    assert not np.isfinite(logs["grad_norm"])
    assert float(model.optimizer.loss_scale) == 512.0


def test_gates_alone_cannot_adapt_a_loss_scale():
    with pytest.raises(ValueError, match="nothing adapts the loss scale"):
        make_model(1024.0, train_weights=False)


def test_without_loss_scaling_a_gate_that_is_not_finite_shows_in_the_next_loss(batch, monkeypatch):
    keras.mixed_precision.set_global_policy("float32")
    model = make_model(None)
    real = model.batch_gradients

    def overflowing(data, variables):
        logs, gradients = real(data, variables)
        return logs, [*gradients[:-1], gradients[-1] * np.nan]

    with monkeypatch.context() as patch:
        patch.setattr(model, "batch_gradients", overflowing)
        assert np.isnan(model.train_step(batch)["grad_norm"])
    assert np.isnan(model.train_step(batch)["loss"])
