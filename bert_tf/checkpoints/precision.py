"""Half-precision weights become float32, the precision of every model folder."""

import numpy as np


def widen(value):
    """Returns float16 and bfloat16 arrays as float32 (exact), anything else unchanged."""
    half = isinstance(value, np.ndarray) and value.dtype.name in ("float16", "bfloat16")
    return value.astype(np.float32) if half else value
