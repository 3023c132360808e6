"""How long training steps take, by what is trained in them."""

import collections
import statistics
import time

from bert_tf.step_callback import StepCallback


class StepTimes(StepCallback):
    """Measures each step of a model, from its beginning to its end on the host.

    A phase is all steps of which the levers say the same.

    Args:
      tokens: callable, step (from 0) -> tokens in its batch, padding included.
      phase: callable () -> {name: value} of the step just made.
    """

    def __init__(self, tokens, phase):
        super().__init__()
        self._tokens = tokens
        self._phase = phase
        self._times = collections.defaultdict(list)  # {items of the phase: [(seconds, step)]}
        self._first_steps = []  # (phase, seconds) of those that trace the step

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._traced = None

    def on_train_batch_begin(self, batch, logs=None):
        self._started = time.monotonic()

    def on_steps(self, before, logs):
        seconds = (time.monotonic() - self._started) / (self.step - before)
        phase = tuple(self._phase().items())
        if self.model.train_function is not self._traced:
            self._first_steps.append((phase, seconds))
            self._traced = self.model.train_function
        for step in range(before, self.step):
            self._times[phase].append((seconds, step))

    def phases(self):
        """Returns a list of dict, in the order the phases began.

        Each has what the levers say of it, `steps`, `seconds` of all of them, `median_seconds`, and
        `median_seconds_per_1000_tokens`.
        """
        return [
            {
                **dict(phase),
                "steps": len(times),
                "seconds": sum(seconds for seconds, _ in times),
                "median_seconds": statistics.median(seconds for seconds, _ in times),
                "median_seconds_per_1000_tokens": statistics.median(
                    1000 * seconds / self._tokens(step) for seconds, step in times
                ),
            }
            for phase, times in self._times.items()
        ]

    def tracing_seconds(self):
        """Returns by how much the steps that traced the training step anew exceed the median."""
        medians = {phase: statistics.median(s for s, _ in t) for phase, t in self._times.items()}
        return sum(max(0.0, seconds - medians[phase]) for phase, seconds in self._first_steps)
