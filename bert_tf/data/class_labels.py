"""The classes that a training file shows, and how many examples each has."""

import collections
import math
import re
import unicodedata

import numpy as np
from absl import logging

from bert_tf.data.table import counted
from bert_tf.errors import UserError, shown

MISSING = frozenset({"-", "nan", "null", "<na>", "#n/a", "n/a"})
"""What others write where there is no label; "-" in SNLI and MultiNLI: the annotators disagreed."""

_MANY = 20
_REMEDY = "or name the classes in --labels"


def discover(table, column):
    """Returns the classes (tuple of str) in a column, sorted, by value if all are integers.

    Args:
      table: `Table` of the training file.
      column: header name or position.

    Raises:
      UserError: a row without label, one that is a header, labels that differ in form only, as many
        classes as there are in texts or scores, or only one.
    """
    texts = [text.strip() for text in table.column(column)]
    rows = {}
    for row, text in enumerate(texts):
        rows.setdefault(text, row)
    for text, row in rows.items():
        if not text:
            raise UserError(
                f"{table.where(row)}: column {column!r} is empty, expected a label: fill it in or"
                " delete the row"
            )
    _refuse_header(table, texts)
    for text, row in rows.items():
        if text.casefold() in MISSING:
            have_it = counted(texts.count(text), "row that has", "rows that have")
            raise UserError(
                f"{table.where(row)}: column {column!r} is {shown(text)}, which is no label: delete"
                f" the {have_it} it, {_REMEDY}"
            )
    if len(rows) > max(_MANY, len(texts) // 2):
        raise UserError(
            f"{table.path}: {len(rows)} different labels in {len(texts)} rows of column"
            f" {str(column)!r}: expected classes (or --regression, or --labels)"
        )
    if len(rows) == 1:
        raise constant(table.path, texts[0])
    _refuse_forms(table, rows)
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", label) for label in rows):
        return tuple(sorted(rows, key=lambda label: (int(label), label)))
    return tuple(sorted(rows))


def constant(path, label):
    """Returns the `UserError` for a training file in which all labels are the same."""
    return UserError(f"{path}: every row has the label {shown(label)}, expected different ones")


def report(labels, train, evaluated):
    """Logs how many training examples each class has, and warns of what is too few.

    Args:
      labels: names of the classes.
      train: int [n] their positions, of the training examples; None without training.
      evaluated: {split: int [n]} of the examples to evaluate on.
    """
    if train is not None:
        counts = np.bincount(train, minlength=len(labels))
        listed = ", ".join(
            f"{shown(label)} {count}" for label, count in zip(labels[:_MANY], counts, strict=False)
        )
        more = f", and {len(labels) - _MANY} more" if len(labels) > _MANY else ""
        logging.info("%d training examples: %s%s", len(train), listed, more)
        _warn(labels, counts == 0, "classes without a training example")
        _warn(labels, counts == 1, "classes of one training example: are they mistakes?")
    for split, found in evaluated.items():
        counts = np.bincount(found, minlength=len(labels))
        _warn(labels, counts == 0, f"classes that {split} has no example of")


def _warn(labels, which, what):
    names = [shown(label) for label, is_so in zip(labels, which, strict=True) if is_so]
    if names:
        more = ", ..." if len(names) > _MANY else ""
        logging.warning("%s: %s%s", what, ", ".join(names[:_MANY]), more)


def _refuse_header(table, texts):
    """Raises for a first row whose label is nowhere else, while others are or are numbers."""
    counts = collections.Counter(texts[1:])
    if table.header is not None or not counts or texts[0] in counts:
        return
    numbers = all(_number(text) is not None for text in counts)
    if max(counts.values()) > 1 or (numbers and _number(texts[0]) is None):
        raise UserError(
            f"{table.where(0)}: found the label {shown(texts[0])}, which no other row has: is the"
            " line a header? Then give the columns by name, such as --text_column=text; if it is a"
            " row, name the classes in --labels"
        )


def _refuse_forms(table, rows):
    seen = {}
    for text, row in rows.items():
        other = seen.setdefault(_form(text), text)
        if other != text:
            raise UserError(
                f"{table.where(row)}: label {shown(text)}, and {shown(other)} in line"
                f" {table.numbers[rows[other]]}: write one class in one way, {_REMEDY}"
            )


def _form(label):
    """What labels share that are the same but for case, spaces and the form of a number."""
    number = _number(label)
    if number is not None:
        return number
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def _number(text):
    """The finite number in `text`, else None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
