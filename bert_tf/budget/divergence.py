"""Stops a run that has gone wrong."""

import math


class DivergenceGuard:
    """A loss that is no number, at any time, or a held-out one above a bound after a time.

    The bound's test is 24hBERT's: armed for ever once its time has come, and strict.

    Args:
      seconds: of the budget's clock after which the bound counts; None for no bound.
      loss: the bound.
      tolerated: training losses in a row that may be no numbers; a loss scale that is still too
        high gives some, whose updates are skipped.
    """

    def __init__(self, seconds=None, loss=None, tolerated=0):
        self.seconds = seconds
        self.loss = loss
        self.tolerated = tolerated
        self._bad = 0

    def update(self, loss):
        """Returns why to stop after an update with this training loss, or None."""
        self._bad = 0 if math.isfinite(loss) else self._bad + 1
        if self._bad > self.tolerated:
            return f"diverged: the training loss is {loss}"
        return None

    def reason(self, spent, loss):
        """Returns why to stop after an evaluation with `loss` at `spent` seconds, or None."""
        if not math.isfinite(loss):
            return f"diverged: the held-out loss is {loss}"
        if self.seconds is not None and spent > self.seconds and loss > self.loss:
            return f"diverged: held-out loss {loss:.4f} above {self.loss:g} after {spent:.0f} s"
        return None
