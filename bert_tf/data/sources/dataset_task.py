"""The task of a data set: a custom task whose rows come from a `Source`."""

import dataclasses
from typing import Any

import numpy as np
from absl import logging

from bert_tf import files
from bert_tf.data import class_labels
from bert_tf.data.custom import CustomTask, check_labels, metrics_of
from bert_tf.data.sources.base import Column, Roles, Source
from bert_tf.data.sources.numbers import is_integer, is_number
from bert_tf.data.sources.splitting import Draw, Part
from bert_tf.data.table import counted
from bert_tf.data.task import SplitFile
from bert_tf.errors import UserError, shown

UNLABELLED = "-1"
"""The class of rows without a label, as data sets have it."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Where the rows of a task are.

    Attributes:
      source: `Source`.
      parts: {split of the task: `Part`}.
      column: `Column` of the label, None where there is none.
      drawn: `Draw` of the dev set, None if the data set has its own.
    """

    source: Source
    parts: dict[str, Part]
    column: Column | None
    drawn: Draw | None = None

    def labels(self, roles):
        """Returns the `Table` of the labelled training rows, the dev rows drawn from them included.

        Raises:
          UserError: there is no training split.
        """
        split = self.part("train").split
        return self.source.read_labels(split, roles)

    def part(self, split):
        """Returns the `Part` of a split of the task.

        Raises:
          UserError: the data set has none.
        """
        if split in self.parts:
            return self.parts[split]
        kind = split.partition("_")[0]
        found = ", ".join(self.source.splits())
        draws = " or draw one from the training rows with --dev_fraction=0.1"
        raise UserError(
            f"{self.source.name}: has no {kind} split, but {found}: name one with"
            f" --{kind}_split{draws if kind == 'dev' else ''}"
        )


@dataclasses.dataclass(frozen=True)
class DatasetTask(CustomTask):
    """See `dataset_task`. `read` takes any data_dir: the task knows its rows.

    Attributes:
      rows: `Rows`.
      by_number: whether the labels are the numbers of classes, not their names.
    """

    rows: Any = dataclasses.field(default=None, compare=False, repr=False)
    by_number: bool = False

    def source(self, data_dir, split):
        self.check_split(split)
        part, spec = self.rows.part(split), self.layout(split)
        roles = Roles(spec.text_a, spec.text_b, spec.label, spec.ids)
        self._check_columns(part, roles)
        table = self.rows.source.read(part.split, roles, part.rows)
        if spec.label is not None and self.rows.column.labels is not None:
            table = self._labelled(table, part)
        return table, spec

    def layout(self, split):
        label, ids = self._label_and_ids(split)
        name = f"{self.rows.source.name} {self.rows.part(split).text}"
        return SplitFile(name, self.text_column, self.text_pair_column, label, ids)

    def parse_labels(self, table, texts, column=None):
        names = self.rows.column.labels
        if names is not None and not self.by_number:
            texts = [names[int(text)] if is_class(text, names) else text for text in texts]
        return super().parse_labels(table, texts, column)

    def to_json(self):
        return {**super().to_json(), "dataset": describe(self.rows)}

    def _check_columns(self, part, roles):
        source = self.rows.source
        names = [column.name for column in source.columns(part.split)]
        for name in roles.names:
            if name not in names:
                raise UserError(
                    f"{source.name} {part.split}: no column {name!r}: found {', '.join(names[:20])}"
                )

    def _labelled(self, table, part):
        """The rows that have a label; classes say -1 of those that have none."""
        labels = table.column(self.label_column)
        keep = [row for row, label in enumerate(labels) if label != UNLABELLED]
        if not keep:
            raise UserError(
                f"{self.rows.source.name} {part.text}: no row has a label (all are {UNLABELLED}):"
                " it can be predicted (--test_split), and not be learnt from or evaluated on"
            )
        if len(keep) < len(labels):
            missing = counted(len(labels) - len(keep), "row has", "rows have")
            logging.warning("%s: %s no label (-1), left out", table.path, missing)
            table = table.select(keep)
        return table


def is_class(text, names):
    """Whether a cell is the number of one of the classes with these names."""
    return text.isdecimal() and int(text) < len(names)


def describe(rows):
    """Returns the dict by which a later program draws the same dev set (see `Draw`)."""
    found, drawn = {"name": rows.source.name}, rows.drawn
    if drawn is None:
        return found
    return {
        **found,
        "dev_fraction": drawn.fraction,
        "split_seed": drawn.seed,
        "train_split": drawn.split,
        "rows": drawn.digest,
    }


def dataset_task(rows, roles, labels=None, regression=False):
    """Returns the `DatasetTask` of the rows of a data set.

    Args:
      rows: `Rows`.
      roles: `Roles` of the columns.
      labels: class names in the order of the model's outputs; None takes those of the data set in
        its order, or else those of the training rows, sorted.
      regression: the label is a number to predict.

    Raises:
      UserError: there are no classes, or the labels are scores.
    """
    classes = rows.column and rows.column.labels
    by_number = bool(regression)
    if regression:
        labels = None
    elif labels is not None:
        labels = check_labels([str(label).strip() for label in labels])
        by_number = _are_numbers(labels, classes)
    elif classes:
        labels = _check_classes(rows, classes)
    else:
        labels = _discovered(rows, roles)
    if labels is not None and classes and not by_number:
        rows = dataclasses.replace(
            rows, column=dataclasses.replace(rows.column, labels=_stripped(classes))
        )
    dev, test = (
        tuple(s for s in rows.parts if s.partition("_")[0] == kind) or (kind,)
        for kind in ("dev", "test")
    )
    return DatasetTask(
        "custom",
        labels,
        metrics_of(labels),
        dev,
        test,
        text_column=roles.text,
        text_pair_column=roles.pair,
        label_column=roles.label,
        id_column=roles.ids,
        rows=rows,
        by_number=by_number,
    )


def write_drawn(task, folder):
    """Writes which rows of the data set are training and dev rows, if they were drawn.

    Args:
      task: `Task`.
      folder: of the run (`pathlib.Path`); the files are splits/train.tsv and splits/dev.tsv, with
        the columns `split` and `row`, its number from 0 in the data set, and `id` if it has one.
    """
    rows = getattr(task, "rows", None)
    if rows is None or rows.drawn is None:
        return
    for name in ("train", "dev"):
        part = rows.part(name)
        columns = {"row": np.asarray(part.rows).tolist(), "id": part.ids}
        columns = {name: values for name, values in columns.items() if values is not None}
        cells = zip(*columns.values(), strict=True)
        lines = [files.table_row([part.split, *row]) for row in cells]
        text = files.table_row(["split", *columns]) + "".join(lines)
        files.write_text(folder / "splits" / f"{name}.tsv", text)


def _are_numbers(labels, classes):
    """Whether labels are classes by their numbers, which their names are not."""
    if classes is None or set(labels) == set(_stripped(classes)):
        return False
    return set(labels) == set(map(str, range(len(classes))))


def _stripped(classes):
    return tuple(name.strip() for name in classes)


def _check_classes(rows, classes):
    names = _stripped(classes)
    if len(set(names)) < len(names) or not all(names) or len(names) < 2:
        raise UserError(
            f"{rows.source.name}: column {rows.column.name!r} has classes called"
            f" {', '.join(map(shown, names[:8]))}: expected two or more different names: give"
            f" --labels={','.join(map(str, range(len(names))))}, their numbers"
        )
    return names


def _discovered(rows, roles):
    """The classes of the training rows, where the data set does not name them."""
    if roles.label is None:
        raise UserError(f"{rows.source.name}: no column looks like a label: name --label_column")
    table = rows.labels(roles)
    found = {text.strip() for text in table.column(roles.label)}
    if any(map(is_number, found)) and not all(map(is_integer, found)):
        numbers = [text for text in found if is_number(text)]
        if len(numbers) == len(found):
            raise UserError(
                f"{rows.source.name}: column {roles.label!r} holds numbers with fractions, such as"
                f" {shown(min(numbers, key=is_integer))}: give --regression to predict them, or"
                " --labels if they are names of classes"
            )
    return class_labels.discover(table, roles.label)
