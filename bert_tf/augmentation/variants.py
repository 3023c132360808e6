"""Variants of a text: some of its words replaced by candidates, the rest of it untouched."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Slot:
    """A word of a text and what it may become.

    Attributes:
      start, end: positions of its characters in the text.
      candidates: the words (tuple of str), one or more.
    """

    start: int
    end: int
    candidates: tuple[str, ...]


def variants(text, slots, attempts, probability, stream):
    """Returns the different texts (list of str), none of them `text`, that the attempts make.

    Args:
      text: str.
      slots: its `Slot`s, in order.
      attempts: how many to make; each draws a candidate for every slot, and whether to take it.
      probability: of taking it.
      stream: ints that the draws are a function of, such as (seed, row).
    """
    if not slots:
        return []
    found = {}
    for draws in _uniform(stream, [attempts, len(slots), 2]):
        pieces, position = [], 0
        for slot, (choice, taken) in zip(slots, draws, strict=True):
            if taken < probability:
                candidate = slot.candidates[int(choice * len(slot.candidates))]
                pieces += [text[position : slot.start], candidate]
                position = slot.end
        found["".join([*pieces, text[position:]])] = None
    found.pop(text, None)
    return list(found)


def _uniform(stream, shape):
    """float64 in [0, 1) of this shape, the same with every version of NumPy."""
    raw = np.random.PCG64(stream).random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)
