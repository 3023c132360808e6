"""Locks on files: one process at a time, and none of them left by a process that was killed."""

import contextlib
import fcntl
import os

from absl import logging


def lock_file(path, wait=False):
    """Opens `path`, made if need be, and locks it for this descriptor alone (flock).

    The lock ends with the descriptor: with the process at the latest, however that ends. Its holder
    may remove the file; who waited for it then makes a new one.

    Args:
      path: the file; its folder must exist.
      wait: wait for another holder.

    Returns:
      File descriptor, open to read and write; None where another one holds the lock.

    Raises:
      OSError: the file cannot be opened, or its file system knows no locks.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the holder before has removed the file


@contextlib.contextmanager
def hold(path, wait=False):
    """Context: yields whether this process holds the lock file `path`, which is gone afterwards.

    Where the file system knows no locks it goes on without, after a warning.

    Args:
      path, wait: see `lock_file`.
    """
    descriptor = None
    try:
        descriptor = lock_file(path, wait)
        free = descriptor is not None
    except OSError as e:
        logging.warning(
            "%s: cannot lock (%s): nothing keeps a second process out", path, e.strerror or e
        )
        free = True
    try:
        yield free
    finally:
        if descriptor is not None:
            try:
                if _is_at(descriptor, path):  # else somebody removed it, and it is another's
                    os.unlink(path)
            finally:
                os.close(descriptor)


def _is_at(descriptor, path):
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
