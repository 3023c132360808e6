"""Document classification sets in the layouts that AutoFreeze (Liu et al., 2021) reads.

The comma-separated ones are those of Zhang et al. (2015), the tab-separated ones those of Sun et
al. (2019). None has a header; the first column is the label, the others are text.
"""

import dataclasses
import pathlib

from absl import logging

from bert_tf.data.broken_rows import mend
from bert_tf.data.readers import read_csv, read_tsv
from bert_tf.data.table import counted, separator_hint
from bert_tf.data.task import FileTask, SplitFile
from bert_tf.errors import UserError, shown

_BINARY = ("0", "1")


@dataclasses.dataclass(frozen=True)
class DocumentTask(FileTask):
    """A task with train.csv, test.csv and perhaps dev.csv; without it, test.csv is the dev set.

    The labels are those written in the files. Empty cells are left out of the joined text.

    Attributes:
      tabs: whether tabs separate the columns and a quote is a character like any other; else it
        is a CSV file by RFC 4180.
      columns: 0-based columns of the first text, and of the second if there is one.
      joint: what stands between columns that make up one text.
      escaped_line_ends: whether a backslash and an n in the text are a line end, read as a space.
    """

    tabs: bool = False
    columns: tuple[tuple[int, ...], ...] = ((1,),)
    joint: str = " "
    escaped_line_ends: bool = False

    def source(self, data_dir, split):
        self.check_split(split)
        specs = dict(self.files)
        if split != "dev" or (pathlib.Path(data_dir) / specs["dev"].file).exists():
            return self.source_of(data_dir, specs[split])
        test = dataclasses.replace(specs["dev"], file=specs["test"].file)
        table, _ = self.source_of(data_dir, test)
        logging.warning("%s is the dev set: there is no %s", table.path, specs["dev"].file)
        return table, test

    def examples_of(self, table, spec):
        examples = super().examples_of(table, spec)
        if examples.empty_texts == len(examples) * len(self.columns):
            raise UserError(f"{table.path}: every text is empty, expected documents")
        return examples

    def read_rows(self, path, spec):
        table = (read_tsv if self.tabs else read_csv)(path, header=False)
        width = 1 + max(map(max, self.columns))
        if self.tabs:
            table = mend(table, [column for columns in self.columns for column in columns], width)
        if spec.label is not None:
            table = table.without_empty_rows()
        for index, row in enumerate(table.rows):
            if len(row) != width:
                raise UserError(
                    f"{table.where(index)}: found {len(row)} columns, expected {width}:"
                    f" {shown(' | '.join(row))}{separator_hint(row)}"
                )
        if spec.label is None:
            self._refuse_header(table)
        texts = [self._joined(table, columns) for columns in self.columns]
        rows = zip(table.column(0), *texts, strict=True)
        return dataclasses.replace(table, rows=list(map(list, rows)))

    def _refuse_header(self, table):
        """Raises `UserError` for a test file whose first row is none: labels give it away."""
        known = [row[0] in self.labels for row in table.rows]
        if any(known) and not known[0]:
            raise UserError(
                f"{table.where(0)}: found {shown(table.rows[0][0])} in the place of a label,"
                f" expected one of {', '.join(self.labels)}: is it a header? Delete the line: the"
                f" files of task {self.name} have none"
            )

    def _joined(self, table, columns):
        """The texts (list of str) that the cells of each row make."""
        cells = [table.column(column) for column in columns]
        if self.escaped_line_ends:
            cells = [[cell.replace("\\n", " ") for cell in column] for column in cells]
        if len(cells) == 1:
            return cells[0]
        empty = sum(not cell.strip() for column in cells for cell in column)
        if empty:
            cells_are = counted(empty, "cell of text is", "cells of text are")
            logging.warning("%s: %s empty", table.path, cells_are)
        return [self.joint.join(filter(str.strip, row)) for row in zip(*cells, strict=True)]


def _task(name, labels, columns=((1,),), **layout):
    """The `DocumentTask` of this layout, see there."""
    # Positions in what `read_rows` returns: the label, then one column per text.
    spec = SplitFile("train.csv", 1, 2 if len(columns) == 2 else None, label=0, header=False)
    files = (
        ("train", spec),
        ("dev", dataclasses.replace(spec, file="dev.csv")),
        ("test", dataclasses.replace(spec, file="test.csv", label=None)),
    )
    metrics = ("accuracy", "f1")
    return DocumentTask(name, labels, metrics, files=files, columns=columns, **layout)


def _numbered(count):
    return tuple(str(i) for i in range(1, count + 1))


def ag():
    """Topics of AG's news, title and description in one text.

    Line ends are a lone backslash in these files: one before an n mostly begins a word.
    """
    return _task("ag", _numbered(4), ((1, 2),), joint=" - ")


def imdb():
    """Sentiment of film reviews."""
    return _task("imdb", _BINARY, tabs=True)


def yelp_polarity():
    """Sentiment of reviews: 1 negative, 2 positive."""
    return _task("yelp-p", _numbered(2), escaped_line_ends=True)


def yelp_full():
    """Stars of reviews."""
    return _task("yelp-f", _numbered(5), escaped_line_ends=True)


def sogou():
    """Topics of Chinese news, title and body in one text."""
    return _task("sogou", _numbered(6), ((1, 2),), tabs=True)


def dbpedia():
    """Kinds of things that encyclopedia articles are about, title and abstract in one text."""
    return _task("dbpedia", _numbered(14), ((1, 2),), escaped_line_ends=True)


def yahoo():
    """Topics of questions: title and question are the first text, the best answer the second."""
    return _task("yahoo", _numbered(10), ((1, 2), (3,)), escaped_line_ends=True)


def trec():
    """What a question asks for."""
    return _task("trec", ("LOC", "NUM", "HUM", "ENTY", "ABBR", "DESC"), tabs=True)
