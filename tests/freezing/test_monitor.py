"""What is summed up of the gradients: AutoFreeze's test vector 9, and its edges."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.freezing.monitor import GradientMonitor
from tests.freezing import small


@pytest.fixture
def encoder():
    return small.make_encoder()


def update(monitor, encoder, gradients):
    """One update whose gradients are 0 but for {(layer, place): the first numbers}."""
    variables = encoder.trainable_variables
    found = []
    for v in variables:
        value = np.zeros(v.shape, np.float32)
        for (layer, place), numbers in gradients.items():
            if v is encoder.encoder_layers[layer].trainable_variables[place]:
                value.flat[: len(numbers)] = numbers
        found.append(tf.constant(value))
    monitor.update(found, variables)


@pytest.mark.parametrize(("metric", "expected"), [("signed_sum", 2), ("norm_sum", 8)])
def test_vector_9_opposite_signs_cancel_in_the_signed_sum_only(encoder, metric, expected):
    monitor = GradientMonitor(encoder, metric)
    monitor.build()
    update(monitor, encoder, {(1, 0): [1, -2], (1, 5): [0.5], (2, 2): [4]})
    update(monitor, encoder, {(1, 0): [-1, 3], (1, 5): [0.5]})
    assert monitor.take() == [0, expected, 4]
    assert monitor.take() == [0, 0, 0], "an interval begins at zero"


def test_frozen_layers_have_no_sums_and_live_ones_keep_theirs(encoder):
    monitor = GradientMonitor(encoder)
    monitor.build()
    update(monitor, encoder, {(0, 0): [1], (1, 0): [2]})
    encoder.freeze(1)
    monitor.build(1)
    update(monitor, encoder, {(1, 0): [3], (2, 1): [1]})
    assert monitor.take() == [0, 5, 1]


@pytest.mark.parametrize("metric", ["signed_sum", "norm_sum"])
def test_the_sums_are_as_large_as_what_is_live(encoder, metric):
    monitor = GradientMonitor(encoder, metric)
    monitor.build()

    def numbers():
        root = monitor.trackable()  # the view does not keep it alive
        parts = tf.train.TrackableView(root).descendants()
        return sum(int(np.prod(x.shape)) for x in parts if isinstance(x, tf.Variable))

    live = sum(int(np.prod(v.shape)) for v in encoder.encoder_layers[0].trainable_variables)
    assert numbers() == 3 * (live if metric == "signed_sum" else 1)
    encoder.freeze(2)
    monitor.build(2)
    assert numbers() == (live if metric == "signed_sum" else 1)


def test_updates_that_loss_scaling_skips_do_not_count(encoder):
    half = type(encoder)(encoder.config, dtype="mixed_float16")
    monitor = GradientMonitor(half)
    monitor.build()
    update(monitor, half, {(0, 0): [1, 2]})
    update(monitor, half, {(0, 0): [5], (2, 3): [np.inf]})
    update(monitor, half, {(0, 0): [5], (2, 3): [np.nan]})
    assert monitor.take() == [3, 0, 0]


def test_unknown_metric(encoder):
    with pytest.raises(ValueError, match="metric 'l2': expected one of signed_sum, norm_sum"):
        GradientMonitor(encoder, "l2")
