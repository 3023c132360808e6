"""The files of a data folder: rows of token ids with a checksum each."""

import os
import pathlib
import zlib

import numpy as np

from bert_tf import files
from bert_tf.errors import UserError

FORMAT = 1
MANIFEST = "manifest.json"
SPLITS = ("train", "validation")
_ROWS_AT_ONCE = 256
_PROBES = 16


def shard_name(split, index, count):
    """Returns the name of a shard, without the .ids.npy and .crc.npy of its two files."""
    return f"{split}-{index:05d}-of-{count:05d}"


def ids_type(vocab_size):
    """Returns the NumPy type of a shard's ids: uint16, or uint32 where that is too small."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


def shard_salt(fingerprint, name):
    """Returns the number (int) that the checksums of the shard `name` start from.

    It makes a shard wrong for another vocabulary's data folder, and under another name.
    """
    return zlib.crc32(f"{fingerprint}/{name}".encode())


def checksums(rows, salt):
    """Returns uint32 [n]: crc32 of each row of ids [n, seq_length], started from `salt`."""
    rows = np.ascontiguousarray(rows)
    return np.fromiter((zlib.crc32(row, salt) for row in rows), np.uint32, len(rows))


class NpyWriter:
    """A .npy file written piece by piece along its first axis.

    Args:
      path: the file, which must not exist.
      dtype: NumPy type.
      width: numbers per row; None for a one-dimensional array.
    """

    def __init__(self, path, dtype, width=None):
        self.path = pathlib.Path(path)
        self.rows = 0
        self._dtype = np.dtype(dtype)
        self._width = width
        self._file = open(path, "xb")  # noqa: SIM115 (closed by `close`)
        self._write_header()

    def append(self, array):
        """Appends the rows of `array`."""
        self._file.write(np.ascontiguousarray(array, self._dtype))
        self.rows += len(array)

    def close(self):
        """Writes the final header and closes the file."""
        with self._file:
            self._file.seek(0)
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())

    def _write_header(self):
        # NumPy leaves room for the first axis to grow, so the final header fits over the first.
        shape = (self.rows,) if self._width is None else (self.rows, self._width)
        fields = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, fields)


class ShardWriter:
    """Packs a stream of tokens into the full rows of one shard, in bounded memory.

    Args:
      folder: where.
      name: see `shard_name`.
      first_id: id that every row begins with, [CLS].
      seq_length: tokens per row, `first_id` included.
      dtype: see `ids_type`.
      fingerprint: see `shard_salt`.
    """

    def __init__(self, folder, name, *, first_id, seq_length, dtype, fingerprint):
        self.name = name
        self._first_id = first_id
        self._body = seq_length - 1
        self._salt = shard_salt(fingerprint, name)
        self._ids = NpyWriter(pathlib.Path(folder) / f"{name}.ids.npy", dtype, seq_length)
        self._crc = NpyWriter(pathlib.Path(folder) / f"{name}.crc.npy", "<u4")
        self._pending = [np.zeros(0, dtype)]
        self._num_pending = 0

    @property
    def rows(self):
        """Rows written so far."""
        return self._ids.rows

    def add(self, tokens):
        """Appends tokens (array [n]) to the stream."""
        self._pending.append(tokens)
        self._num_pending += len(tokens)
        if self._num_pending >= self._body * _ROWS_AT_ONCE:
            self._flush()

    def take_rest(self):
        """Writes what fills rows; returns the tokens (array) that do not, and forgets them."""
        self._flush()
        [rest] = self._pending
        self._pending, self._num_pending = [rest[:0]], 0
        return rest

    def close(self):
        """Closes both files, and removes them if there are no rows."""
        for writer in (self._ids, self._crc):
            writer.close()
            if not writer.rows:
                writer.path.unlink()

    def _flush(self):
        tokens = np.concatenate(self._pending)
        full = len(tokens) // self._body
        rows = np.empty((full, self._body + 1), tokens.dtype)
        rows[:, 0] = self._first_id
        rows[:, 1:] = tokens[: full * self._body].reshape(full, self._body)
        self._ids.append(rows)
        self._crc.append(checksums(rows, self._salt))
        self._pending = [tokens[full * self._body :].copy()]
        self._num_pending = len(self._pending[0])


class Shard:
    """A shard's rows, memory-mapped.

    Args:
      folder: the data folder.
      name: see `shard_name`.
      rows: int, as the manifest says.
      seq_length: as the manifest says.
      vocab_size: as the manifest says.
      fingerprint: as the manifest says.

    Raises:
      UserError: a file is missing, is no such array, or has another size.
    """

    def __init__(self, folder, name, *, rows, seq_length, vocab_size, fingerprint):
        folder = pathlib.Path(folder)
        self.path = folder / f"{name}.ids.npy"
        self._salt = shard_salt(fingerprint, name)
        self._ids = _mapped(self.path, (rows, seq_length), ids_type(vocab_size))
        self._crc = _mapped(folder / f"{name}.crc.npy", (rows,), np.dtype("<u4"))

    def __len__(self):
        return len(self._ids)

    def read(self, numbers):
        """Returns (ids [n, seq_length], sound bool [n]) of the rows with these numbers."""
        ids = self._ids[numbers]
        return ids, checksums(ids, self._salt) == self._crc[numbers]

    @property
    def checksums(self):
        """The rows' stored checksums, uint32 [n], memory-mapped."""
        return self._crc

    def check_origin(self):
        """Raises `UserError` if checksums all over the shard are wrong: it is another corpus's."""
        probes = np.unique(np.linspace(0, len(self) - 1, _PROBES).astype(np.int64))
        if not self.read(probes)[1].any():
            raise UserError(
                f"{self.path}: every checksum tried is wrong: the shard was made with another"
                f" vocabulary than {MANIFEST} says, or had another name"
            )


def _mapped(path, shape, dtype):
    try:
        array = files.map_array(path)
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such file, expected this shard of the data folder") from e
    except (OSError, EOFError, ValueError) as e:
        raise UserError(f"{path}: cannot read the shard: {e}") from e
    if array.shape != shape or array.dtype != dtype:
        raise UserError(
            f"{path}: the shard holds {array.dtype} {list(array.shape)}, expected {dtype}"
            f" {list(shape)} by {MANIFEST}"
        )
    return array
