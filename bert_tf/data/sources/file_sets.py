"""Data sets of files: CSV, TSV and JSON lines by the readers of a user's own files."""

import collections

from bert_tf.data.custom import read_columns
from bert_tf.data.json_lines import parse_object
from bert_tf.data.readers import format_of, read_table, read_text
from bert_tf.data.sources.base import (
    INTEGER,
    NUMBER,
    OTHER,
    TEXT,
    Collector,
    Column,
    Source,
    joined,
)
from bert_tf.data.sources.numbers import is_integer, is_number
from bert_tf.data.sources.paths import collect
from bert_tf.data.table import Table
from bert_tf.errors import UserError

_PEEK = 1000  # rows that tell what a column holds


class FileSet(Source):
    """A data set of files of one kind; a subclass reads one of them.

    Args:
      kind: `csv`, `json` or `parquet`.
      place: file, folder or glob pattern, see `collect`.
    """

    def __init__(self, kind, place):
        self.name = f"{kind}:{place}"
        self.configs = []
        self._files = collect(kind, place)
        self._known = {}

    def splits(self):
        return {
            split: sum(self._look(path)[0] for path in files)
            for split, files in self._files.items()
        }

    def columns(self, split):
        """The columns that all files of the split have, as the first one has them."""
        paths = self._files[split]
        found = {column.name: column for column in self._look(paths[0])[1]}
        for path in paths[1:]:
            others = {column.name: column for column in self._look(path)[1]}
            found = {name: column for name, column in found.items() if name in others}
            for name, column in found.items():
                if column.labels != others[name].labels:
                    names = (", ".join(c.labels or ["none"]) for c in (others[name], column))
                    raise UserError(
                        f"{path}: column {name!r} has the classes {next(names)}, and {next(names)}"
                        f" in {paths[0]}: write the files of a split with the same classes"
                    )
        return list(found.values())

    def read(self, split, roles, rows=None):
        collector = Collector(roles.names, rows)
        tables = [self.read_file(path, roles, collector) for path in self._files[split]]
        return joined(f"{self.name} {split}", tables)

    def look(self, path):
        """Returns (number of rows, list of `Column`) of a file."""
        raise NotImplementedError

    def _look(self, path):
        """What `look` says, which reads a file once."""
        if path not in self._known:
            self._known[path] = self.look(path)
        return self._known[path]

    def read_file(self, path, roles, collector):
        """Returns the `Table` of the rows in a file that the `Collector` wants."""
        raise NotImplementedError


class TextFiles(FileSet):
    """CSV, TSV and JSON lines. What `read` finds is as of a custom task with these files."""

    def __init__(self, kind, place):
        super().__init__(kind, place)
        for path in (path for files in self._files.values() for path in files):
            format_of(path)  # raises for another extension

    def look(self, path):
        if format_of(path) == "jsonl":
            return sum(1 for _ in _objects(path)), _json_columns(path)
        table = read_table(path).without_empty_rows()
        if len(set(table.header)) < len(table.header):
            double = [n for n, count in collections.Counter(table.header).items() if count > 1]
            raise UserError(f"{path}:1: the header has column {double[0]!r} more than once")
        rows = table.rows[:_PEEK]
        columns = [
            _column(name, [row[i] for row in rows if len(row) > i])
            for i, name in enumerate(table.header)
        ]
        return len(table), columns

    def read_labels(self, split, roles):
        return self.read(split, roles)  # a line end in a text is only seen beside it

    def read_file(self, path, roles, collector):
        table = read_columns(path, (roles.text, roles.pair), roles.label, roles.ids, numbered=False)
        indices = [table.index_of(name) for name in roles.names]
        found = collector.table(path, _one_batch(table, indices))
        numbers = [table.numbers[number - 1] for number in found.numbers]
        return Table(table.path, found.header, found.rows, numbers, table.remarks)


def _one_batch(table, indices):
    if len(table):
        yield [[row[i] for row in table.rows] for i in indices]


def _objects(path):
    """Yields (line number, dict) of the rows of JSON lines."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield number, parse_object(line, f"{path}:{number}")


def _json_columns(path):
    found = {}
    for _, (_, row) in zip(range(_PEEK), _objects(path), strict=False):
        for key, value in row.items():
            found.setdefault(key, []).append(value)
    if not found:
        raise UserError(f"{path}: no rows, expected one JSON object per line")
    return [Column(key, *_json_type(values)) for key, values in found.items()]


def _json_type(values):
    kinds = {type(value) for value in values if value is not None}
    if kinds == {str}:
        return "string", TEXT
    if kinds <= {int, bool} and kinds:
        return "bool" if kinds == {bool} else "integer", INTEGER
    if kinds and kinds <= {int, float}:
        return "number", NUMBER
    return "/".join(sorted(kind.__name__ for kind in kinds)) or "null", OTHER


def _column(name, cells):
    cells = [cell.strip() for cell in cells if cell.strip()]
    if cells and all(is_integer(cell) for cell in cells):
        return Column(name, "integer", INTEGER)
    if cells and all(is_number(cell) for cell in cells):
        return Column(name, "number", NUMBER)
    return Column(name, "text", TEXT)
