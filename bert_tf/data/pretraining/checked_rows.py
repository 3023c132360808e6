"""Rows of several files under one numbering; corrupt ones are skipped up to a limit."""

import numpy as np
from absl import logging

from bert_tf.errors import UserError

MAX_CORRUPT = 100
"""Corrupt rows that a process skips before it stops."""


class CheckedRows:
    """The rows of files, one file after the other.

    Args:
      parts: list of objects with `path`, `len()`, and `read(numbers [n]) -> (array [n, ...],
        sound bool [n])`.
      max_corrupt: how many corrupt rows `read` skips before it raises.

    Attributes:
      corrupt: set of the numbers of the rows found corrupt so far.
      failure: the first `UserError` that `read` raised, None before.
    """

    def __init__(self, parts, max_corrupt=MAX_CORRUPT):
        self.corrupt = set()
        self.failure = None
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self._max_corrupt = max_corrupt

    def __len__(self):
        return int(self._starts[-1])

    def read(self, row_ids):
        """Returns the rows with these numbers: array [n, ...].

        In the place of a corrupt row stands the next sound one.

        Args:
          row_ids: int64 [n], each in [0, len(self)).

        Raises:
          UserError: more than `max_corrupt` different rows are corrupt, or all of them.
        """
        row_ids = np.array(row_ids, np.int64)
        rows, sound = self._read(row_ids)
        while not sound.all():
            bad = np.flatnonzero(~sound)
            self._note(row_ids[bad].tolist())
            row_ids[bad] = (row_ids[bad] + 1) % len(self)
            rows[bad], sound[bad] = self._read(row_ids[bad])
        return rows

    def sample(self, count):
        """Returns array [`count` at most, ...] of rows spread evenly, without the corrupt ones."""
        row_ids = np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)
        rows, sound = self._read(row_ids)
        return rows[sound]

    def _read(self, row_ids):
        rows, sound = None, np.empty(len(row_ids), bool)
        places = self._place(row_ids)
        for place in np.unique(places):
            here = places == place
            found, sound[here] = self._parts[place].read(row_ids[here] - self._starts[place])
            if rows is None:
                rows = np.empty((len(row_ids), *found.shape[1:]), found.dtype)
            rows[here] = found
        return rows, sound

    def _place(self, row_ids):
        return np.searchsorted(self._starts, row_ids, side="right") - 1

    def _note(self, row_ids):
        for row in sorted(set(row_ids) - self.corrupt):
            self.corrupt.add(row)
            place = self._place(row)
            where = f"{self._parts[place].path}: row {row - int(self._starts[place]) + 1}"
            logging.warning("%s is corrupt (its checksum is wrong): skipped", where)
            if len(self.corrupt) > self._max_corrupt or len(self.corrupt) == len(self):
                # The first one stands: tf.data may read ahead before it stops.
                self.failure = self.failure or UserError(
                    f"{where} is corrupt, as are {len(self.corrupt) - 1} more:"
                    f" {self._max_corrupt} at most are skipped; copy or make the data again"
                )
                raise self.failure
