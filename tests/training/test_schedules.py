import json

import numpy as np
import pytest
import tf_keras as keras

import bert_tf  # noqa: F401
from bert_tf.errors import UserError
from bert_tf.training import schedules


def rates(schedule, steps):
    return np.array([schedule(s).numpy() for s in steps])


def test_linear_is_googles_with_its_jump_down_at_the_end_of_the_warm_up():
    schedule = schedules.make_schedule("linear", 5e-5, total_steps=1000, warmup_steps=100)
    expected = [0, 2.5e-5, 4.95e-5, 4.5e-5, 2.5e-5, 0, 0]
    steps = [0, 50, 99, 100, 500, 1000, 1200]
    np.testing.assert_allclose(rates(schedule, steps), expected, rtol=1e-6, atol=1e-12)


def test_linear_ends_at_the_end_rate():
    schedule = schedules.WarmupLinear(1.0, 10, end_learning_rate=0.2)
    np.testing.assert_allclose(rates(schedule, [0, 5, 10, 11]), [1, 0.6, 0.2, 0.2], rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.5, -1.0])
def test_noam_is_the_pruning_programs(scale):
    steps = [0, 1, 100, 200, 201, 400]
    expected = [0, 1.275775908e-4, 0.01275775908, 0.02551551815, 0.02545196757, 0.01804219591]
    schedule = schedules.make_schedule("noam", 10 * scale, 1000, warmup_steps=200)
    np.testing.assert_allclose(rates(schedule, steps), np.multiply(scale, expected), rtol=2e-6)


def test_noam_without_warm_up_starts_at_its_highest():
    schedule = schedules.make_schedule("noam", 10.0, 1000)
    expected = [0.3608439182, 0.3608439182, 0.2551551816]
    np.testing.assert_allclose(rates(schedule, [0, 1, 2]), expected, rtol=1e-6)


def test_constant_after_its_warm_up():
    schedule = schedules.make_schedule("constant", 1e-3, 1000, warmup_steps=4)
    np.testing.assert_allclose(rates(schedule, [0, 1, 4, 999]), [0, 2.5e-4, 1e-3, 1e-3], rtol=1e-6)


def test_stepped_takes_the_factor_of_the_last_boundary():
    schedule = schedules.make_schedule("stepped", 2.0, 99, 2, boundaries={20: 0.1, 10: 0.5})
    expected = [0, 1, 2, 2, 1, 1, 0.2, 0.2]
    np.testing.assert_allclose(rates(schedule, [0, 1, 2, 9, 10, 19, 20, 98]), expected, rtol=1e-6)


def test_autofreezes_steps_are_at_three_and_six_tenths():
    """Its specification's vector 10: 16,666 updates."""
    schedule = schedules.make_schedule(
        "stepped", 1.0, 16666, boundaries=schedules.stepped_boundaries(16666)
    )
    steps = [0, 4998, 4999, 9998, 9999, 16665]
    np.testing.assert_allclose(rates(schedule, steps), [1, 1, 0.7, 0.7, 0.4, 0.4], rtol=1e-6)


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_a_schedule_comes_back_from_its_config(name):
    schedule = schedules.make_schedule(name, 3e-4, 50, 5, {20: 0.5})
    config = json.loads(json.dumps(keras.optimizers.schedules.serialize(schedule)))
    again = keras.optimizers.schedules.deserialize(config)
    np.testing.assert_array_equal(rates(schedule, range(60)), rates(again, range(60)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cosine", 1.0, 10), "cosine: unknown; expected one of linear, constant, noam, stepped"),
        (("linear", 1.0, 0), "0 steps"),
        (("linear", 1.0, 10, 11), "11 warm-up steps: expected 0 to 10"),
        (("stepped", 1.0, 10), "needs boundaries"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        schedules.make_schedule(*arguments)
