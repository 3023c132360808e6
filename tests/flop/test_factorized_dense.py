"""The factorised layer equals its matrix form, at any rank and in any precision."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from flop.factorized_dense import FactorizedDense

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=[2, 5, 8]).astype(np.float32)


def make_layer(rank=3, **kwargs):
    layer = FactorizedDense(8, 6, rank, scope="a/dense", **kwargs)
    for variable in layer.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    return layer


def test_output_is_x_p_z_q_plus_b():
    layer = make_layer(masked=True, activation="relu")
    gates = np.diag(layer.mask.gates(training=False).numpy())
    p, q, b = (x.numpy() for x in (layer.kernel_p, layer.kernel_q, layer.bias))
    expected = np.maximum(INPUTS @ p @ gates @ q + b, 0)
    np.testing.assert_allclose(layer(INPUTS, training=False), expected, atol=1e-5)


def test_variables_have_the_originals_names():
    found = [v.name.split(":")[0] for v in make_layer(masked=True).trainable_variables]
    assert found == [
        "a/dense_p/kernel",
        "a/dense_q/kernel",
        "a/dense_q/bias",
        "a/dense_g/log_alpha",
    ]


@pytest.mark.parametrize("masked", [False, True])
def test_rank_zero_is_the_bias_and_trains(masked):
    layer = make_layer(rank=0, masked=masked)
    with tf.GradientTape() as tape:
        outputs = layer(INPUTS, training=True)
        loss = tf.reduce_sum(outputs)
    np.testing.assert_allclose(outputs, np.broadcast_to(layer.bias, [2, 5, 6]))
    assert tape.gradient(loss, layer.bias).numpy().tolist() == [10.0] * 6


def test_slices_are_those_of_the_product():
    layer = make_layer()
    p, q, b = (x.numpy() for x in (layer.kernel_p, layer.kernel_q, layer.bias))
    found = layer(INPUTS[..., :4], in_units=4, out_units=2)
    np.testing.assert_allclose(found, INPUTS[..., :4] @ p[:4] @ q[:, :2] + b[:2], atol=1e-5)


def test_gates_stay_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        layer = make_layer(masked=True)
        assert layer(INPUTS, training=True).dtype == tf.bfloat16
        assert layer.mask.gates(training=True).dtype == tf.float32
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_config_round_trip():
    layer = make_layer(masked=True, activation="relu", use_bias=False, evaluation="hard")
    again = FactorizedDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert [v.shape for v in again.weights] == [v.shape for v in layer.weights]
