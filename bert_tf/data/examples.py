"""Examples of a task, and the checks that turn label text into numbers."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from absl import logging

from bert_tf.data.class_labels import MISSING
from bert_tf.data.table import counted
from bert_tf.errors import UserError, shown

_LARGEST = float(np.finfo(np.float32).max)
_HEADER_HINT = (
    ": is the line a header? Where columns are found by number there is none: delete it, or name"
    " the columns of a custom task"
)


@dataclasses.dataclass(frozen=True)
class RowNumbers:
    """How the rows of a file are told apart, in file order.

    Attributes:
      ids: what the file calls each row (str), its 0-based number if it has no name.
      lines: the 1-based line in which each begins.
    """

    ids: Sequence[str]
    lines: Sequence[int]


@dataclasses.dataclass
class Examples:
    """The examples of one split, in file order. Slices are `Examples` too.

    Attributes:
      ids: what the file calls each example, its 0-based position if it does not.
      text_a: first texts.
      text_b: second texts, None for a single-sentence task.
      labels: int32 [n] positions in the task's labels, float32 [n] scores of a regression task, or
        None for a test split.
      source: file they come from.
      lines: the 1-based line of the file in which each begins, None if that is not known.
    """

    ids: list[str]
    text_a: list[str]
    text_b: list[str] | None
    labels: np.ndarray | None
    source: str
    lines: Sequence[int] | None = None

    def __len__(self):
        return len(self.text_a)

    def __getitem__(self, part):
        return Examples(
            self.ids[part],
            self.text_a[part],
            None if self.text_b is None else self.text_b[part],
            None if self.labels is None else self.labels[part],
            self.source,
            None if self.lines is None else self.lines[part],
        )

    def taken(self, positions):
        """Returns the `Examples` at some positions (int [n]), in their order."""

        def of(values):
            return None if values is None else [values[i] for i in positions]

        labels = None if self.labels is None else self.labels[positions]
        columns = map(of, (self.ids, self.text_a, self.text_b))
        return Examples(*columns, labels, self.source, of(self.lines))

    @property
    def numbers(self):
        """Their `RowNumbers`."""
        return RowNumbers(self.ids, self.lines)

    @property
    def empty_texts(self):
        """How many texts have nothing in them; they are allowed, as [CLS] [SEP]."""
        return sum(not text.strip() for text in [*self.text_a, *(self.text_b or [])])


def make_examples(table, *, text_a, text_b=None, label=None, ids=None, parse_labels=None):
    """Takes the columns of a task out of a table.

    Args:
      table: `Table`.
      text_a, text_b, label, ids: columns (header name or position), None where there is none.
      parse_labels: function (table, label texts, column) -> array, needed with `label`.

    Returns:
      `Examples`; what the table remarks and how many texts are empty is logged.

    Raises:
      UserError: no rows, a column is missing, a row is too short, a label is not one, or a row
        without label has no id.
    """
    for remark in table.remarks:
        logging.warning("%s: %s", table.path, remark)
    if not len(table):
        raise UserError(f"{table.path}: no rows are left, expected examples")
    examples = Examples(
        ids=list(map(str, range(len(table)))) if ids is None else table.column(ids),
        text_a=table.column(text_a),
        text_b=None if text_b is None else table.column(text_b),
        labels=None if label is None else parse_labels(table, table.column(label), label),
        source=str(table.path),
        lines=table.numbers,
    )
    if ids is not None and label is None:
        _check_ids(table, examples.ids, ids)
    if examples.empty_texts:
        empty = counted(examples.empty_texts, "text is", "texts are")
        logging.warning("%s: %s empty", table.path, empty)
    return examples


def label_indices(table, texts, labels, column=None):
    """Returns int32 [n]: the position of each text in `labels` (tuple of str).

    Raises:
      UserError: another label, naming the row and what is allowed; `column` is its column's name.
    """
    index = {label: i for i, label in enumerate(labels)}
    try:
        return np.fromiter((index[text] for text in texts), np.int32, len(texts))
    except KeyError:
        row = next(i for i, text in enumerate(texts) if text not in index)
        allowed = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
        raise UserError(
            f"{table.where(row)}: unknown label {shown(texts[row])}, expected one of {allowed}"
            f"{_hint(table, row, texts, column)}"
        ) from None


def scores(table, texts, score_range=None, column=None):
    """Returns float32 [n]: the scores of a regression task.

    Args:
      table: `Table`, for messages.
      texts: the scores as text.
      score_range: (lowest, highest) allowed, or None for any finite number.
      column: the name of their column, for messages.

    Raises:
      UserError: not a number, not finite, or out of range, naming the row.
    """
    low, high = score_range or (-_LARGEST, _LARGEST)
    values = np.empty(len(texts), np.float32)
    for row, text in enumerate(texts):
        try:
            value = math.nan if "_" in text else float(text)  # Python reads 1_000, too
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            expected = f"a number from {low} to {high}" if score_range else "a finite number"
            raise UserError(
                f"{table.where(row)}: score {shown(text)}, expected {expected}"
                f"{_hint(table, row, texts, column)}"
            ) from None
        values[row] = value
    return values


def _hint(table, row, texts, column):
    """What may be wrong with a label or score that is none, and what to do."""
    if not texts[row].strip():
        return f": column {column!r} is empty: fill it in or delete the row"
    if texts[row].strip().casefold() in MISSING:
        return f": column {column!r} has no label there: delete such rows"
    if row == 0 and table.header is None and len(texts) > 1:
        return _HEADER_HINT
    return ""


def _check_ids(table, ids, column):
    """Predictions go by the ids: each row has one; that two have the same is worth a warning."""
    first, again = {}, []
    for row, found in enumerate(ids):
        if not found.strip():
            raise UserError(
                f"{table.where(row)}: column {column!r} is empty, expected the row's id: fill it in"
            )
        if first.setdefault(found, row) != row:
            again.append(row)
    if again:
        row, found = again[0], ids[again[0]]
        logging.warning(
            "%s: %s the id of a row before, such as %s in lines %d and %d: tell their predictions"
            " apart by the line",
            table.path, counted(len(again), "row has", "rows have"), shown(found),
            table.numbers[first[found]], table.numbers[row],
        )  # fmt: skip
