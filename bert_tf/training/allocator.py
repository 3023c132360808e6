"""Large buffers on the CPU: keep them instead of giving them back to the system each time."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory():
    """Makes malloc reuse freed buffers of any size; returns whether that could be set.

    glibc maps every buffer above 32 MB anew and unmaps it when freed, so each step pays a page
    fault for every 4 KB of the embedding table's gradient and of each copy of it: more than the
    arithmetic on them. The process then holds its peak memory until it ends. Does nothing without
    glibc. Call it before the first step.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
