"""How far a run is that a clock ends."""

from typing import Any

import tensorflow as tf


class Elapsed:
    """Counts millionths of the budget, in place of updates, see `rhythm.Updates`.

    Attributes:
      total: millionths of the whole budget.
      are_updates: False.
      share: share of the budget spent, as of the clock's latest decision.
      rate: callable (share) -> learning rate, once `learning_rate` was asked.
    """

    total = 1_000_000
    are_updates = False

    def __init__(self):
        self.share = 0.0
        self._schedule: Any = None
        self._variable: Any = None

    def build(self):
        """Creates what the compiled step reads; call it in the strategy's scope."""
        self._variable = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="elapsed",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def done(self, step):
        """Returns the millionths spent before the update in hand; `step` does not matter."""
        del step
        return int(self.share * self.total)

    def traced(self, step):
        """Returns the same in the compiled step, an int64 scalar."""
        del step
        return tf.identity(self._variable)

    def assign(self):
        """Tells the compiled step."""
        self._variable.assign(self.done(None))

    def learning_rate(self, schedule):
        """Returns the rate to begin with: `rate` gives the schedule's from then on."""
        self._schedule = schedule
        return self.rate(0.0)

    def rate(self, share):
        """Returns the learning rate where that share of the budget is spent."""
        return float(self._schedule(share * self.total))
