"""Byte strings of known sizes by number, in a block of memory or in a sparse file."""

import contextlib
import io
import itertools
import os
import pathlib

import numpy as np
from absl import logging

from bert_tf import files, locks
from bert_tf.errors import UserError


class StoreFault(Exception):
    """The store cannot be read or written. One line that names the file; nothing wrong was read.

    What is to be done is to compute the hidden states instead. After a fault in reading, the store
    has no entries any more; after any fault it stores nothing more. So each store raises at most
    one fault of each kind, unless entries are asked for that `has` denies.
    """


class MemoryEntries:
    """Entries in one block of memory, in the order they were written.

    Attributes:
      name: what a fault's message begins with.
      filled: bool [n] which entries are stored at the start.
    """

    name = "activations in memory"

    def __init__(self, sizes, capacity):
        try:
            self._block = np.empty(capacity, np.uint8)  # no page is taken before it is written
        except MemoryError as e:
            raise StoreFault(f"{self.name}: cannot reserve {capacity / 1e9:.1f} GB") from e
        self._starts = np.zeros(len(sizes), np.int64)
        self._end = 0
        self.filled = np.zeros(len(sizes), bool)

    def read(self, ids, entries):
        for start, entry in zip(self._starts[ids].tolist(), entries, strict=True):
            entry[:] = self._block[start : start + len(entry)]

    def write(self, i, data):
        self._block[self._end : self._end + len(data)] = data
        self._starts[i] = self._end
        self._end += len(data)

    def close(self, remove):
        self._block = None


class FileEntries:
    """Entries in a sparse file, with a file that says which are there, and a description.

    The data file is locked: of several processes (or stores) with the same folder and stem each has
    files of its own, `<stem>.data`, `<stem>-2.data` and so on, and a line says so.

    The files are read and written by system calls, not mapped: a mapped file that is cut short or
    meets a full disk ends the process (SIGBUS) where a call returns an error.

    Attributes: see `MemoryEntries`.
    """

    def __init__(self, folder, stem, sizes, made_for):
        self._folder = folder
        self.name = str(folder / stem)
        self._offsets = np.concatenate([[0], np.cumsum(sizes)])
        self._total = int(self._offsets[-1])
        self._made_for = made_for
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock(stem)
            try:
                if not self._take_over(len(sizes)):
                    self._begin(len(sizes))
                self._index = io.FileIO(self._filled_path, "r+")
            except BaseException:
                self._data.close()
                raise
        except OSError as e:
            raise StoreFault(f"{e.filename or self.name}: {e.strerror or e}") from e
        except UserError as e:
            raise StoreFault(str(e)) from e

    def _lock(self, stem):
        for number in itertools.count(1):
            name = stem if number == 1 else f"{stem}-{number}"
            self._paths = _paths(self._folder / name)
            self._data_path, self._filled_path, self._json_path = self._paths
            descriptor = locks.lock_file(self._data_path)
            if descriptor is not None:
                break
            logging.info("%s: in use by another run: this one keeps its own", self._data_path)
        self._data = io.FileIO(descriptor, "r+")
        self.name = str(self._data_path)

    def read(self, ids, entries):
        offsets = self._offsets[ids].tolist()
        descriptor = self._data.fileno()
        # All of the batch is asked for at once: from a cold disk, a third of the time.
        for offset, entry in zip(offsets, entries, strict=True):
            os.posix_fadvise(descriptor, offset, len(entry), os.POSIX_FADV_WILLNEED)
        for offset, entry in zip(offsets, entries, strict=True):
            done = 0
            while done < len(entry):
                count = os.preadv(descriptor, [entry[done:]], offset + done)
                if not count:
                    raise self._cut_short()
                done += count

    def write(self, i, data):
        descriptor = self._data.fileno()
        # Writing beyond a cut would make the file whole again, with zeros for entries it had.
        if os.fstat(descriptor).st_size != self._total:
            raise self._cut_short()
        offset, done = int(self._offsets[i]), 0
        while done < len(data):
            done += os.pwrite(descriptor, data[done:], offset + done)
        os.pwrite(self._index.fileno(), b"\1", i)

    def close(self, remove):
        if self._data.closed:
            return
        if remove or not self._sync():
            _remove(self._paths)
        self._index.close()
        self._data.close()  # and with it the lock

    def _sync(self):
        try:
            os.fsync(self._data.fileno())
            os.fsync(self._index.fileno())
            self._describe(None)
            return True
        except (OSError, UserError) as e:
            logging.warning("%s: the stored activations cannot be kept: %s", self.name, e)
            return False

    def _take_over(self, count):
        """Whether files are there that fit; if so sets `filled`, else warns of what is wrong."""
        if not os.fstat(self._data.fileno()).st_size and not self._json_path.exists():
            return False
        try:
            self._check_description()
            for path, size in ((self._data_path, self._total), (self._filled_path, count)):
                found = path.stat().st_size
                if found != size:
                    raise UserError(f"{path}: {found} bytes, expected {size}")
            filled = np.fromfile(self._filled_path, np.uint8)
            if filled.max(initial=0) > 1:
                raise UserError(f"{self._filled_path}: a byte is {filled.max()}, expected 0 or 1")
        except (OSError, UserError) as e:
            logging.warning("stored activations are dropped and begun anew: %s", e)
            return False
        self._describe(_boot_id())
        self.filled = filled.astype(bool)
        return True

    def _check_description(self):
        found = files.read_json(self._json_path, "description of stored activations")
        for key, expected in self._made_for.items():
            if found.get(key) != expected:
                raise UserError(
                    f"{self._json_path}: {key} is {found.get(key)!r}, expected {expected!r}"
                )
        # Without fsync, a crash of the machine may keep an entry's byte and lose its data.
        if found.get("boot") not in (None, _boot_id()):
            raise UserError(f"{self._json_path}: not closed before the machine was restarted")

    def _begin(self, count):
        try:
            for path in (self._json_path, self._filled_path):
                path.unlink(missing_ok=True)
            self._data.truncate(0)
            self._data.truncate(self._total)
            # Zeros are really written, so that a full disk cannot refuse an entry's byte later.
            self._filled_path.write_bytes(bytes(count))
            self._describe(_boot_id())
        except (OSError, UserError):
            _remove(self._paths)
            raise
        self.filled = np.zeros(count, bool)

    def _describe(self, boot):
        files.write_json(self._json_path, {**self._made_for, "boot": boot})

    def _cut_short(self):
        found = os.fstat(self._data.fileno()).st_size
        return StoreFault(f"{self.name}: {found} bytes, expected {self._total}: it was cut short")


def remove_leftovers(folder, depth):
    """Removes the files of a depth that processes left when they were killed, with a warning each.

    What a process has open stays, and what it was to keep.

    Args:
      folder: pathlib.Path of the files.
      depth: see `ActivationStore`; its older files, without a fingerprint in their names, go too.
    """
    for data in (folder / f"depth-{depth}.data", *sorted(folder.glob(f"depth-{depth}-*.data"))):
        with contextlib.suppress(OSError):
            if not data.exists() or (descriptor := locks.lock_file(data)) is None:
                continue
            try:
                paths = _paths(data.with_suffix(""))
                if not _is_kept(paths[-1]) or data.stem == f"depth-{depth}":
                    _remove(paths)
                    logging.warning("%s: made for something else, and left behind: removed", data)
            finally:
                os.close(descriptor)


def _is_kept(description):
    """Whether a store was closed to be kept."""
    try:
        return files.read_json(description, "description of stored activations")["boot"] is None
    except (UserError, KeyError):
        return False


def _paths(stem):
    return [stem.with_name(f"{stem.name}.{suffix}") for suffix in ("data", "filled", "json")]


def _remove(paths):
    for path in reversed(paths):  # the description first: without it, the rest is void
        try:
            path.unlink(missing_ok=True)
        except OSError as e:
            logging.warning("%s: cannot remove: %s", path, e.strerror or e)


def _boot_id():
    """A text that changes when the machine restarts; empty where the system has none."""
    with contextlib.suppress(OSError):
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
