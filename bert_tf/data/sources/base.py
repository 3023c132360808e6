"""What every kind of data set is: splits of rows, with named and typed columns."""

import dataclasses
import json

import numpy as np

from bert_tf.data.table import Table
from bert_tf.errors import UserError

TEXT, INTEGER, NUMBER, CLASSES, OTHER = "text", "integer", "number", "classes", "other"
MAX_BYTES = 1 << 30
"""Text that is read of a split: rows are held in memory, and tokenising takes more of it."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a data set.

    Attributes:
      name: as the data set calls it.
      type: as the data set calls that, for descriptions.
      kind: `TEXT`, `INTEGER`, `NUMBER` (with fractions), `CLASSES` or `OTHER`.
      labels: names of the classes (tuple of str) by their numbers, None for other kinds.
    """

    name: str
    type: str
    kind: str
    labels: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Roles:
    """Which columns are what (names), None for what is not there or not needed."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    ids: str | None = None

    @property
    def names(self):
        """The columns (list of str), each once."""
        found = (self.text, self.pair, self.label, self.ids)
        return list(dict.fromkeys(name for name in found if name is not None))


class Source:
    """A data set. Rows are numbered from 0 in each split, in the order of the data set.

    Attributes:
      name: what --dataset says.
      config: name of the configuration, None where there is no choice.
      configs: names of all configurations (list).
    """

    name: str
    config: str | None = None
    configs: list = dataclasses.field(default_factory=list)

    def splits(self):
        """Returns {name: number of rows} of the splits, in the order of the data set."""
        raise NotImplementedError

    def columns(self, split):
        """Returns the columns of a split, a list of `Column`."""
        raise NotImplementedError

    def read_labels(self, split, roles):
        """Returns a `Table` of all rows of a split, with the column of the label at least."""
        return self.read(split, Roles(label=roles.label))

    def read(self, split, roles, rows=None):
        """Returns the `Table` of some columns; classes as their numbers, -1 where there is none.

        Args:
          split: name of the split.
          roles: `Roles`, whose `names` are the table's header.
          rows: ascending int array of the rows to take; None takes all.

        Raises:
          UserError: a value is missing or is no text or number, the data are damaged, or more than
            `MAX_BYTES` of text.
        """
        raise NotImplementedError


class Collector:
    """Takes rows out of the files of a split, one after the other.

    Args:
      names: of the columns.
      rows: ascending int array of the rows to take; None takes all.
    """

    def __init__(self, names, rows=None):
        self.names = list(names)
        self._wanted = rows
        self._left = MAX_BYTES
        self._first = 0  # row of the split that the next file begins with

    def table(self, path, batches, known=None):
        """Returns the `Table` of the rows of a file that are wanted, numbered from 1 in it.

        Args:
          path: beginning of messages.
          batches: iterable of lists of columns, each a list of values, in the order of `names`.
          known: numbers of the rows in `batches`, where these are not all of the file's.
        """
        rows, numbers, start = [], [], 0
        for columns in batches:
            count = len(columns[0])
            for i in self._keep(self._first + start, count):
                number = start + i + 1 if known is None else known[start + i]
                where = f"{path}:{number}"
                row = [self._cell(columns[j][i], j, where) for j in range(len(columns))]
                self._left -= sum(map(len, row))
                rows.append(row)
                numbers.append(number)
            if self._left < 0:
                raise UserError(
                    f"{path}: more than {MAX_BYTES >> 20} MiB of text, and rows are held in memory:"
                    " take a part, such as --train_split=train[:10%]"
                )
            start += count
            if self._wanted is not None and not (self._wanted >= self._first + start).any():
                break
        self._first += start
        return Table(str(path), self.names, rows, numbers)

    def _keep(self, start, count):
        if self._wanted is None:
            return range(count)
        low, high = np.searchsorted(self._wanted, [start, start + count])
        return (self._wanted[low:high] - start).tolist()

    def _cell(self, value, column, where):
        try:
            return cell_text(value)
        except ValueError as e:
            raise UserError(f"{where}: column {self.names[column]!r} {e}") from e


def cell_text(value):
    """Returns a value as text; numbers, true and false in JSON's form.

    Raises:
      ValueError: it is null, no text or number, or bytes that are not UTF-8.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if value is None:
        raise ValueError("is null, expected a value: fill it in or leave the row out")
    raise ValueError(f"holds a {type(value).__name__}, expected text or a number")


@dataclasses.dataclass
class JoinedTable(Table):
    """Rows of several files, whose messages name the file. `paths` has that of each row."""

    paths: list = dataclasses.field(default_factory=list)

    def where(self, index):
        return f"{self.paths[index]}:{self.numbers[index]}"

    def select(self, keep):
        keep = list(keep)
        return dataclasses.replace(super().select(keep), paths=[self.paths[i] for i in keep])


def joined(path, tables):
    """Returns the `Table` of the rows of several, which have the same header."""
    if len(tables) == 1:
        return tables[0]
    return JoinedTable(
        str(path),
        tables[0].header,
        [row for table in tables for row in table.rows],
        [number for table in tables for number in table.numbers],
        [f"{table.path}: {remark}" for table in tables for remark in table.remarks],
        [table.path for table in tables for _ in range(len(table))],
    )
