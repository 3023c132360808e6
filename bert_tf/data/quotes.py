"""Whether a tab-separated file quotes its cells as CSV files do, and its rows if it does.

GLUE's files never do: a quote is a character like any other there. Who writes quotes (pandas,
spreadsheets) quotes each cell that holds a quote and doubles it, so that a file with one quote
elsewhere is none of these; what is quoted without need is quoted in a whole column; and
spreadsheets quote each cell with a comma, too.
"""

import collections
import dataclasses
import re

from bert_tf.data.table import counted
from bert_tf.errors import UserError

_CELL = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=\t|\r?\n|\Z)|([^"\t\n]*)(?=\t|\n|\Z)')
# A cell in quotes with quotes inside that are doubled or behind a backslash.
_NESTED = re.compile(r'"(?<![^\t\n]")[^"\t\n]*(?:(?:""|\\")[^"\t\n]*)+"(?=\t|\r?$)', re.MULTILINE)
_REMEDY = "save the file as .csv or JSON lines, where quotes are certain"


@dataclasses.dataclass
class _Quoted:
    """What a file holds if its quotes are those of a CSV file.

    Attributes:
      rows, numbers: as a `Table`'s, the header included.
      cells: (row, column, number of the line) of each cell in quotes.
      broken: whether a tab or a line end is in one of them.
      nested: how many of the others hold a quote or a carriage return.
    """

    rows: list
    numbers: list
    cells: list
    broken: bool = False
    nested: int = 0


def unquoted(path, text, lines, header):
    """Returns (rows, numbers, remarks) of a tab-separated file with quotes in it.

    Args:
      path: the file, for messages.
      text: all of it.
      lines: its lines, without their ends.
      header: whether the first row names the columns.

    Raises:
      UserError: it is open which cells or lines the quotes hold together.
    """
    raw = [line.split("\t") for line in lines]
    plain = raw, range(1, len(raw) + 1)
    quoted = _parse(text)
    if quoted is None:
        nested = _NESTED.search(text)
        remarks = [_mixed(text.count("\n", 0, nested.start()) + 1)] if nested else []
        return *plain, remarks
    if not quoted.cells:
        return *plain, []
    first = quoted.cells[0][2]
    one_column = max(map(len, quoted.rows)) == 1
    # Cells with tabs or line ends in quotes leave lines with too few or too many columns, if not by
    # chance: else a text that begins with a quote is followed by one that ends with a quote.
    fits = quoted.broken and not one_column and _is_even(raw)
    breaks = quoted.broken and not one_column and not fits and _is_even(quoted.rows)
    # In a single column an empty cell must be in quotes, or its row would be a blank line.
    empty = one_column and any(quoted.rows[row] == [""] for row, _, _ in quoted.cells)
    explained = quoted.nested or breaks or empty or _has_quoted_commas(quoted)
    if explained or _has_quoted_column(quoted, header, fits):
        remark = (
            f"{counted(len(quoted.cells), 'cell is', 'cells are')} in quotes, the first in line"
            f" {first}: read without them, as pandas and spreadsheets write them; if they are part"
            f" of the texts, {_REMEDY}"
        )
        return quoted.rows, quoted.numbers, [remark]
    if quoted.broken and not (fits and (header or len(quoted.rows[0]) == len(raw[0]))):
        raise UserError(
            f"{path}:{first}: a quote begins here and ends behind a tab or a line end: is all of it"
            f" one text, or are these bare quotes? {_REMEDY}"
        )
    return *plain, [_kept(quoted, first)]


def _parse(text):
    """The file's rows as `_Quoted`, None if a quote is where CSV has none."""
    found = _Quoted([], [], [])
    row, line, start, position = [], 1, 1, 0
    while position < len(text) or row:
        match = _CELL.match(text, position)
        if match is None:
            return None
        cell, position = match[2], match.end()
        if cell is None:
            cell = match[1].replace('""', '"')
            found.cells.append((len(found.rows), len(row), line))
            if "\t" in cell or "\n" in cell:
                found.broken = True
            else:
                found.nested += '"' in cell or "\r" in cell
            line += cell.count("\n")
        ends = text[position : position + 1] != "\t"
        if ends:
            position += text.startswith("\r\n", position)
            line += 1
        row.append(cell.removesuffix("\r") if ends and match[2] is not None else cell)
        position += 1
        if ends:
            found.rows.append(row)
            found.numbers.append(start)
            row, start = [], line
    return found


def _has_quoted_column(quoted, header, fits):
    """Whether all of a column's cells are in quotes; only the name in the header may be without."""
    first = int(header)
    counts = collections.Counter(column for row, column, _ in quoted.cells if row >= first)
    with_quotes = {row for row, _, _ in quoted.cells}
    blank = sum(row == [""] and i not in with_quotes for i, row in enumerate(quoted.rows))
    rows = len(quoted.rows) - first - blank
    several = rows > 1 or len(quoted.cells) == len(quoted.rows[0]) > 1
    named = header and 0 in with_quotes
    return (named or (several and not fits)) and rows in counts.values()


def _has_quoted_commas(quoted):
    """Whether the cells in quotes are those with commas, as spreadsheets save tabbed text."""
    with_quotes = {(row, column) for row, column, _ in quoted.cells}
    with_commas = {
        (i, j) for i, row in enumerate(quoted.rows) for j, cell in enumerate(row) if "," in cell
    }
    return len(with_quotes) > 1 and not quoted.broken and with_quotes == with_commas


def _is_even(rows):
    """Whether all rows but blank lines are equally long."""
    return len({len(row) for row in rows if row != [""]}) == 1


def _kept(quoted, first):
    return (
        f"{counted(len(quoted.cells), 'cell begins and ends', 'cells begin and end')} with a quote,"
        f" the first in line {first}; the quotes are taken as part of the text: if they are not,"
        f" {_REMEDY}"
    )


def _mixed(line):
    return (
        f"line {line} has quotes within quotes as a CSV file has them, other lines bare quotes; all"
        f" are taken as part of the text: if they are not, {_REMEDY}"
    )
