"""What a task is: its labels, metrics and splits, and where its files keep texts and labels."""

import dataclasses
import pathlib
import typing

import numpy as np
from absl import logging

from bert_tf.checkpoints.head import SENTENCES
from bert_tf.data.broken_rows import mend
from bert_tf.data.examples import label_indices, make_examples, scores
from bert_tf.data.readers import read_tsv
from bert_tf.data.table import counted, separator_hint
from bert_tf.errors import UserError, shown


@dataclasses.dataclass(frozen=True)
class Task:
    """A classification or regression task.

    Attributes:
      name: canonical name, lower case.
      labels: class names in the order of the model's outputs, or None for regression.
      metrics: names of `compute_metrics`' values; the first one decides what is best.
      dev_splits, test_splits: names of the splits to evaluate on and to predict, in order.
      score_range: (lowest, highest) score of a regression task, None for any.
      unit: what has a label, see `checkpoints.head`.
    """

    unit: typing.ClassVar[str] = SENTENCES

    name: str
    labels: tuple[str, ...] | None
    metrics: tuple[str, ...]
    dev_splits: tuple[str, ...] = ("dev",)
    test_splits: tuple[str, ...] = ("test",)
    score_range: tuple[float, float] | None = None

    @property
    def splits(self):
        """All split names: train, then dev's, then test's."""
        return ("train", *self.dev_splits, *self.test_splits)

    def read(self, data_dir, split):
        """Returns the `Examples` of `split`.

        Args:
          data_dir: folder with the task's files.
          split: one of `splits`; test splits come without labels.

        Raises:
          UserError: a file is missing or malformed; the message names file and row.
        """
        raise NotImplementedError

    def source(self, data_dir, split):
        """Returns (`Table`, `SplitFile`): the rows of `split`, and which columns are what.

        Args, Raises: as `read`.
        """
        raise NotImplementedError

    def layout(self, split):
        """Returns the `SplitFile` of `split`: where it is and which columns are what."""
        raise NotImplementedError

    def to_json(self):
        """Returns the dict for task.json from which `task_from_json` restores the task."""
        return {"task_name": self.name, "labels": None if self.labels is None else [*self.labels]}

    def parse_labels(self, table, texts, column=None):
        """Turns the label texts of a `column` into int32 positions in `labels`, or float32 scores.

        Raises:
          UserError: a text is no label of this task, naming the row.
        """
        if self.labels is None:
            return scores(table, texts, self.score_range, column)
        return label_indices(table, texts, self.labels, column)

    def check_split(self, split):
        """Raises `UserError` unless the task has the split."""
        if split not in self.splits:
            raise UserError(
                f"task {self.name} has no split {split!r}, expected one of {', '.join(self.splits)}"
            )


@dataclasses.dataclass(frozen=True)
class SplitFile:
    """Where one split of a task is and what its columns are.

    Attributes:
      file: name below data_dir.
      text_a, text_b, label, ids: header names or, without header or where copies of the file
        differ in it, positions; None where there is none.
      header: whether the first line names the columns.
      only: (column, value): rows with another value belong to somebody else (another language).
      skip_damaged: whether rows that lack columns, because of a line end inside a text, are
        skipped, up to 1 % of the file.
    """

    file: str
    text_a: str | int
    text_b: str | int | None = None
    label: str | int | None = None
    ids: str | int | None = None
    header: bool = True
    only: tuple[str, str] | None = None
    skip_damaged: bool = False


@dataclasses.dataclass(frozen=True)
class FileTask(Task):
    """A task with one file per split, tab-separated unless a subclass reads it otherwise.

    Attributes:
      files: {split: `SplitFile`} as a tuple of pairs.
      label_aliases: (found, meant) pairs of labels written in two ways.
      unlabelled: label text of rows on which the annotators did not agree; they are skipped.
    """

    files: tuple[tuple[str, SplitFile], ...] = ()
    label_aliases: tuple[tuple[str, str], ...] = ()
    unlabelled: str | None = None

    def read(self, data_dir, split):
        return self.examples_of(*self.source(data_dir, split))

    def source(self, data_dir, split):
        self.check_split(split)
        return self.source_of(data_dir, self.layout(split))

    def layout(self, split):
        return dict(self.files)[split]

    def source_of(self, data_dir, spec):
        """Returns (`Table`, `spec`) of the file that `spec` (`SplitFile`) describes."""
        return self.table_of(data_dir, spec), spec

    def table_of(self, data_dir, spec):
        """Returns the `Table` of the file that `spec` describes, quirks of its kind removed."""
        path = pathlib.Path(data_dir) / spec.file
        if not path.exists():
            names = ", ".join(dict.fromkeys(f.file for _, f in self.files))
            if not pathlib.Path(data_dir).is_dir():
                raise UserError(f"--data_dir={data_dir}: no such folder")
            raise UserError(f"{path}: no such file: task {self.name} reads {names}")
        table = self.read_rows(path, spec)
        self._check_header(table, spec)
        if table.header:
            table = mend(table, (spec.text_a, spec.text_b), ids=_ids_of(table, spec))
        if spec.label is None:
            _refuse_damaged_rows(table, spec)
        else:
            table = table.without_empty_rows()
            if spec.skip_damaged:
                table = _without_short_rows(table)
        if spec.only:
            column, value = spec.only
            keep = [i for i, found in enumerate(table.column(column)) if found == value]
            if not keep:
                raise UserError(f"{path}: no row with {column} {value!r}")
            table = table.select(keep)
        if spec.label is not None and self.unlabelled is not None:
            labels = table.column(spec.label)
            keep = [i for i, found in enumerate(labels) if found != self.unlabelled]
            if len(keep) < len(table):
                skipped = counted(len(table) - len(keep), "row is", "rows are")
                logging.warning(
                    "%s: %s left out, whose label is %r: the annotators did not agree",
                    path, skipped, self.unlabelled,
                )  # fmt: skip
                table = table.select(keep)
        return table

    def read_rows(self, path, spec):
        """Returns the `Table` in `path`, the only step that knows the kind of file."""
        return read_tsv(path, header=spec.header)

    def examples_of(self, table, spec):
        """Returns the `Examples` in `table`."""
        return make_examples(
            table,
            text_a=spec.text_a,
            text_b=spec.text_b,
            label=spec.label,
            ids=_ids_of(table, spec),
            parse_labels=self.parse_labels,
        )

    def parse_labels(self, table, texts, column=None):
        aliases = dict(self.label_aliases)
        if aliases:
            texts = [aliases.get(text, text) for text in texts]
        return super().parse_labels(table, texts, column)

    def _check_header(self, table, spec):
        if not spec.header:
            return
        columns = (spec.text_a, spec.text_b, spec.label, spec.ids, (spec.only or (None,))[0])
        names = [column for column in columns if isinstance(column, str)]
        missing = [name for name in names if name not in table.header]
        if names and len(missing) == len(names):
            found = "\t".join(table.header)
            raise UserError(
                f"{table.path}:1: the header is missing: found {found[:80]!r}, expected the column"
                f" names {', '.join(names)}{separator_hint(table.header)}"
            )
        for name in missing:
            if name != spec.ids:
                table.index_of(name)  # raises, naming what the header has
        if spec.label is None and spec.ids is not None and _ids_of(table, spec) is None:
            table.remarks.append(f"has no column {spec.ids!r}: its rows are numbered from 0")
        label = spec.label
        if isinstance(label, int) and len(table.header) > label and self.labels:
            known = {*self.labels, *dict(self.label_aliases)}
            if table.header[label] in known:
                raise UserError(
                    f"{table.path}:1: the header is missing: found an example labelled"
                    f" {table.header[label]}, expected column names"
                )


def _ids_of(table, spec):
    """The column that names the rows, None if there is none; "idx" is what `datasets` calls it."""
    if not isinstance(spec.ids, str):
        return spec.ids
    return next((name for name in (spec.ids, "idx") if name in table.header), None)


def _refuse_damaged_rows(table, spec):
    """Raises `UserError` for a row to predict that lacks a text, or has a tab in one."""
    if table.header is None:
        return
    columns = (spec.text_a, spec.text_b, _ids_of(table, spec))
    needed = 1 + max(table.index_of(column) for column in columns if column is not None)
    for index, row in enumerate(table.rows):
        if len(row) < needed or any(row[table.width :]):
            raise UserError(
                f"{table.where(index)}: found {len(row)} of {table.width} columns:"
                f" {shown(' | '.join(row))}: a line end or a tab inside a text? Each row of a test"
                " file gets a prediction: write it in one line, with a space for each line end or"
                " tab in a text"
            )


def _without_short_rows(table):
    width = table.width
    keep = np.flatnonzero([len(row) >= width for row in table.rows])
    skipped = len(table) - len(keep)
    if not skipped:
        return table
    first = next(i for i, row in enumerate(table.rows) if len(row) < width)
    if skipped > 0.01 * len(table):
        raise UserError(
            f"{table.where(first)}: found {len(table.rows[first])} of {width} columns;"
            f" {counted(skipped, 'row is', 'rows are')} like that, of {len(table)}, and no more"
            " than 1 % may be: a line end or a tab inside a text? Write spaces for them"
        )
    logging.warning(
        "%s: %s of fewer than %d columns left out, the first in line %d",
        table.path, counted(skipped, "row", "rows"), width, table.numbers[first],
    )  # fmt: skip
    return table.select(keep)
