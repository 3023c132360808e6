"""Batches that grow: small ones make many updates while the loss falls fast."""

import bisect


def ramp_stages(batch_size, smallest, until):
    """Returns [(share of the budget, batch size)]: doublings from `smallest` to `batch_size`.

    The line that they follow is that of Cramming (Geiping and Goldstein, 2022): linear in the
    elapsed budget, from one micro-batch to the whole batch. Doublings keep the compiled batch
    shapes few.

    Args:
      batch_size: rows of the full batch, a multiple of `smallest`.
      smallest: rows of the first batches.
      until: share of the budget at which the full batch is reached; 0 for the full batch at once.
    """
    if not until:
        return [(0.0, batch_size)]
    sizes, size = [], smallest
    while size < batch_size:
        sizes.append(size)
        size *= 2
    sizes.append(batch_size)
    spread = max(batch_size - smallest, 1)
    return [(until * (size - smallest) / spread, size) for size in sizes]


class BatchStages:
    """Which rows of the endless stream each update takes, while the batch size changes.

    Args:
      stages: [[first update, first row, batch size]], ascending; [] begins anew.
    """

    def __init__(self, stages=()):
        self.stages = [list(stage) for stage in stages]

    @property
    def batch_size(self):
        """Rows of the batches from the latest stage on."""
        return self.stages[-1][2]

    def change(self, update, batch_size):
        """From `update` (0-based) on the batches have `batch_size` rows."""
        if not self.stages:
            self.stages = [[update, 0, batch_size]]
        elif self.batch_size != batch_size:
            self.stages.append([update, self.rows(update), batch_size])

    def batch(self, update):
        """Returns (first row, number of rows) of the update numbered `update` from 0."""
        first, row, size = self.stages[self._index(update)]
        return row + (update - first) * size, size

    def rows(self, updates):
        """Returns how many rows the first `updates` updates take."""
        return self.batch(updates)[0]

    def _index(self, update):
        return max(0, bisect.bisect_right([s[0] for s in self.stages], update) - 1)
