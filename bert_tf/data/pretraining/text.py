"""Documents out of raw text files, a bounded piece at a time."""

import contextlib
import dataclasses
import glob
import gzip
import os

from absl import logging

from bert_tf.data.pretraining import layouts
from bert_tf.data.table import counted
from bert_tf.errors import UserError

INPUT_FORMATS = ("auto", *layouts.SPLITTERS)

_REPORTED = 3  # files whose format is doubtful


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
        `jsonl`, a JSON object per line, whose "text" is a document; `auto`, for each file by its
        first megabyte: wikiextractor if it begins with "<doc ", jsonl if with an object,
        blank_lines if a blank line stands between others, else `plain`.
      plain: the format that `auto` takes where nothing shows one.

    Attributes:
      files: as given.
      total_bytes: size of all files on disk.
      formats: {file: its format} of the files opened so far.
      documents: how many there were so far.
      doubts: {file: why its format may be another} of the files opened so far.
    """

    def __init__(self, files, input_format="auto", plain="lines"):
        self.files = list(files)
        self.total_bytes = sum(map(_size, self.files))
        self.formats = {}
        self.documents = 0
        self.doubts = {}
        self._input_format = input_format
        self._plain = plain
        self._done_bytes = 0
        self._raw = None

    @property
    def bytes_read(self):
        """Bytes of the files, as they are on disk, that were read so far."""
        return self._done_bytes + (self._raw.tell() if self._raw else 0)

    def lines(self):
        """Yields the lines (str, stripped, never blank) of all documents, None after each document.

        A line of more than a megabyte comes in several, cut at spaces (but in JSON). The end of a
        file ends its document; a None may follow another where a document is empty.

        Raises:
          UserError: a file cannot be read, is no UTF-8 text or is a damaged .gz; `auto` cannot tell
            its format; a line is no JSON object with a text. The message names file and line.
        """
        for file in self.files:
            with self._opened(file) as stream:
                lines = layouts.Lines(file, stream)
                self.formats[file] = kind = self._format_of(lines)
                filled = False
                for line in layouts.SPLITTERS[kind](lines):
                    if line is not None:
                        filled = True
                    elif filled:
                        self.documents += 1
                        filled = False
                    yield line
                self.documents += filled
                yield None
            self._done_bytes += _size(file)

    def report(self):
        """Logs the formats and the documents that were read, and warns of doubtful formats."""
        kinds = sorted(set(self.formats.values()))
        logging.info(
            "%s in %s, read as %s (--input_format=%s)",
            counted(self.documents, "document", "documents"),
            counted(len(self.formats), "file", "files"), " and ".join(kinds), self._input_format,
        )  # fmt: skip
        if self._input_format == "auto" and {"lines", "blank_lines"} <= set(kinds):
            first = {kind: file for file, kind in reversed(self.formats.items())}
            logging.warning(
                "%s is read as a document per line, %s as documents with blank lines between them:"
                " if they are alike, give --input_format=lines or --input_format=blank_lines",
                first["lines"], first["blank_lines"],
            )  # fmt: skip
        for file, doubt in list(self.doubts.items())[:_REPORTED]:
            logging.warning("%s: %s", file, doubt)
        if len(self.doubts) > _REPORTED:
            more = counted(len(self.doubts) - _REPORTED, "more file is", "more files are")
            logging.warning("%s like that", more)

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
            if size + len(line) > layouts.MAX_PIECE and waiting:
                yield Piece(number, " ".join(waiting), False)
                waiting, size = [], 0
            waiting.append(line)
            size += len(line) + 1

    def _format_of(self, lines):
        beginning = lines.look_ahead()
        given = self._input_format
        if given == "auto":
            found = layouts.format_of(lines.file, beginning)
            doubt = layouts.doubtful(beginning) if found == "blank_lines" else None
            if lines.file.removesuffix(".gz").endswith((".csv", ".tsv")):
                self.doubts[lines.file] = "a table by its name: all of its columns are read as text"
            elif layouts.marked_up(next(filter(None, map(str.strip, beginning)), "")):
                self.doubts[lines.file] = "begins with a tag: all of its tags are read as text"
            elif doubt:
                self.doubts[lines.file] = (
                    f"{doubt}: read as documents with blank lines between them; if each line is a"
                    " document, give --input_format=lines, else --input_format=blank_lines"
                )
            return self._plain if found == "lines" else found
        first = next(filter(None, map(str.strip, beginning)), "")
        structured = layouts.structured(first)
        if first and structured != given and {structured, given} & layouts.STRUCTURED:
            found = structured or "plain text"
            self.doubts[lines.file] = f"looks like {found}, read as --input_format={given}"
        return given

    @contextlib.contextmanager
    def _opened(self, file):
        try:
            with open(file, "rb") as self._raw:
                yield gzip.GzipFile(fileobj=self._raw) if file.endswith(".gz") else self._raw
        except OSError as e:
            raise UserError(f"{file}: cannot read the text: {e.strerror or e}") from e
        finally:
            self._raw = None


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
