"""Factorise, prune and compact a Keras model that is no BERT."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import flop
from flop.factorized_dense import FactorizedDense
from tests import tiny

RNG = np.random.default_rng(0)
X = RNG.normal(size=[64, 12]).astype(np.float32)
Y = (X[:, :1] > X[:, 1:2]).astype(np.float32)


def make_model(functional=False):
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(20, "relu", name="wide"),
        keras.layers.LayerNormalization(name="norm"),
        keras.layers.Dense(16, use_bias=False, name="plain"),
        keras.layers.Dense(1, name="head"),
    ]
    if not functional:
        return keras.Sequential([keras.Input([12]), *layers])
    inputs = x = keras.Input([12])
    for layer in layers[:-1]:
        x = layer(x)
    return keras.Model(inputs, layers[-1](keras.layers.Concatenate()([x, inputs])))


def test_what_is_not_finite_is_neither_factorised_nor_cut():
    model = make_model()
    masked = flop.factorize(model, masked=True)
    gate = masked.get_layer("wide").mask.log_alpha
    gate.assign(gate * np.nan)
    with pytest.raises(ValueError, match=r"wide: .*log_alpha.* is not finite"):
        flop.compact(masked)
    kernel = model.get_layer("plain").kernel
    kernel.assign(kernel / 0.0)
    with pytest.raises(ValueError, match=r"plain: plain/kernel.* is not finite"):
        flop.factorize(model)


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_factorised_model_has_the_same_outputs(functional, masked):
    model = make_model(functional)
    found = flop.factorize(model, masked=masked, skip=["head"])
    np.testing.assert_allclose(found(X), model(X), atol=1e-5)
    kinds = {x.name: type(x) for x in found.layers}
    assert kinds["wide"] is kinds["plain"] is FactorizedDense
    assert kinds["head"] is keras.layers.Dense


def test_pruning_reaches_its_target_and_compaction_keeps_the_outputs():
    masked = flop.factorize(make_model(), masked=True, skip=["head"])
    pruning = flop.PruningModel(masked, target_sparsity=0.6, target_warmup=100)
    pruning.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    history = pruning.fit(X, Y, batch_size=16, epochs=100, verbose=0).history
    assert abs(history["expected_sparsity"][-1] - 0.6) < 0.05
    assert history["loss"][-1] < history["loss"][0]
    small = flop.compact(masked)
    np.testing.assert_allclose(small(X), masked(X, training=False), atol=1e-4)
    assert small.count_params() < make_model().count_params()
    text = flop.summary(masked, small)
    assert "wide" in text and "plain" in text


def test_cheap_kernels_are_multiplied_back_and_closed_ones_are_their_bias():
    masked = flop.factorize(make_model(), masked=True, skip=["head"])
    masked.get_layer("plain").mask.log_alpha.assign(np.full(16, -5.0))
    small = flop.compact(masked)
    assert isinstance(small.get_layer("wide"), keras.layers.Dense)  # all gates open
    assert small.get_layer("plain").rank == 0
    np.testing.assert_allclose(small(X), masked(X, training=False), atol=1e-4)


def test_target_sparsity_cuts_to_it():
    masked = flop.factorize(make_model(), masked=True, skip=["head"])
    for layer in ("wide", "plain"):
        gates = masked.get_layer(layer).mask.log_alpha
        gates.assign(np.linspace(3, 5, gates.shape[0]))
    small = flop.compact(masked, target_sparsity=0.5)
    kept = sum(
        layer.rank * (layer.input_units + layer.units)
        for layer in (small.get_layer("wide"), small.get_layer("plain"))
    )
    dense = 12 * 20 + 20 * 16
    assert dense / 2 - 36 < kept <= dense / 2


def test_saved_and_loaded(tmp_path):
    masked = flop.factorize(make_model(), masked=True, skip=["head"])
    masked.save(tmp_path / "masked.keras")
    again = keras.models.load_model(tmp_path / "masked.keras")
    np.testing.assert_allclose(again(X), masked(X), atol=1e-6)


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match=r"skip=\['heads'\]: expected some of the dense layers"):
        flop.factorize(make_model(), skip=["heads"])
    with pytest.raises(ValueError, match="has no masked layer"):
        flop.compact(make_model())


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    """{(case, devices): {name: array}} of the trainings of tests/flop/replicas.py."""
    folder = tmp_path_factory.mktemp("replicas")
    program = str(tiny.ROOT / "tests" / "flop" / "replicas.py")
    subprocess.run(
        [sys.executable, program, str(folder)], env=tiny.environment(), check=True, timeout=300
    )
    found = {}
    for path in folder.glob("*.npz"):
        case, devices = path.stem.split("-")
        with np.load(path) as saved:
            found[case, int(devices)] = dict(saved)
    return found


def test_two_replicas_train_as_one_device(replicas):
    one, two = replicas["weighted", 1], replicas["weighted", 2]
    assert one["0:global_step:0"] == 9
    assert np.abs(one["0:wide_g/log_alpha:0"] - 5).max() > 0.1
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", ["weighted", "overflow"])
def test_replicas_are_alike_and_finite(replicas, case):
    found = replicas[case, 2]
    for name in [name for name in found if name.startswith("1:")]:
        np.testing.assert_array_equal(found[name], found[f"0:{name[2:]}"], err_msg=name)
        assert np.isfinite(found[name]).all(), name
    assert found["0:iterations_0"] == found["1:iterations_1"] == found["1:iterations_2"] == 9


@pytest.mark.parametrize("which", [0, -1])  # a weight's gradient, a gate's
def test_an_update_that_overflows_is_skipped_by_weights_gates_and_multipliers(which, monkeypatch):
    model = flop.PruningModel(flop.factorize(make_model(), masked=True, skip=["head"]), 0.5)
    model.compile(keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam(1e-2)), "mse")
    data, real = (tf.constant(X), tf.constant(Y)), tf.GradientTape.gradient
    model.train_step(data)
    pruner = model.pruner
    optimizers = (model.optimizer.inner_optimizer, pruner.gate_optimizer, pruner.lambda_optimizer)
    written = [*model.trainable_variables, pruner.lambda_1, pruner.lambda_2]
    for optimizer in optimizers:
        written += [v for v in optimizer.variables if v is not optimizer.iterations]
    before, scale = [v.numpy() for v in written], float(model.optimizer.loss_scale)

    def gradient(tape, target, sources, **kwargs):
        found = real(tape, target, sources, **kwargs)
        if len(found) == len(model.trainable_variables):
            found[which] = found[which] * np.inf
        return found

    monkeypatch.setattr(tf.GradientTape, "gradient", gradient)
    model.train_step(data)
    for variable, value in zip(written, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.name)
    assert [int(optimizer.iterations) for optimizer in optimizers] == [2, 2, 2]
    assert float(model.optimizer.loss_scale) == scale / 2


def test_loss_scaling_does_not_change_the_gates_gradients():
    found = []
    for scale in (1.0, 2.0**10):
        model = flop.PruningModel(flop.factorize(make_model(), masked=True, skip=["head"]), 0.5)
        model.pruner.gate_optimizer = keras.optimizers.SGD(1.0)
        optimizer = keras.mixed_precision.LossScaleOptimizer(
            keras.optimizers.SGD(1.0), initial_scale=scale
        )
        model.compile(optimizer, "mse")
        model.train_step((tf.constant(X), tf.constant(Y)))
        found.append([v.numpy() for v in model.trainable_variables])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_the_gates_noise_is_a_function_of_seed_and_step():
    def gates(seed):
        model = flop.PruningModel(
            flop.factorize(make_model(), masked=True, skip=["head"]), 0.5, seed=seed
        )
        model.compile("adam", "mse")
        for _ in range(2):
            model.train_step((tf.constant(X), tf.constant(Y)))
        return model.pruner.gates[0].numpy()

    np.testing.assert_array_equal(gates(1), gates(1))
    assert np.abs(gates(1) - gates(2)).max() > 1e-6
