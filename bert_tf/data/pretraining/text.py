"""Documents out of raw text files, a bounded piece at a time."""

import collections
import contextlib
import dataclasses
import glob
import gzip
import os
import zlib

from bert_tf.errors import UserError

INPUT_FORMATS = ("auto", "lines", "blank_lines", "wikiextractor")

_MAX_PIECE = 1 << 20  # bytes of one line, or characters of one piece, held at once
_LOOK_AHEAD = 1 << 20  # bytes of a file that decide its format
_BOM = b"\xef\xbb\xbf"


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some of a document's text.

    Attributes:
      document: number of the document (from 0) over all files.
      text: a line or several; never cut inside a word.
      last: whether the document ends with it.
    """

    document: int
    text: str
    last: bool


def find_files(patterns):
    """Returns the sorted files (list of str) that comma-separated `patterns` name, each once.

    Args:
      patterns: files, folders (all files below them but hidden ones), or globs.

    Raises:
      UserError: one of them names nothing.
    """
    found = []
    for pattern in filter(None, (part.strip() for part in patterns.split(","))):
        matches = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
        files = [file for match in matches for file in _files_of(match)]
        if not files:
            raise UserError(f"--input_file={pattern}: no such file, and no folder or glob with one")
        found += files
    if not found:
        raise UserError(f"--input_file={patterns}: names no file")
    return list(dict.fromkeys(found))


class TextReader:
    """Reads text files one after the other, in bounded memory.

    Args:
      files: list of paths; a name that ends in .gz is decompressed.
      input_format: `lines`, a document per line; `blank_lines`, documents are separated by blank
        lines; `wikiextractor`, <doc ...> to </doc>, whose first line is the title and left out;
        `auto`, for each file by its first megabyte: wikiextractor if it begins with "<doc ",
        blank_lines if a blank line stands between others, else lines.

    Attributes:
      files: as given.
      total_bytes: size of all files on disk.
      formats: {file: its format} of the files opened so far.
    """

    def __init__(self, files, input_format="auto"):
        self.files = list(files)
        self.total_bytes = sum(map(_size, self.files))
        self.formats = {}
        self._input_format = input_format
        self._done_bytes = 0
        self._raw = None

    @property
    def bytes_read(self):
        """Bytes of the files, as they are on disk, that were read so far."""
        return self._done_bytes + (self._raw.tell() if self._raw else 0)

    def lines(self):
        """Yields the lines (str, stripped, never blank) of all documents, None after each document.

        A line of more than a megabyte comes in several, cut at spaces. The end of a file ends its
        document; a None may follow another where a document is empty.

        Raises:
          UserError: a file cannot be read, is no UTF-8 text or is a damaged .gz; the message names
            the file and the line.
        """
        for file in self.files:
            with self._opened(file) as stream:
                lines = _Lines(file, stream)
                kind = lines.look_ahead() if self._input_format == "auto" else self._input_format
                self.formats[file] = kind
                yield from _SPLITTERS[kind](lines)
                yield None
            self._done_bytes += _size(file)

    def pieces(self):
        """Yields the `Piece`s of all documents that have any text, in order.

        Raises:
          UserError: as `lines`.
        """
        number, waiting, size = 0, [], 0
        for line in self.lines():
            if line is None:
                if waiting:
                    yield Piece(number, " ".join(waiting), True)
                    number += 1
                waiting, size = [], 0
                continue
            if size + len(line) > _MAX_PIECE and waiting:
                yield Piece(number, " ".join(waiting), False)
                waiting, size = [], 0
            waiting.append(line)
            size += len(line) + 1

    @contextlib.contextmanager
    def _opened(self, file):
        try:
            with open(file, "rb") as self._raw:
                yield gzip.GzipFile(fileobj=self._raw) if file.endswith(".gz") else self._raw
        except OSError as e:
            raise UserError(f"{file}: cannot read the text: {e.strerror or e}") from e
        finally:
            self._raw = None


class _Lines:
    """Iterator over (text, whether the line ends here): text is str, stripped, "" if blank."""

    def __init__(self, file, stream):
        self._file = file
        self._stream = stream
        self._ended = 0  # lines
        self._carry = b""
        self._ahead = collections.deque()

    def __iter__(self):
        while self._ahead:
            yield self._ahead.popleft()
        while (line := self._next()) is not None:
            yield line

    def look_ahead(self):
        """Returns the format that the beginning of the file shows."""
        size = 0
        while size < _LOOK_AHEAD and (line := self._next()) is not None:
            self._ahead.append(line)
            size += len(line[0]) + 1
        beginning = "\n".join(text for text, _ in self._ahead).strip()
        if beginning.startswith("<doc "):
            return "wikiextractor"
        return "blank_lines" if "\n\n" in beginning else "lines"

    def _next(self):
        """The next line or part of a long one, None at the end of the file."""
        try:
            data = self._carry + self._stream.readline(_MAX_PIECE - len(self._carry))
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            raise UserError(
                f"{self._file}: damaged after line {self._ended}, expected a whole .gz file: {e}"
            ) from e
        if not data:
            return None
        number, self._carry = self._ended + 1, b""
        if number == 1:
            data = data.removeprefix(_BOM)
        if len(data) >= _MAX_PIECE and not data.endswith(b"\n"):
            cut = data.rfind(b" ") + 1 or _last_character(data)
            data, self._carry = data[:cut], data[cut:]
        ended = data.endswith(b"\n")
        self._ended += ended
        try:
            return data.decode("utf-8").strip(), ended
        except UnicodeDecodeError as e:
            raise UserError(
                f"{self._file}: line {number} is not UTF-8 text ({e.reason} at byte {e.start + 1})"
            ) from e


def _split_lines(lines):
    for text, ended in lines:
        if text:
            yield text
        if ended:
            yield None


def _split_blank_lines(lines):
    starts = True
    for text, ended in lines:
        if text:
            yield text
        elif starts and ended:
            yield None
        starts = ended


def _split_wikiextractor(lines):
    inside, title = False, False
    for text, ended in lines:
        if text.startswith("<doc "):
            inside = title = True
        elif text == "</doc>":
            inside = False
            yield None
        elif inside and text:
            if not title:
                yield text
            title = title and not ended


_SPLITTERS = {
    "lines": _split_lines,
    "blank_lines": _split_blank_lines,
    "wikiextractor": _split_wikiextractor,
}


def _last_character(data):
    """Where the last character of UTF-8 bytes begins."""
    start = len(data) - 1
    while start > len(data) - 4 and data[start] & 0xC0 == 0x80:
        start -= 1
    return start


def _files_of(path):
    if not os.path.isdir(path):
        return [path]
    found = []
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [os.path.join(folder, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _size(file):
    try:
        return os.path.getsize(file)
    except OSError as e:
        raise UserError(f"{file}: cannot read the text: {e.strerror or e}") from e
