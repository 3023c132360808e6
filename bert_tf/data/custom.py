"""The task of a user's own files: TSV, CSV or JSON lines, with columns named or numbered."""

import dataclasses
import re

import numpy as np

from bert_tf.data.examples import make_examples
from bert_tf.data.readers import read_table, shown
from bert_tf.data.task import Task
from bert_tf.errors import UserError

_MANY_LABELS = 20


@dataclasses.dataclass(frozen=True)
class CustomTask(Task):
    """See `custom_task`. `read` takes any data_dir: the task knows its files.

    Attributes:
      files: (split, path) pairs.
      text_column, text_pair_column, label_column: header names or, as str of a number, positions.
    """

    files: tuple[tuple[str, str | None], ...] = ()
    text_column: str = ""
    text_pair_column: str | None = None
    label_column: str | None = None

    def read(self, data_dir, split):
        self.check_split(split)
        path = dict(self.files).get(split)
        if not path:
            raise UserError(f"--{split}_file is required: task custom has no other {split} set")
        labelled = split not in self.test_splits
        if labelled and not self.label_column:
            raise UserError("--label_column is required: the column with the label")
        label_column = self.label_column if labelled else None
        table = _read(path, (self.text_column, self.text_pair_column, label_column))
        examples = make_examples(
            table,
            text_a=_column(self.text_column),
            text_b=_column(self.text_pair_column),
            label=_column(label_column),
            parse_labels=self.parse_labels,
        )
        if split == "train" and np.ptp(examples.labels) == 0:
            raise _constant(path, table.column(_column(label_column))[0])
        return examples

    def parse_labels(self, table, texts):
        return super().parse_labels(table, [text.strip() for text in texts])

    def to_json(self):
        columns = ("text_column", "text_pair_column", "label_column")
        return {**super().to_json(), **{name: getattr(self, name) for name in columns}}


def custom_task(
    train_file=None,
    dev_file=None,
    test_file=None,
    text_column=None,
    text_pair_column=None,
    label_column=None,
    labels=None,
    regression=False,
):
    """Returns the `Task` of a user's own files.

    Args:
      train_file, dev_file, test_file: .tsv, .csv or .jsonl files; those not given cannot be read.
      text_column, text_pair_column, label_column: header names; if all are numbers, the files
        have no header and these are positions, from 0. A test file needs no label column.
      labels: class names in the order of the model's outputs; None takes those of the training
        file, sorted (by value if all are integers).
      regression: the label is a number to predict.

    Raises:
      UserError: text_column is missing, names and numbers are mixed, there is no file to take the
        labels from, or there are fewer than two labels.
    """
    if text_column in (None, ""):
        raise UserError("--text_column is required: the column with the text")
    columns = tuple(
        None if column in (None, "") else str(column)
        for column in (text_column, text_pair_column, label_column)
    )
    numbered = {column.isdecimal() for column in columns if column is not None}
    if len(numbered) > 1:
        given = ", ".join(column for column in columns if column is not None)
        raise UserError(f"--text_column, --label_column: {given}: give all by name or by number")
    if regression:
        labels = None
    elif labels is None:
        labels = _discover_labels(train_file, columns)
    else:
        labels = _check_labels([str(label).strip() for label in labels])
    return CustomTask(
        "custom",
        labels,
        _metrics(labels),
        files=(("train", train_file), ("dev", dev_file), ("test", test_file)),
        text_column=columns[0],
        text_pair_column=columns[1],
        label_column=columns[2],
    )


def _metrics(labels):
    if labels is None:
        return ("pearson", "spearman")
    return ("accuracy", "f1", "precision", "recall")


def _column(column):
    return int(column) if column is not None and column.isdecimal() else column


def _read(path, columns):
    """The table in `path`; rows that do not fit its header are an error here."""
    numbered = any(column is not None and column.isdecimal() for column in columns)
    named = [column for column in columns if column is not None]
    table = read_table(path, header=not numbered, keys=named)
    if table.header is None:
        return table
    width = len(table.header)
    for index, row in enumerate(table.rows):
        if len(row) != width:
            raise UserError(
                f"{table.where(index)}: columns: found {len(row)}, expected {width} as in the"
                " header"
            )
    return table


def _discover_labels(train_file, columns):
    if not train_file:
        raise UserError("--labels is required: there is no --train_file to find them in")
    if columns[2] is None:
        raise UserError("--label_column is required: the column with the label")
    texts = [t.strip() for t in _read(train_file, columns).column(_column(columns[2]))]
    found = set(texts)
    if len(found) > max(_MANY_LABELS, len(texts) // 2):
        raise UserError(
            f"{train_file}: {len(found)} different labels in {len(texts)} rows of column"
            f" {columns[2]!r}: expected classes (or --regression, or --labels)"
        )
    if len(found) == 1:
        raise _constant(train_file, texts[0])
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", label) for label in found):
        return tuple(sorted(found, key=lambda label: (int(label), label)))
    return tuple(sorted(found))


def _constant(path, label):
    return UserError(f"{path}: every row has the label {shown(label)}, expected different ones")


def _check_labels(labels):
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise UserError(f"--labels={','.join(labels)}: expected two or more different labels")
    return tuple(labels)
