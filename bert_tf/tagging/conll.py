"""CoNLL files: a word in each line, its label in a column, a blank line between sentences."""

import dataclasses
import itertools
import re

import numpy as np
from absl import logging

from bert_tf.data.readers import read_text
from bert_tf.data.table import counted
from bert_tf.errors import UserError, shown

BOUNDARY = "-DOCSTART-"
"""What stands in place of a word where a document begins."""

_SPACES = re.compile("[ \t]+")  # no other space separates: a word may hold one that does not break


@dataclasses.dataclass(frozen=True)
class ConllFile:
    """The sentences of a file.

    Attributes:
      path: the file, for messages.
      lines: list of str, the lines as they were read, without line ends.
      tabs: whether columns are separated by tabs, else by spaces.
      words: list of str, those of all sentences.
      labels: list of str, those of the words; None where they were not asked for.
      numbers: int [words], the 1-based line of each word.
      offsets: int [sentences + 1]; sentence i has words offsets[i] to offsets[i + 1].
    """

    path: str
    lines: list
    tabs: bool
    words: list
    labels: list | None
    numbers: np.ndarray
    offsets: np.ndarray

    def __len__(self):
        return len(self.offsets) - 1

    def where(self, word):
        """Returns 'path:line' of a word, the beginning of a message about it."""
        return f"{self.path}:{self.numbers[word]}"

    def first(self, count):
        """Returns the `ConllFile` of the first `count` sentences; all if None or there are less."""
        if count is None or count >= len(self):
            return self
        end = int(self.offsets[count])
        return dataclasses.replace(
            self,
            words=self.words[:end],
            labels=self.labels and self.labels[:end],
            numbers=self.numbers[:end],
            offsets=self.offsets[: count + 1],
        )

    def with_predictions(self, labels):
        """Returns the text of the file with one more column, the predicted labels.

        Lines without a word stay as they are.

        Args:
          labels: list of str, one for each word.
        """
        lines, separator = list(self.lines), "\t" if self.tabs else " "
        blanks = "" if self.tabs else " \t"  # a tab at the end is an empty cell of its own
        for number, label in zip(self.numbers, labels, strict=True):
            lines[number - 1] = lines[number - 1].rstrip(blanks) + separator + label
        return "\n".join(lines) + "\n"


def read(path, token_column=0, label_column=None):
    """Reads a file.

    UTF-8; columns are separated by tabs if the first row has one, else by spaces. Lines that begin
    with `-DOCSTART-` and those that begin with `#` at the start of a sentence hold no word, but for
    a row of the file's columns whose last value other rows have, too.

    Args:
      path: the file.
      token_column: 0-based column of the word.
      label_column: column of the label, negative from the end; None reads no labels.

    Returns:
      `ConllFile`.

    Raises:
      UserError: the file cannot be read or holds no word, a row has another number of columns than
        the first, or no such column, or an empty one; the message names the line.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    if not lines[-1]:
        lines.pop()
    return _Reader(path, lines, token_column, label_column).read()


class _Reader:
    def __init__(self, path, lines, token_column, label_column):
        self._path = path
        self._lines = lines
        self._token = token_column
        self._label = label_column
        filled = [
            (number, line)
            for number, line in enumerate(lines, 1)
            if line.strip(" \t") and not line.startswith(BOUNDARY)
        ]
        plain = [pair for pair in filled if not pair[1].startswith("#")] or filled
        if not plain:
            raise UserError(f"{path}: holds no words, expected one in each line")
        self._first, line = plain[0]
        self._tabs = "\t" in line.strip(" \t")
        self._width = len(self._cells(line))
        self._last = {cells[-1] for _, line in plain if (cells := self._cells(line))}
        self._check_columns()

    def read(self):
        words, labels, numbers, offsets, comments = [], [], [], [0], []
        for number, line in enumerate(self._lines, 1):
            begins = len(words) == offsets[-1]
            if not line.strip(" \t") or line.startswith(BOUNDARY):
                if not begins:
                    offsets.append(len(words))
                continue
            cells = self._cells(line)
            if begins and line.startswith("#") and not self._is_row(cells):
                comments.append(number)
                continue
            self._check_row(number, cells)
            words.append(cells[self._token])
            numbers.append(number)
            if self._label is not None:
                labels.append(cells[self._label])
        if len(words) > offsets[-1]:
            offsets.append(len(words))
        if not words:
            raise UserError(f"{self._path}: holds no words, expected one in each line")
        if comments:
            logging.info(
                "%s: %s taken for comments, the first in line %d: %s", self._path,
                counted(len(comments), "line is", "lines are"), comments[0],
                shown(self._lines[comments[0] - 1]),
            )  # fmt: skip
        return ConllFile(
            str(self._path), self._lines, self._tabs, words,
            None if self._label is None else labels, np.array(numbers), np.array(offsets),
        )  # fmt: skip

    def _cells(self, line):
        return line.split("\t") if self._tabs else _SPACES.split(line.strip(" \t"))

    def _is_row(self, cells):
        """Whether a line that begins with # at the start of a sentence is a row all the same."""
        return len(cells) == self._width and (self._width == 1 or cells[-1] in self._last)

    def _check_columns(self):
        where, width = f"{self._path}:{self._first}", self._width
        kind = "tabs" if self._tabs else "spaces"
        for flag, column in (("token_column", self._token), ("label_column", self._label)):
            if column is not None and not -width <= column < width:
                raise UserError(
                    f"--{flag}={column}: {where} has {counted(width, 'column', 'columns')}"
                    f" separated by {kind}, the first is 0, the last -1"
                )
        if self._label is not None and self._label % width == self._token:
            raise UserError(
                f"{where}: found {counted(width, 'column', 'columns')} separated by {kind}, and"
                f" word and label in the same one: expected a word and its label; give"
                " --token_column and --label_column"
            )

    def _check_row(self, number, cells):
        where = f"{self._path}:{number}"
        if len(cells) != self._width:
            kind = "tabs" if self._tabs else "spaces"
            raise UserError(
                f"{where}: found {counted(len(cells), 'column', 'columns')} separated by {kind},"
                f" expected {self._width} as in line {self._first}:"
                f" {shown(self._lines[number - 1])}"
            )
        for what, column in (("word", self._token), ("label", self._label)):
            if column is not None and not cells[column].strip():
                raise UserError(f"{where}: the {what} is empty: fill it in or delete the row")


def sentences(file):
    """Yields (first word, word after the last) of each sentence of a `ConllFile`."""
    yield from itertools.pairwise(file.offsets.tolist())
