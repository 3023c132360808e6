"""Strict, fast readers for TSV, CSV and JSON-lines files; every fault names file and row."""

import csv
import io
import pathlib
import re

from bert_tf.data.file_kinds import kind_of
from bert_tf.data.json_lines import parse_object, text_of
from bert_tf.data.quotes import unquoted
from bert_tf.data.table import Table, counted
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
_LONE_RETURN = re.compile("\r(?!\n)")
_SPACED_QUOTE = re.compile(r',  *"')
_STAND_IN = "\ufdd0"  # for a lone return: no character, so no text has it


def format_of(path):
    """Returns "tsv" (.tsv, .txt), "csv" (.csv) or "jsonl" (.jsonl, .ndjson, .json).

    Raises:
      UserError: another extension.
    """
    kind = _SUFFIXES.get(pathlib.Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"{path}: unknown kind of file, expected .tsv, .csv or .jsonl")
    return kind


def read_table(path, *, header=True, keys=None, literal=False):
    """Reads `path` in the format that its extension names, see `format_of`.

    Args:
      path: the file.
      header: whether the first row of a TSV or CSV file names the columns.
      keys: the keys to take from JSON lines, see `read_jsonl`.
      literal: see `read_tsv`.

    Raises:
      UserError: another extension, or what `read_tsv`, `read_csv` and `read_jsonl` raise.
    """
    kind = format_of(path)
    if kind == "jsonl":
        return read_jsonl(path, keys)
    if kind == "csv":
        return read_csv(path, header=header)
    return read_tsv(path, header=header, literal=literal)


def read_tsv(path, *, header=True, literal=False):
    """Reads tab-separated lines in GLUE's way: a quote is a character like any other.

    Unless the file quotes its cells as pandas and spreadsheets do, see `quotes`: then it is read
    so, and a remark says it. UTF-8, with or without byte order mark; lines end in LF or CRLF and
    nowhere else. A blank line is a row with an empty cell; those at the end of a table of several
    columns do not count.

    Args:
      path: the file.
      header: whether the first row names the columns.
      literal: whether it is certain that quotes and carriage returns are text, as in a file that a
        program of this project wrote.

    Returns:
      `Table`.

    Raises:
      UserError: the file is missing, empty or without rows, is not UTF-8, holds a NUL byte, or a
        line longer than `MAX_LINE`; or its quotes can be read in two ways.
    """
    text = read_text(path)
    lines = (text if literal else text.replace("\r\n", "\n")).split("\n")
    if not lines[-1]:
        lines.pop()
    if '"' in text and not literal:
        rows, numbers, remarks = unquoted(path, text, lines, header)
    else:
        rows, numbers, remarks = [line.split("\t") for line in lines], range(1, len(lines) + 1), []
    return _table(path, rows, numbers, header, remarks)


def read_csv(path, *, header=True):
    """Reads comma-separated rows with RFC 4180's quotes (commas and line ends inside them).

    Lines end in LF or CRLF and nowhere else. A blank line is a row with an empty cell in a table of
    one column, and none in a table of several.

    Returns:
      `Table`.

    Raises:
      UserError: as `read_tsv`, and for misplaced or unclosed quotes.
    """
    text = _LONE_RETURN.sub(_STAND_IN, read_text(path))
    rows, numbers = [], []
    old_limit = csv.field_size_limit(MAX_LINE)
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    start = 1
    try:
        for row in reader:
            rows.append(row or [""])
            numbers.append(start)
            start = reader.line_num + 1
    except csv.Error as e:
        raise UserError(f"{path}:{start}: not a CSV row: {e} (an unclosed quote?)") from e
    finally:
        csv.field_size_limit(old_limit)
    if _STAND_IN in text:
        rows = [[cell.replace(_STAND_IN, "\r") for cell in row] for row in rows]
    spaced = _spaced_quotes(text, rows, numbers)
    return _table(path, rows, numbers, header, spaced, skip_blank=True)


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
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        value = parse_object(line, where)
        header = header or list(value)
        rows.append([text_of(value, key, where) for key in header])
        numbers.append(number)
    if not rows or not header:
        raise UserError(f"{path}: no rows, expected one JSON object per line")
    return Table(str(path), header, rows, numbers)


def read_text(path):
    """Returns the decoded file, without byte order mark; checks what holds for every kind of file.

    Raises:
      UserError: the file is missing or empty, is not UTF-8, holds a NUL byte, or a line longer than
        `MAX_LINE`.
    """
    try:
        data = pathlib.Path(path).read_bytes()
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such file") from e
    except OSError as e:
        raise UserError(f"{path}: cannot read: {e.strerror or e}") from e
    if not data:
        raise UserError(f"{path}: the file is empty")
    kind = kind_of(data)
    nul = data.find(b"\0")
    if nul >= 0:
        raise UserError(
            f"{path}:{_line_of(data, nul)}: found a NUL byte, expected UTF-8 text"
            f" ({kind or 'damaged, or UTF-16?'}){_remedy(kind)}"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        # The codec counts from behind the byte order mark.
        start = e.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        raise UserError(
            f"{path}:{_line_of(data, start)}: found byte 0x{data[start]:02x}, expected UTF-8 text"
            f"{f' ({kind})' if kind else ''}{_remedy(kind)}"
        ) from e
    if "\r" in text and "\n" not in text:
        raise UserError(f"{path}:1: lines end in CR alone, expected LF or CRLF")
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


def _remedy(kind):
    """What to do with a file of another `kind` (str or None, see `kind_of`)."""
    if kind is not None and kind.startswith("compressed"):
        return ": unpack it"
    return ": save it as UTF-8 text (in Excel: CSV UTF-8)"


def _spaced_quotes(text, rows, numbers):
    """A remark (list of str, of one or none) on cells whose quotes stand behind a space."""
    if not _SPACED_QUOTE.search(text):
        return []
    found = [
        number
        for row, number in zip(rows, numbers, strict=True)
        if any(cell[:1] == " " and cell.strip().startswith('"') for cell in row)
    ]
    if not found:
        return []
    return [
        f"{counted(len(found), 'row has', 'rows have')} a space before a quote, the first in line"
        f" {found[0]}: both are taken as text; write no spaces behind the commas"
    ]


def _line_of(data, position):
    return data.count(b"\n", 0, position) + 1


def _table(path, rows, numbers, header, remarks, skip_blank=False):
    """The `Table`; `skip_blank` leaves blank lines out of a table of several columns."""
    full = [i for i, row in enumerate(rows) if row != [""]]
    if not full:
        raise UserError(f"{path}: no rows")
    first, end = full[0] if header else 0, len(rows)
    if len(rows[first]) > 1 if header else max(map(len, rows)) > 1:
        end = full[-1] + 1
        if skip_blank:
            rows, numbers = [rows[i] for i in full], [numbers[i] for i in full]
            first, end = 0, len(full)
    names = None
    if header:
        names, first = rows[first], first + 1
    if first == end:
        raise UserError(f"{path}: no rows below the header")
    return Table(str(path), names, rows[first:end], numbers[first:end], remarks)
