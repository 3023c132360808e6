"""What a file that is no text is instead, by its first bytes."""

_KINDS = (
    (b"PK\x03\x04", "a zip archive (or .xlsx, .docx, .npz)"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"(\xb5/\xfd", "compressed by zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"%PDF-", "a PDF document"),
    (b"ARROW1", "an Arrow file"),
    (b"\xff\xff\xff\xff", "an Arrow stream"),
    (b"Obj\x01", "an Avro file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_LENGTH_BYTES = 8  # of a TFRecord's record, before its checksum


def kind_of(data):
    """Returns what begins with the bytes `data`, for a message, or None where they do not tell."""
    for magic, kind in _KINDS:
        if data.startswith(magic):
            return kind
    length = data[:_LENGTH_BYTES]
    if len(data) > _LENGTH_BYTES and any(length[:4]) and not any(length[4:]):
        return "a TFRecord file"
    return None
