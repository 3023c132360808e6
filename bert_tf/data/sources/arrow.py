"""Arrow's columns: their types, and their values in pieces. Parquet files are read so, too."""

import collections
import contextlib
import json

import pyarrow as pa
import pyarrow.parquet as pq

from bert_tf import files
from bert_tf.data.sources.base import CLASSES, INTEGER, NUMBER, OTHER, TEXT, Column
from bert_tf.data.sources.file_sets import FileSet
from bert_tf.errors import UserError

_BATCH_BYTES, _BATCH_ROWS = 16 << 20, 1024
_BUFFER = 1 << 20  # bytes of a column that are read at once


class ParquetFiles(FileSet):
    """Parquet files, of which the wanted columns are read, in pieces of some megabytes.

    A row group may be of any size: its pages are decoded as they are needed.
    """

    def look(self, path):
        with _opened(path) as file:
            names = file.schema_arrow.names
            double = [name for name, count in collections.Counter(names).items() if count > 1]
            if double:
                raise UserError(f"{path}: has column {double[0]!r} more than once: rename one")
            return file.metadata.num_rows, columns_of(file.schema_arrow)

    def read_file(self, path, roles, collector):
        names = roles.names
        with _opened(path) as file:
            missing = [name for name in names if name not in file.schema_arrow.names]
            if missing:
                raise UserError(f"{path}: no column {missing[0]!r}: found {_listed(file)}")
            batches = file.iter_batches(_batch_rows(file), columns=names)
            return collector.table(path, (values_of(batch, names) for batch in batches))


def columns_of(schema):
    """Returns the `Column`s (list) of a `pyarrow.Schema`; `datasets` may have named classes."""
    classes = _class_names(schema)
    return [
        Column(field.name, "classes", CLASSES, classes[field.name])
        if field.name in classes
        else Column(field.name, str(field.type), _kind(field.type))
        for field in schema
    ]


def values_of(batch, names):
    """Returns the values of some columns of a `RecordBatch` or `Table`, a list of lists."""
    return [batch.column(name).to_pylist() for name in names]


def _kind(kind):
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return TEXT
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return INTEGER
    return NUMBER if pa.types.is_floating(kind) else OTHER


def _class_names(schema):
    """{column: names} of the columns that `datasets` says are classes."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: tuple(map(str, feature["names"]))
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _batch_rows(file):
    """Rows of about `_BATCH_BYTES`, of the group whose rows are the largest."""
    about = file.metadata
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    largest = max((g.total_byte_size / max(g.num_rows, 1) for g in groups), default=1)
    return int(min(max(_BATCH_BYTES // max(largest, 1), 1), _BATCH_ROWS))


@contextlib.contextmanager
def _opened(path):
    """Context: the `ParquetFile`; what is wrong with it, now or later, is one `UserError`."""
    try:
        files.refuse_pointer(path)
        # Without these, a row group is read whole before its first row is there.
        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        if isinstance(e, FileNotFoundError | PermissionError):
            raise UserError(f"{path}: cannot read: {e.strerror or e}") from e
        fault = str(e).strip().split("\n")[0]
        raise UserError(
            f"{path}: damaged, cut off or no Parquet file: {fault}: write or fetch it again"
        ) from e


def _listed(file):
    return ", ".join(file.schema_arrow.names[:20])
