"""Examples of a task, and the checks that turn label text into numbers."""

import dataclasses
import math

import numpy as np
from absl import logging

from bert_tf.data.readers import shown
from bert_tf.errors import UserError


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
    """

    ids: list[str]
    text_a: list[str]
    text_b: list[str] | None
    labels: np.ndarray | None
    source: str

    def __len__(self):
        return len(self.text_a)

    def __getitem__(self, part):
        return Examples(
            self.ids[part],
            self.text_a[part],
            None if self.text_b is None else self.text_b[part],
            None if self.labels is None else self.labels[part],
            self.source,
        )

    @property
    def empty_texts(self):
        """How many texts have nothing in them; they are allowed, as [CLS] [SEP]."""
        return sum(not text.strip() for text in [*self.text_a, *(self.text_b or [])])


def make_examples(table, *, text_a, text_b=None, label=None, ids=None, parse_labels=None):
    """Takes the columns of a task out of a table.

    Args:
      table: `Table`.
      text_a, text_b, label, ids: columns (header name or position), None where there is none.
      parse_labels: function (table, label texts) -> array, needed with `label`.

    Returns:
      `Examples`; empty texts are counted in one warning.

    Raises:
      UserError: no rows, a column is missing, a row is too short, or a label is not one.
    """
    if not len(table):
        raise UserError(f"{table.path}: no rows are left, expected examples")
    examples = Examples(
        ids=list(map(str, range(len(table)))) if ids is None else table.column(ids),
        text_a=table.column(text_a),
        text_b=None if text_b is None else table.column(text_b),
        labels=None if label is None else parse_labels(table, table.column(label)),
        source=str(table.path),
    )
    if examples.empty_texts:
        logging.warning("%s: %d texts are empty", table.path, examples.empty_texts)
    return examples


def label_indices(table, texts, labels):
    """Returns int32 [n]: the position of each text in `labels` (tuple of str).

    Raises:
      UserError: another label, naming the row and what is allowed.
    """
    index = {label: i for i, label in enumerate(labels)}
    try:
        return np.fromiter((index[text] for text in texts), np.int32, len(texts))
    except KeyError:
        row = next(i for i, text in enumerate(texts) if text not in index)
        allowed = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
        raise UserError(
            f"{table.where(row)}: unknown label {shown(texts[row])}, expected one of {allowed}"
        ) from None


def scores(table, texts, score_range=None):
    """Returns float32 [n]: the scores of a regression task.

    Args:
      table: `Table`, for messages.
      texts: the scores as text.
      score_range: (lowest, highest) allowed, or None for any finite number.

    Raises:
      UserError: not a number, not finite, or out of range, naming the row.
    """
    low, high = score_range or (-np.finfo(np.float32).max, np.finfo(np.float32).max)
    values = np.empty(len(texts), np.float32)
    for row, text in enumerate(texts):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            expected = f"a number from {low} to {high}" if score_range else "a finite number"
            raise UserError(
                f"{table.where(row)}: score {shown(text)}, expected {expected}"
            ) from None
        values[row] = value
    return values
