"""bert_tf/encoder/dropout.py: rates, and masks that are a pure function of a seed."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.encoder import Dropout, dropout_seed

PRECISIONS = ("float32", "bfloat16", "float16")


def drop(x, rate, seed, scope="place", precision="float32"):
    layer = Dropout(rate, scope, dtype=precision)
    with dropout_seed(tf.constant([seed, 0], tf.int32)):
        return layer(tf.cast(x, precision), training=True)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_as_many_entries_are_zeroed_as_the_rate_says_and_the_rest_is_scaled(rate, precision):
    shape = [3, 333, 501]  # an odd number of entries: 16-bit decisions come in pairs
    kept = tf.cast(drop(tf.ones(shape), rate, 5, precision=precision), tf.float32).numpy()
    assert kept.shape == tuple(shape)
    assert abs(np.mean(kept == 0) - rate) < 0.002  # three standard deviations
    np.testing.assert_allclose(kept[kept != 0], 1 / (1 - rate), rtol=0.005)  # bfloat16: 8 bits


@pytest.mark.parametrize("precision", PRECISIONS)
def test_masks_depend_on_seed_and_place_alone(precision):
    x = tf.ones([64, 65])
    one = drop(x, 0.5, 1, precision=precision)
    np.testing.assert_array_equal(one, drop(x, 0.5, 1, precision=precision))
    for other in (drop(x, 0.5, 2, precision=precision), drop(x, 0.5, 1, "else", precision)):
        same = np.mean(np.asarray(one == other))
        assert 0.45 < same < 0.55  # independent masks agree on half of the entries


@pytest.mark.parametrize("precision", PRECISIONS)
def test_neighbours_are_dropped_independently(precision):
    kept = np.asarray(drop(tf.ones([1000, 1000]), 0.5, 3, precision=precision) != 0)
    for shift in (1, 2, 1000):
        flat = kept.reshape(-1)
        assert abs(np.mean(flat[shift:] == flat[:-shift]) - 0.5) < 0.003


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_gradient_is_that_of_the_entries_kept(precision):
    x = tf.Variable(tf.ones([8, 9], precision))
    layer = Dropout(0.3, "place", dtype=precision)
    with dropout_seed(tf.constant([7, 0], tf.int32)), tf.GradientTape() as tape:
        y = layer(x, training=True)
    np.testing.assert_array_equal(np.asarray(tape.gradient(y, x)), np.asarray(y))


def test_nothing_is_dropped_outside_training():
    x = tf.ones([4, 5])
    assert Dropout(0.5, "place")(x, training=False) is x
    assert drop(x, 0.0, 1) is x
