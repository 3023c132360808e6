"""Gates against the numbers computed from the original programs' formulas."""

import numpy as np
import pytest
import tensorflow as tf

from flop import hard_concrete
from flop.hard_concrete import HardConcrete, gate_seed

LOG_ALPHA = tf.constant([-4, -2, -0.5, 0, 0.5, 3, 5], tf.float64)


def test_probability_and_gates_of_the_originals():
    np.testing.assert_allclose(
        hard_concrete.open_probability(LOG_ALPHA),
        [0.167687656, 0.598181872, 0.869653127, 0.916666667, 0.947742295, 0.995494296, 0.999387834],
        atol=1e-9,
    )
    np.testing.assert_allclose(
        hard_concrete.clipped_gate(LOG_ALPHA),
        [0, 0.043043506, 0.353048803, 0.5, 0.646951197, 1, 1],
        atol=1e-9,
    )
    np.testing.assert_allclose(
        hard_concrete.soft_gate(LOG_ALPHA),
        [0.039165723, 0.167981615, 0.401312340, 0.5, 0.598687660, 0.916827304, 0.982013790],
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("uniform", "expected"),
    [
        (0.005, [0, 0, 0, 0.010034752, 0.412692704]),
        (0.115, [0, 0.038001062, 0.111729519, 0.767590739, 1]),
        (0.5, [0.043043758, 0.500000600, 0.646951761, 1, 1]),
        (0.885, [0.512195314, 0.962000138, 1, 1, 1]),
        (0.0, [0, 0, 0, 0, 0]),
    ],
)
def test_sampled_gates_of_the_original(uniform, expected):
    log_alpha = tf.constant([-2, 0, 0.5, 3, 5], tf.float64)
    found = hard_concrete.sample(log_alpha, tf.fill([5], tf.constant(uniform, tf.float64)))
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_hard_gates_zero_the_expected_number():
    log_alpha = tf.constant([-3, -1, 0, 1, 3], tf.float64)
    np.testing.assert_allclose(hard_concrete.l0_norm(log_alpha), 4.035511656, atol=1e-8)
    np.testing.assert_allclose(
        hard_concrete.gate(log_alpha, "hard"),
        [0, 0.310025519, 0.5, 0.689974481, 0.916827304],
        atol=1e-9,
    )
    np.testing.assert_allclose(
        hard_concrete.gate(log_alpha, "clipped"), [0, 0.222729706, 0.5, 0.777270294, 1], atol=1e-9
    )


def test_mean_of_many_samples_is_near_the_soft_gate():
    log_alpha = tf.constant([-2.0, 0.0, 1.0, 3.0])
    uniform = tf.random.stateless_uniform([20000, 4], [1, 2])
    mean = tf.reduce_mean(hard_concrete.sample(log_alpha, uniform), 0)
    np.testing.assert_allclose(mean, hard_concrete.soft_gate(log_alpha), atol=0.015)


def test_noise_is_a_function_of_seed_and_place():
    first, other = HardConcrete(50, "a", 0.0), HardConcrete(50, "b", 0.0)
    draws = []
    for layer, seed in ((first, 1), (first, 1), (first, 2), (other, 1)):
        with gate_seed(tf.constant([seed, 0])):
            draws.append(layer.gates(training=True).numpy())
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()
    assert (draws[0] != draws[3]).any()


def test_config_round_trip_and_unknown_mode():
    layer = HardConcrete(3, "a/query_g", 2.0, "hard")
    again = HardConcrete.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert layer.log_alpha.name == "a/query_g/log_alpha:0"
    with pytest.raises(ValueError, match="evaluation='soft': expected one of clipped, hard"):
        HardConcrete(3, evaluation="soft")
