"""Random numbers that are a pure function of a key and an index: no generator, no state.

SplitMix64 (Steele, Lea & Flood, 2014, "Fast Splittable Pseudorandom Number Generators"): element i
of a stream is the mixed value of key + (i + 1) * gamma, so any element is found at once.
"""

import numpy as np

_GAMMA = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def stream_key(*parts):
    """Returns the key (int) of the stream that the ints `parts` name, in their order."""
    key = 0
    for part in parts:
        key = int(random_bits(key ^ (part & _MASK), np.zeros(1, np.uint64))[0])
    return key


def random_bits(key, indices):
    """Returns uint64 of the shape of `indices`: those elements of the stream `key`.

    Args:
      key: int in [0, 2**64), or uint64 array that broadcasts with `indices`.
      indices: uint64 array.
    """
    bits = np.uint64(key) if isinstance(key, int) else key
    bits = bits + (indices + np.uint64(1)) * np.uint64(_GAMMA)
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def below(bits, limit):
    """Returns int64: `bits` (uint64) brought to [0, limit), limit at most 2**32.

    The high 32 bits times the limit (Lemire, 2019), whose bias is below limit / 2**32.
    """
    return (((bits >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)
