"""Factorise, prune and compact a Keras model that is no BERT."""

import numpy as np
import pytest
import tf_keras as keras

import flop
from flop.factorized_dense import FactorizedDense

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
