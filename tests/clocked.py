"""A test's own time, which updates, evaluations and saves move."""

import signal

from bert_tf.step_callback import StepCallback
from bert_tf.training.progress import current_learning_rate


class Killed(Exception):
    """Stands for the end of the process: nothing catches it."""


class Time(StepCallback):
    """Seconds that go by as the run's works are done; keeps what each update had.

    Args:
      update: seconds of an update.
      kill_at, terminate_at: number of the update (from 0) after which the process ends, or is sent
        SIGTERM.
    """

    def __init__(self, update=4.0, kill_at=None, terminate_at=None):
        super().__init__()
        self.seconds = 0.0
        self.update, self.kill_at, self.terminate_at = update, kill_at, terminate_at
        self.updates = []  # (update, seconds before it, rate)

    def __call__(self):
        return self.seconds

    def on_steps(self, before, logs):
        rate = current_learning_rate(self.model.optimizer)
        self.updates.append((before, self.seconds, rate))
        self.seconds += self.update
        if before == self.kill_at:
            raise Killed
        if before == self.terminate_at:
            signal.raise_signal(signal.SIGTERM)


class Spending:
    """Lets functions take seconds of `time`, the `Time` of the run in hand."""

    def __init__(self, monkeypatch):
        self.time = None
        self._monkeypatch = monkeypatch

    def takes(self, owner, name, seconds):
        """From here on `owner`'s function `name` takes these seconds."""
        real = getattr(owner, name)

        def wrapper(*args, **kwargs):
            self.time.seconds += seconds
            return real(*args, **kwargs)

        self._monkeypatch.setattr(owner, name, wrapper)
