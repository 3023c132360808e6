"""How long training steps take, by how much of the model is frozen."""

import collections
import statistics
import time

from bert_tf.freezing import summary
from bert_tf.step_callback import StepCallback


class StepTimes(StepCallback):
    """Measures each step of a `SequenceClassifier`, from its beginning to its end on the host.

    A phase is all steps with the same number of frozen layers, those that found all outputs of
    these in the cache apart from the others.

    Args:
      tokens: callable, step (from 0) -> tokens in its batch, padding included.
      length: tokens of an example, for the ceilings.
      cache: the run's `ActivationCache`; None without.
    """

    def __init__(self, tokens, length, cache=None):
        super().__init__()
        self._tokens = tokens
        self._length = length
        self._cache = cache
        self._times = collections.defaultdict(list)  # {(frozen, cached): [(seconds, step)]}
        self._first_steps = []  # (phase, seconds) of those that trace the step

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._frozen = ()  # no state that a step can have

    def on_train_batch_begin(self, batch, logs=None):
        self._computed = self._seconds_computing()
        self._started = time.monotonic()

    def on_steps(self, before, logs):
        seconds = (time.monotonic() - self._started) / (self.step - before)
        frozen = self.model.encoder.gradient_start
        cached = bool(self._cache and frozen and self._seconds_computing() == self._computed)
        if frozen != self._frozen:
            self._first_steps.append(((frozen, cached), seconds))
            self._frozen = frozen
        for step in range(before, self.step):
            self._times[frozen, cached].append((seconds, step))

    def phases(self):
        """Returns a list of dict, in the order the phases began.

        Each has `frozen_layers` (None: the embeddings train, too), `cached`, `steps`, `seconds` of
        all of them, `median_seconds`, `median_seconds_per_1000_tokens`, and `ceiling`, the share of
        a full step that is left by the FLOPs, see `summary.step_costs`.
        """
        return [
            {
                "frozen_layers": frozen,
                "cached": cached,
                "steps": len(times),
                "seconds": sum(seconds for seconds, _ in times),
                "median_seconds": statistics.median(seconds for seconds, _ in times),
                "median_seconds_per_1000_tokens": statistics.median(
                    1000 * seconds / self._tokens(step) for seconds, step in times
                ),
                "ceiling": self._ceiling(frozen, cached),
            }
            for (frozen, cached), times in self._times.items()
        ]

    def tracing_seconds(self):
        """Returns by how much the steps that traced the training step anew exceed the median."""
        medians = {phase: statistics.median(s for s, _ in t) for phase, t in self._times.items()}
        return sum(max(0.0, seconds - medians[phase]) for phase, seconds in self._first_steps)

    def _ceiling(self, frozen, cached):
        if frozen is None:
            return 1.0
        share = summary.frozen_share(self.model.encoder, self._length, frozen)
        return summary.step_costs(share)[cached]

    def _seconds_computing(self):
        return self._cache.seconds["compute"] if self._cache else 0.0
