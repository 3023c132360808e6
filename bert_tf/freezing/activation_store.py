"""Hidden states at one depth of the encoder, kept without padding in memory or in files."""

import pathlib
import threading

import ml_dtypes
import numpy as np

from bert_tf.data import features
from bert_tf.freezing.entries import (
    FileEntries,
    MemoryEntries,
    StoreFault,
    remove_leftovers,
)

__all__ = ["ActivationStore", "StoreFault"]

_FORMAT = 1
_DTYPES = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}


class ActivationStore:
    """The hidden states that the first `depth` encoder layers give for each example of a data set.

    Entry i has lengths[i] rows of `hidden_size` numbers. It counts as stored once it is completely
    written. The methods may be called from several threads.

    In memory, entries lie in the order they came in, so pages are taken only as entries are
    written, although the whole size is reserved at once. (At fixed places, a few scattered entries
    would take all the memory: Linux hands it out in huge pages of 2 MB.)

    In files, entry i is rows offsets[i]:offsets[i + 1] of a sparse file, where offsets are the
    cumulative lengths; disk space is taken as entries are written. With d the depth and f the first
    digits of a digest of all that the store is made for, `<folder>/depth-<d>-<f>.data` holds the
    rows, `depth-<d>-<f>.filled` one byte per example (1: completely written), `depth-<d>-<f>.json`
    what f is a digest of. Files that were kept, or left by a killed process, are taken over by a
    store made for the same; what else killed processes left of this depth is removed with a
    warning. After a crash of the machine itself files count only if they were closed. A folder may
    be shared: see `FileEntries`.

    Args:
      lengths: int [n] tokens of each example.
      hidden_size: numbers per token.
      depth: encoder layers behind the hidden states; 0 is the embeddings' output.
      dtype: "float32", "bfloat16" or "float16", how they are stored.
      fingerprint: hex digest of all they depend on.
      folder: where the files go; None keeps the entries in memory.
      budget_bytes: most bytes of entries to store; None has no limit.

    Raises:
      StoreFault: there is not enough memory, or the files cannot be made.
    """

    def __init__(
        self,
        lengths,
        hidden_size,
        depth,
        dtype="float32",
        fingerprint="",
        folder=None,
        budget_bytes=None,
    ):
        self.depth = depth
        self._dtype = _DTYPES[dtype]
        self._hidden_size = hidden_size
        self._lengths = np.asarray(lengths, np.int64)
        self._row_bytes = hidden_size * self._dtype.itemsize
        sizes = self._lengths * self._row_bytes
        total = int(sizes.sum())
        self._budget = total if budget_bytes is None else min(total, budget_bytes)
        self._lock = threading.Lock()
        self._full = False
        if folder is None:
            self._backing = MemoryEntries(sizes, self._budget)
        else:
            made_for = {
                "format": _FORMAT,
                "depth": depth,
                "hidden_size": hidden_size,
                "dtype": dtype,
                "lengths": features.fingerprint(self._lengths),
                "fingerprint": fingerprint,
            }
            folder, digest = pathlib.Path(folder), features.fingerprint(*made_for.values())
            stem = f"depth-{depth}-{digest[:16]}"
            self._backing = FileEntries(folder, stem, sizes, made_for)
            remove_leftovers(folder, depth)
        self._is_filled = self._backing.filled
        self._filled = int(self._is_filled.sum())
        self._bytes_used = int(sizes[self._is_filled].sum())

    @property
    def filled(self):
        """Number of stored entries."""
        return self._filled

    @property
    def complete(self):
        """Whether every example is stored."""
        return self._filled == len(self._lengths)

    @property
    def bytes_used(self):
        """Bytes of the stored entries."""
        return self._bytes_used

    @property
    def full(self):
        """Whether no more is stored: an entry would have exceeded the budget, or a fault."""
        return self._full

    def has(self, ids):
        """Returns bool [n]: which of the examples `ids` (int [n]) are stored.

        Raises:
          IndexError: an id is not that of an example.
        """
        return self._is_filled[self._positions(ids)]

    def read(self, ids, length):
        """Returns the hidden states of a batch, zeros beyond each example's length.

        Args:
          ids: int [n] examples; all of them stored.
          length: tokens to pad to.

        Returns:
          [n, length, hidden_size] of the store's dtype; the array is the caller's.

        Raises:
          StoreFault: the file cannot be read or was cut short, or an example is not stored.
          ValueError: an example is longer than `length`.
        """
        ids = self._positions(ids)
        lengths = self._lengths[ids]
        if lengths.max(initial=0) > length:
            raise ValueError(f"an example of {lengths.max()} tokens does not fit length={length}")
        out = np.empty((len(ids), length, self._hidden_size), self._dtype)
        flat = out.reshape(-1).view(np.uint8)
        row = length * self._row_bytes
        entries = []
        for i, size in enumerate((lengths * self._row_bytes).tolist()):
            entries.append(flat[i * row : i * row + size])
            flat[i * row + size : (i + 1) * row] = 0
        with self._lock:
            if not self._is_filled[ids].all():
                missing = ids[~self._is_filled[ids]][0]
                raise StoreFault(f"{self._backing.name}: example {missing} is not stored")
            try:
                self._backing.read(ids.tolist(), entries)
            except StoreFault:
                self._forget()
                raise
            except OSError as e:
                self._forget()
                raise StoreFault(f"{self._backing.name}: cannot read: {e.strerror or e}") from e
        return out

    def write(self, ids, hidden):
        """Stores the hidden states of a batch; examples that are stored already are skipped.

        Stops for good at the first entry that would exceed the budget.

        Args:
          ids: int [n] examples.
          hidden: float [n, t, hidden_size]; rows beyond an example's length are dropped.

        Returns:
          Number of entries that were stored.

        Raises:
          StoreFault: the disk is full or failing, the file was cut short, or a value does not fit
            float16. Entries stored before remain, unless the file was cut short.
          ValueError: `hidden` has another shape, or fewer than an example's tokens.
        """
        ids, hidden = self._positions(ids), np.asarray(hidden)
        if hidden.ndim != 3 or hidden.shape[::2] != (len(ids), self._hidden_size):
            raise ValueError(
                f"hidden states of shape {hidden.shape}, expected"
                f" ({len(ids)}, tokens, {self._hidden_size})"
            )
        lengths = self._lengths[ids].tolist()
        if max(lengths, default=0) > hidden.shape[1]:
            raise ValueError(f"{hidden.shape[1]} rows for an example of {max(lengths)} tokens")
        before = self._filled
        with self._lock:
            for i, length, rows in zip(ids.tolist(), lengths, hidden, strict=True):
                size = length * self._row_bytes
                if self._is_filled[i]:
                    continue
                self._full = self._full or self._bytes_used + size > self._budget
                if self._full:
                    break
                self._write_entry(i, rows[:length])
                self._is_filled[i] = True
                self._filled += 1
                self._bytes_used += size
            return self._filled - before

    def close(self, remove=True):
        """Frees the memory or closes the files; afterwards the store is empty and takes no more.

        Args:
          remove: deletes the files too. Otherwise they are made safe against a crash of the
            machine, and a store made for the same takes them over.
        """
        with self._lock:
            self._forget()
            self._backing.close(remove)

    def _positions(self, ids):
        ids = np.asarray(ids, np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(self._lengths):
            raise IndexError(
                f"ids from {ids.min()} to {ids.max()}, expected 0 to {len(self._lengths) - 1}"
            )
        return ids

    def _write_entry(self, i, rows):
        if rows.dtype == _DTYPES["bfloat16"]:
            rows = rows.astype(np.float32)  # only NumPy's own casts report an overflow
        try:
            with np.errstate(over="raise"):
                rows = np.ascontiguousarray(rows, self._dtype)
            self._backing.write(i, rows.reshape(-1).view(np.uint8))
        except StoreFault:
            self._forget()
            raise
        except FloatingPointError as e:
            self._full = True
            message = f"{self._backing.name}: example {i} has values beyond {self._dtype}'s range"
            raise StoreFault(message) from e
        except OSError as e:
            self._full = True
            raise StoreFault(f"{self._backing.name}: cannot write: {e.strerror or e}") from e

    def _forget(self):
        """The entries cannot be trusted, or are gone."""
        self._is_filled[:] = False
        self._filled = self._bytes_used = 0
        self._full = True
