import io

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import bert_tf  # noqa: F401
from bert_tf.training.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Time that passes only when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def bar(stream, clock, total=10, **kwargs):
    progress = ProgressBar(total, lambda step: 4, stream=stream, clock=clock, **kwargs)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(4.1e-5), "mse")
    progress.set_model(model)
    return progress


def run(progress, clock, losses, seconds=1.0, first=0):
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    for i, loss in enumerate(losses):
        clock.now += seconds
        progress.on_train_batch_end(first + i, {"loss": tf.constant(loss)})


def test_a_log_gets_plain_lines_with_the_mean_loss_since_the_last():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock, log_steps=5, epoch_of=lambda step: step / 5)
    run(progress, clock, range(10), seconds=2.0)
    progress.on_train_end()
    assert stream.getvalue().splitlines() == [
        "step 1/10  10%  epoch 0.20  loss 0.0000  lr 4.1e-05  2 examples/s",
        "step 5/10  50%  epoch 1.00  loss 2.5000  lr 4.1e-05  2 examples/s  eta 0:00:10",
        "step 10/10  100%  epoch 2.00  loss 7.0000  lr 4.1e-05  2 examples/s  eta 0:00:00",
    ]


def test_a_log_by_time_is_quiet_in_between():
    stream, clock = io.StringIO(), Clock()
    run(bar(stream, clock, total=100, log_seconds=30), clock, [1.0] * 70)
    assert [x.split("/")[0] for x in stream.getvalue().splitlines()] == [
        "step 1",
        "step 31",
        "step 61",
    ]


def test_a_terminal_has_one_line_that_fits(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream, clock = Terminal(), Clock()
    progress = bar(stream, clock)
    run(progress, clock, [0.25] * 10)
    progress.on_train_end()
    text = stream.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n")
    states = text.rstrip("\n").split("\r")[1:]
    assert len(states) == 10
    assert all(len(s) < 60 for s in states)
    assert states[-1].startswith("step 10/10  100%  loss 0.2500")


def test_a_resumed_run_counts_on_and_measures_this_session_only():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock, initial_step=6, log_steps=2)
    run(progress, clock, [1.0] * 4, seconds=4.0)
    lines = stream.getvalue().splitlines()
    assert [x.split()[1] for x in lines] == ["7/10", "8/10", "10/10"]
    assert all("  1 examples/s" in x for x in lines)
    assert lines[1].endswith("eta 0:00:08")


def test_several_steps_per_execution_weigh_the_loss_and_the_examples():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock, log_steps=100)
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    for last, loss in [(0, 9.0), (3, 1.0), (9, 4.0)]:
        clock.now += 6.0
        progress.on_train_batch_end(last, {"loss": loss})
    assert "step 10/10  100%  loss 3.0000  lr 4.1e-05  3 examples/s" in stream.getvalue()


def test_evaluation_is_not_training_time():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock, total=4, log_steps=2)
    run(progress, clock, [1.0])
    progress.on_test_begin()
    clock.now += 600
    progress.on_test_end()
    clock.now += 1
    progress.on_train_batch_end(1, {"loss": 1.0})
    assert stream.getvalue().splitlines()[-1].endswith("4 examples/s  eta 0:00:02")


@pytest.mark.parametrize("per_execution", [1, 4])
def test_keras_fit_over_two_epochs(per_execution):
    stream = io.StringIO()
    progress = ProgressBar(16, lambda step: 2, stream=stream, log_steps=4)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", steps_per_execution=per_execution)
    x = np.zeros([16, 3], "f")
    model.fit(x, np.ones(16), batch_size=2, epochs=2, verbose=0, callbacks=[progress])
    lines = stream.getvalue().splitlines()
    assert progress.step == 16
    assert lines[-1].startswith("step 16/16  100%  loss 1.0000  lr 0.0e+00")
    assert len(lines) == (5 if per_execution == 1 else 4)
