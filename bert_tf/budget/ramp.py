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


class GrowingBatches:
    """Which rows each update takes, of a batch that grows with the budget.

    Args:
      sizes: [(share from which on, rows per batch)], see `ramp_stages`.
      micro_batch_size: rows per micro-batch over all replicas.

    Attributes:
      stages: `BatchStages` of the run.
    """

    def __init__(self, sizes, micro_batch_size):
        self._sizes = sizes
        self.micro_batch_size = micro_batch_size
        self.stages = BatchStages()

    def restore(self, stages):
        """Goes on from the stages that an earlier process has saved, [] at first."""
        self.stages = BatchStages(stages)

    def grow(self, step, share):
        """Takes the size of the elapsed share from update `step` on; returns whether it grew."""
        size = max(rows for start, rows in self._sizes if start <= share)
        begun = bool(self.stages.stages)
        grew = begun and size > self.stages.batch_size
        if grew or not begun:
            self.stages.change(step, size)
        return grew

    @property
    def micro_batches(self):
        """How many micro-batches a batch of now is cut into."""
        return self.stages.batch_size // self.micro_batch_size
