"""The rows of a file of tab- or comma-separated values, or of JSON lines."""

import dataclasses
from collections.abc import Sequence

from bert_tf.errors import UserError, shown

_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}


@dataclasses.dataclass
class Table:
    """The rows of a file.

    Attributes:
      path: the file, for messages.
      header: column names, or None.
      rows: one list of str per row, without the header; rows need not be equally long.
      numbers: the 1-based line at which each row starts.
      remarks: what a reader of the file had to decide and its owner should know.
    """

    path: str
    header: list[str] | None
    rows: list[list[str]]
    numbers: Sequence[int]
    remarks: list[str] = dataclasses.field(default_factory=list)

    def __len__(self):
        return len(self.rows)

    @property
    def width(self):
        """Columns of the header, or of the first row where there is none."""
        return len(self.rows[0] if self.header is None else self.header)

    def where(self, index):
        """Returns 'path:line' of row `index`, the beginning of a message about it."""
        return f"{self.path}:{self.numbers[index]}"

    def index_of(self, column):
        """Returns the position of a column given by header name (str) or position (int).

        Raises:
          UserError: the header has no such name, or it twice.
        """
        if isinstance(column, int):
            return column
        if self.header.count(column) == 1:
            return self.header.index(column)
        found = "no" if column not in self.header else "more than one"
        names = ", ".join(shown(name) for name in self.header[:20])
        raise UserError(
            f"{self.path}:1: {found} column {column!r} in the header: found {names}"
            f"{separator_hint(self.header)}"
        )

    def column(self, column):
        """Returns the values (list of str) of a column, see `index_of`.

        Raises:
          UserError: no such column, or a row too short to have it.
        """
        index = self.index_of(column)
        try:
            return [row[index] for row in self.rows]
        except IndexError:
            short = next(i for i, row in enumerate(self.rows) if len(row) <= index)
            found = len(self.rows[short])
            if self.rows[short] == [""]:
                raise UserError(
                    f"{self.where(short)}: the line is blank, expected at least {index + 1}"
                    " columns: delete it"
                ) from None
            name = f" ({column!r} is number {index + 1})" if isinstance(column, str) else ""
            raise UserError(
                f"{self.where(short)}: found {found} of at least {index + 1} columns{name}:"
                f" {shown(' | '.join(self.rows[short]))}{separator_hint(self.rows[short])}"
            ) from None

    def select(self, keep):
        """Returns a `Table` of the rows whose indices are in `keep`."""
        return dataclasses.replace(
            self, rows=[self.rows[i] for i in keep], numbers=[self.numbers[i] for i in keep]
        )

    def without_empty_rows(self):
        """Returns a `Table` without rows of empty cells, which spreadsheets write below the others.

        Raises:
          UserError: no other row is left.
        """
        empty = [len(row) > 1 and not any(map(str.strip, row)) for row in self.rows]
        if not any(empty):
            return self
        if all(empty):
            raise UserError(f"{self.path}: nothing but empty rows, expected examples")
        first = self.numbers[empty.index(True)]
        rows = counted(sum(empty), "row of empty cells is", "rows of empty cells are")
        remark = f"{rows} left out, the first in line {first}"
        kept = self.select([i for i, is_empty in enumerate(empty) if not is_empty])
        return dataclasses.replace(kept, remarks=[*self.remarks, remark])

    def without_empty_ends(self):
        """Returns a `Table` without the empty cells that rows have behind the last column."""
        width = self.width
        if all(len(row) <= width for row in self.rows):
            return self
        rows = [row if any(row[width:]) else row[:width] for row in self.rows]
        return dataclasses.replace(self, rows=rows)


def separator_hint(cells):
    """Returns what to do if `cells` (list of str) are one that another separator divides, or ""."""
    if len(cells) != 1:
        return ""
    names = [name for separator, name in _SEPARATORS.items() if separator in cells[0]]
    if not names:
        return ""
    return (
        f": one column, separated by {names[0]}? Commas separate the columns of a .csv file, tabs"
        " those of .tsv and .txt: rename or save it so"
    )


def other_separator(table):
    """Returns a remark if all rows of a single column have as many of another separator, or ""."""
    for separator, name in _SEPARATORS.items():
        counts = {row[0].count(separator) for row in table.rows}
        if len(counts) == 1 and counts != {0}:
            return f"each line is one text, and has as many {name}: do they separate columns?"
    return ""


def counted(count, one, several):
    """Returns a count and what agrees with it: '1 row is', '2,000 rows are'."""
    return f"{count:,} {one if count == 1 else several}"
