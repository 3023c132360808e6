"""Cells that are numbers."""

import math


def is_integer(text):
    """Whether a cell is an integer."""
    return text.lstrip("+-").isdecimal()


def is_number(text):
    """Whether a cell is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
