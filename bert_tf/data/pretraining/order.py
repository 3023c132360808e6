"""Which rows come when: a pure function of the seed and the position in an endless stream."""

import numpy as np
import tensorflow as tf


class RowOrder:
    """An endless stream of row numbers: epoch e is a permutation of all rows by (seed, e).

    The permutations are computed element by element (`tf.random.experimental.index_shuffle`), so
    memory does not grow with the rows, and a run resumes at any position without a state.

    Args:
      rows: rows there are, at least 1.
      batch_size: rows per update.
      seed: another one gives another order.
    """

    def __init__(self, rows, batch_size, seed):
        if rows < 1:
            raise ValueError(f"rows={rows}: expected at least 1")
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed

    def batch(self, update):
        """Returns (start, count): the part of the stream that update number `update` (from 0) sees.

        Where the batch size changes during a run, its totals are the caller's, who passes a
        function of his own to `make_masked_lm_dataset`.
        """
        return update * self.batch_size, self.batch_size

    def ids(self, start, count):
        """Returns int64 [count]: rows number start, ..., start + count - 1 of the stream."""
        epochs, offsets = np.divmod(np.arange(start, start + count, dtype=np.int64), self.rows)
        ids = np.empty(count, np.int64)
        for epoch in np.unique(epochs):
            within = epochs == epoch
            ids[within] = self._shuffled(offsets[within], int(epoch))
        return ids

    def _shuffled(self, offsets, epoch):
        with tf.device("CPU:0"):
            return tf.random.experimental.index_shuffle(
                tf.constant(offsets),
                tf.constant([self.seed, epoch], tf.int64),
                tf.constant(self.rows - 1, tf.int64),
            ).numpy()
