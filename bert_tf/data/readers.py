"""Strict, fast readers for TSV, CSV and JSON-lines files; every fault names file and row."""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Sequence

from bert_tf.errors import UserError

MAX_LINE = 1_000_000
"""Characters a line, or a quoted CSV field, may have; more is a file without line ends."""

_SUFFIXES = {
    ".tsv": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclasses.dataclass
class Table:
    """The rows of a file.

    Attributes:
      path: the file, for messages.
      header: column names, or None.
      rows: one list of str per row, without the header; rows need not be equally long.
      numbers: the 1-based line at which each row starts.
    """

    path: str
    header: list[str] | None
    rows: list[list[str]]
    numbers: Sequence[int]

    def __len__(self):
        return len(self.rows)

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
        raise UserError(f"{self.path}:1: {found} column {column!r} in the header: found {names}")

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
            name = f" ({column!r} is number {index + 1})" if isinstance(column, str) else ""
            raise UserError(
                f"{self.where(short)}: found {found} of at least {index + 1} columns{name}:"
                f" {shown(' | '.join(self.rows[short]))}"
            ) from None

    def select(self, keep):
        """Returns a `Table` of the rows whose indices are in `keep`."""
        return dataclasses.replace(
            self, rows=[self.rows[i] for i in keep], numbers=[self.numbers[i] for i in keep]
        )


def shown(value):
    """Returns `value` quoted for a message, cut to 60 characters."""
    return repr(value if len(value) <= 60 else value[:57] + "...")


def read_table(path, *, header=True, keys=None):
    """Reads `path` as TSV (.tsv, .txt), CSV (.csv) or JSON lines (.jsonl, .ndjson, .json).

    Args:
      path: the file.
      header: whether the first row of a TSV or CSV file names the columns.
      keys: the keys to take from JSON lines, see `read_jsonl`.

    Raises:
      UserError: another extension, or what `read_tsv`, `read_csv` and `read_jsonl` raise.
    """
    kind = _SUFFIXES.get(pathlib.Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"{path}: unknown kind of file, expected .tsv, .csv or .jsonl")
    if kind == "jsonl":
        return read_jsonl(path, keys)
    return read_tsv(path, header=header) if kind == "tsv" else read_csv(path, header=header)


def read_tsv(path, *, header=True):
    """Reads tab-separated lines in GLUE's way: a quote is a character like any other.

    UTF-8, with or without byte order mark; lines end in LF or CRLF; empty lines at the end of the
    file do not count.

    Returns:
      `Table`.

    Raises:
      UserError: the file is missing, empty or without rows, is not UTF-8, holds a NUL byte, or a
        line longer than `MAX_LINE`.
    """
    rows = [line.split("\t") for line in _read_lines(path)]
    return _table(path, rows, range(1, len(rows) + 1), header)


def read_csv(path, *, header=True):
    """Reads comma-separated rows with RFC 4180's quotes (commas and line ends inside them).

    Empty lines do not count.

    Returns:
      `Table`.

    Raises:
      UserError: as `read_tsv`, and for misplaced or unclosed quotes.
    """
    text = _read_text(path)
    rows, numbers = [], []
    old_limit = csv.field_size_limit(MAX_LINE)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for row in reader:
            if row:
                rows.append(row)
                numbers.append(start)
            start = reader.line_num + 1
    except csv.Error as e:
        raise UserError(f"{path}:{start}: not a CSV row: {e} (an unclosed quote?)") from e
    finally:
        csv.field_size_limit(old_limit)
    return _table(path, rows, numbers, header)


def read_jsonl(path, keys=None):
    """Reads one JSON object per line; empty lines do not count.

    Args:
      path: the file.
      keys: the keys to take, by default the first object's; objects may have more.

    Returns:
      `Table` with these keys as its header. Strings stay as they are; numbers, true and false
      become text in JSON's form.

    Raises:
      UserError: as `read_tsv`, and for a line that is not a JSON object, lacks a key, or holds
        null, a list or an object under one of the keys.
    """
    header, rows, numbers = keys, [], []
    for number, line in enumerate(_read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except RecursionError as e:
            raise UserError(f"{where}: JSON nested too deeply, expected a flat object") from e
        except ValueError as e:
            raise UserError(f"{where}: not valid JSON: {e}: {shown(line)}") from e
        if not isinstance(value, dict):
            raise UserError(f"{where}: expected a JSON object, found {shown(line)}")
        header = header or list(value)
        rows.append([_json_text(value, key, where) for key in header])
        numbers.append(number)
    if not rows or not header:
        raise UserError(f"{path}: no rows, expected one JSON object per line")
    return Table(str(path), header, rows, numbers)


def _json_text(row, key, where):
    if key not in row:
        keys = ", ".join(shown(k) for k in list(row)[:20])
        raise UserError(f"{where}: no key {key!r}, expected in every row: found {keys}")
    value = row[key]
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as e:  # "\ud800" is JSON, but no text
            raise UserError(f"{where}: {key!r} holds half a surrogate pair, expected text") from e
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    kind = "null" if value is None else type(value).__name__
    raise UserError(f"{where}: {key!r} is {kind}, expected text or a number")


def _read_text(path):
    """The decoded file, without byte order mark; checks what holds for every kind of file."""
    try:
        data = pathlib.Path(path).read_bytes()
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such file") from e
    except OSError as e:
        raise UserError(f"{path}: cannot read: {e.strerror or e}") from e
    if not data:
        raise UserError(f"{path}: the file is empty")
    nul = data.find(b"\0")
    if nul >= 0:
        raise UserError(
            f"{path}:{_line_of(data, nul)}: found a NUL byte, expected UTF-8 text"
            " (damaged, or UTF-16?)"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        # The codec counts from behind the byte order mark.
        start = e.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        raise UserError(
            f"{path}:{_line_of(data, start)}: found byte 0x{data[start]:02x}, expected UTF-8 text"
        ) from e
    if len(text) > MAX_LINE:
        lines = text.split("\n")
        longest = max(map(len, lines))
        if longest > MAX_LINE:
            number = next(i for i, line in enumerate(lines, 1) if len(line) > MAX_LINE)
            raise UserError(
                f"{path}:{number}: a line of {len(lines[number - 1])} characters, expected"
                f" {MAX_LINE} at most"
            )
    return text


def _read_lines(path):
    text = _read_text(path)
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _line_of(data, position):
    return data.count(b"\n", 0, position) + 1


def _table(path, rows, numbers, header):
    names = None
    if header and rows:
        names, rows, numbers = rows[0], rows[1:], numbers[1:]
    if not rows:
        raise UserError(f"{path}: no rows{' below the header' if names else ''}")
    return Table(str(path), names, rows, numbers)
