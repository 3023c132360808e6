"""The task of a user's own files: TSV, CSV or JSON lines, with columns named or numbered."""

import dataclasses

import numpy as np

from bert_tf.data import class_labels
from bert_tf.data.broken_rows import mend
from bert_tf.data.examples import make_examples
from bert_tf.data.headers import check_first_row
from bert_tf.data.readers import format_of, read_table
from bert_tf.data.table import separator_hint
from bert_tf.data.task import SplitFile, Task
from bert_tf.errors import UserError

COLUMNS = ("text_column", "text_pair_column", "label_column", "id_column")
_BLANK_HINT = ": the line is blank: delete it"
_QUOTES_HINT = ": texts with a line end or a separator in them must be in quotes"


@dataclasses.dataclass(frozen=True)
class CustomTask(Task):
    """See `custom_task`. `read` takes any data_dir: the task knows its files.

    Attributes:
      files: (split, path) pairs.
      text_column, text_pair_column, label_column, id_column: header names or, as str of a number,
        positions.
    """

    files: tuple[tuple[str, str | None], ...] = ()
    text_column: str = ""
    text_pair_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None

    def read(self, data_dir, split):
        table, spec = self.source(data_dir, split)
        examples = make_examples(
            table,
            text_a=spec.text_a,
            text_b=spec.text_b,
            label=spec.label,
            ids=spec.ids,
            parse_labels=self.parse_labels,
        )
        if split == "train" and np.ptp(examples.labels) == 0:
            raise class_labels.constant(spec.file, table.column(spec.label)[0])
        return examples

    def source(self, data_dir, split):
        self.check_split(split)
        spec = self.layout(split)
        label, ids = self._label_and_ids(split)
        table = read_columns(spec.file, (self.text_column, self.text_pair_column), label, ids)
        if table.header is None:
            column = _columns_of(table)
            table = check_first_row(
                table, self.labels,
                text=spec.text_a, label=column(self.label_column), ids=spec.ids,
            )  # fmt: skip
        return table, spec

    def layout(self, split):
        path = dict(self.files).get(split)
        if not path:
            raise UserError(f"--{split}_file is required: task custom has no other {split} set")
        columns = (self.text_column, self.text_pair_column, *self._label_and_ids(split))
        numbered = self.text_column.isdecimal()
        if numbered and format_of(path) != "jsonl":  # whose keys may be numbers
            columns = [None if column is None else int(column) for column in columns]
        return SplitFile(path, *columns, header=not numbered)

    def _label_and_ids(self, split):
        """The columns (as flags give them) of the label and of the ids that `split` needs."""
        if split in self.test_splits:
            return None, self.id_column
        if not self.label_column:
            raise UserError("--label_column is required: the column with the label")
        return self.label_column, None

    def parse_labels(self, table, texts, column=None):
        return super().parse_labels(table, [text.strip() for text in texts], column)

    def to_json(self):
        return {**super().to_json(), **{name: getattr(self, name) for name in COLUMNS}}


def custom_task(
    train_file=None,
    dev_file=None,
    test_file=None,
    text_column=None,
    text_pair_column=None,
    label_column=None,
    labels=None,
    regression=False,
    id_column=None,
):
    """Returns the `Task` of a user's own files.

    Args:
      train_file, dev_file, test_file: .tsv, .csv or .jsonl files; those not given cannot be read.
      text_column, text_pair_column, label_column: header names; if all are numbers, the files
        have no header and these are positions, from 0. A test file needs no label column. In JSON
        lines all are keys.
      labels: class names in the order of the model's outputs; None takes those of the training
        file, sorted (by value if all are integers).
      regression: the label is a number to predict.
      id_column: the column of a test file, in the same way, that names its rows in the predictions;
        None numbers them, from 0.

    Raises:
      UserError: text_column is missing or the label's, names and numbers are mixed, there is no
        file to take the labels from, or what `class_labels.discover` raises.
    """
    if text_column in (None, ""):
        raise UserError("--text_column is required: the column with the text")
    columns = tuple(
        None if column in (None, "") else str(column)
        for column in (text_column, text_pair_column, label_column, id_column)
    )
    numbered = {column.isdecimal() for column in columns if column is not None}
    if len(numbered) > 1:
        given = ", ".join(column for column in columns if column is not None)
        raise UserError(f"--text_column, --label_column: {given}: give all by name or by number")
    if columns[2] is not None and columns[2] in columns[:2]:
        raise UserError(
            f"--label_column={columns[2]}: is the column of a text, too, which would tell the"
            " label: name another one"
        )
    if regression:
        labels = None
    elif labels is None:
        labels = _discover_labels(train_file, columns)
    else:
        labels = check_labels([str(label).strip() for label in labels])
    return CustomTask(
        "custom",
        labels,
        metrics_of(labels),
        files=(("train", train_file), ("dev", dev_file), ("test", test_file)),
        **dict(zip(COLUMNS, columns, strict=True)),
    )


def metrics_of(labels):
    """Returns the names of the metrics of a task with these labels, None for a regression."""
    if labels is None:
        return ("pearson", "spearman")
    return ("accuracy", "f1", "precision", "recall")


def _columns_of(table):
    """Function: a column as the flags name it -> as `Table` does."""
    named = table.header is not None
    return lambda column: column if named or column is None else int(column)


def read_columns(path, texts, label=None, ids=None, numbered=None):
    """Returns the `Table` of a file, whose rows must fit its header or first row.

    Args:
      path: the file.
      texts, label, ids: columns that are needed, as flags name them.
      numbered: whether these are positions; None decides by their names.

    Raises:
      UserError: the file cannot be read, lacks a column, or a row has others than the header.
    """
    columns = [column for column in (*texts, label, ids) if column is not None]
    numbered = columns[0].isdecimal() if numbered is None else numbered
    table = read_table(path, header=not numbered, keys=columns)
    if label is not None:
        table = table.without_empty_rows()
    table = table.without_empty_ends()
    if table.header is not None:
        if ids is not None and ids not in table.header:
            raise UserError(
                f"{path}:1: no column {ids!r} in the header, to name the rows by: give another"
                " --id_column, or an empty one (--id_column=) to number them"
            )
        for column in columns:
            table.index_of(column)  # raises, naming what the header has
        table = mend(table, texts, ids=ids)
    width, remarks = table.width, "".join(f" ({remark})" for remark in table.remarks)
    for index, row in enumerate(table.rows):
        if len(row) != width:
            like = f"line {table.numbers[0]}" if table.header is None else "the header"
            raise UserError(
                f"{table.where(index)}: columns: found {len(row)}, expected {width} as in {like}"
                f"{_BLANK_HINT if row == [''] else separator_hint(row) or _QUOTES_HINT}{remarks}"
            )
    return table


def _discover_labels(train_file, columns):
    if not train_file:
        raise UserError("--labels is required: there is no --train_file to find them in")
    label = columns[2]
    if label is None:
        raise UserError("--label_column is required: the column with the label")
    table = read_columns(train_file, columns[:2], label)
    return class_labels.discover(table, _columns_of(table)(label))


def check_labels(labels):
    """Returns the names (list of str) of classes as a tuple; they must be different ones."""
    if len(set(labels)) != len(labels) or len(labels) < 2 or not all(labels):
        raise UserError(
            f"--labels={','.join(labels)}: expected two or more different labels, none of them"
            " empty"
        )
    return tuple(labels)
