"""The base of the step callbacks, as `fit` and `train_and_evaluate` call it."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from bert_tf.step_callback import StepCallback


class Noted(StepCallback):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps, self.pauses, self.logs = [], [], {}

    def on_steps(self, before, logs):
        self.steps.append((before, self.step))
        self.logs = logs

    def on_pause(self, seconds):
        self.pauses.append(seconds)


def fit(callback, batches=4, model=None, validate=False, **compile_arguments):
    if model is None:
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.0), "mse", **compile_arguments)
    x, y = np.zeros([batches, 3], "f"), np.ones(batches)
    data = (x, y) if validate else None
    model.fit(x, y, 1, epochs=2, verbose=0, callbacks=[callback], validation_data=data)
    return model


@pytest.mark.parametrize(
    ("per_execution", "steps"),
    [(1, [(i, i + 1) for i in range(8)]), (3, [(0, 3), (3, 4), (4, 7), (7, 8)])],
)
def test_steps_are_counted_over_epochs_and_executions(per_execution, steps):
    callback = Noted()
    fit(callback, steps_per_execution=per_execution)
    assert callback.steps == steps


def test_a_second_fit_goes_on():
    callback = Noted(initial_step=10)
    model = fit(callback, batches=1)
    fit(callback, batches=1, model=model)
    assert callback.steps == [(10, 11), (11, 12), (12, 13), (13, 14)]


def test_a_model_that_counts_its_steps_knows_better():
    callback = Noted()
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.global_step = tf.Variable(100, trainable=False)
    fit(callback, batches=1, model=model)
    assert callback.steps == [(100, 101), (101, 102)]


def test_logs_are_tensors():
    callback = Noted()
    fit(callback, batches=1)
    assert tf.is_tensor(callback.logs["loss"])


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_pauses_are_told_when_they_end():
    clock = Clock()
    first, second = Noted(clock=clock), Noted(clock=clock)
    with contextlib.ExitStack() as pauses:
        for callback in (first, second):
            pauses.enter_context(callback.paused())
        clock.now += 60
        assert first.pauses == []
    assert first.pauses == second.pauses == [60]


def test_validation_inside_fit_is_a_pause():
    callback = Noted()
    fit(callback, batches=1, validate=True)
    assert len(callback.pauses) == 2
    assert all(seconds > 0 for seconds in callback.pauses)
