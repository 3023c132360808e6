"""How text files hold documents: what the beginning of a file shows, and how it is split."""

import collections
import gzip
import html
import re
import zlib

from bert_tf.data.file_kinds import kind_of
from bert_tf.data.json_lines import parse_object, text_of
from bert_tf.errors import UserError

MAX_PIECE = 1 << 20  # bytes of one line, or characters of one piece, held at once

STRUCTURED = frozenset({"wikiextractor", "jsonl"})
"""The formats whose lines are not all text."""

_LOOK_AHEAD = 1 << 20  # bytes of a file that decide its format
_MAX_OBJECT = 1 << 26  # characters of a line of JSON
_TEXT_KEY = "text"
_KEY_ADVICE = f": rename the key of the text to {_TEXT_KEY!r}"
_BOM = b"\xef\xbb\xbf"
_MARKUP = ("<?xml", "<mediawiki", "<!doctype", "<html")
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+\S")


class Lines:
    """Iterator over (text, whether the line ends here): text is str, stripped, "" if blank."""

    def __init__(self, file, stream):
        self.file = file
        self._ended = 0  # lines
        self._stream = stream
        self._carry = b""
        self._ahead = collections.deque()
        self._begun = False
        self._kind = None

    def __iter__(self):
        for text, ended in self.parts():
            yield text.strip(), ended

    def parts(self):
        """Yields the same, but with the spaces and line ends that the file has."""
        while self._ahead:
            yield self._ahead.popleft()
        while (part := self._next()) is not None:
            yield part

    def look_ahead(self):
        """Returns the lines (list of str, stripped) of the file's first megabyte.

        They are still to come. The last one may be cut off.
        """
        size = 0
        while size < _LOOK_AHEAD and (part := self._next()) is not None:
            self._ahead.append(part)
            size += len(part[0])
        return "".join(text for text, _ in self._ahead).split("\n")

    def _next(self):
        """The next line or part of a long one, None at the end of the file."""
        try:
            data = self._carry + self._stream.readline(MAX_PIECE - len(self._carry))
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            raise UserError(
                f"{self.file}: damaged after line {self._ended}, expected a whole .gz file: {e}:"
                " get it again; text that is not compressed must not be named .gz"
            ) from e
        if not data:
            return None
        number, self._carry = self._ended + 1, b""
        if not self._begun:
            self._begun, self._kind = True, kind_of(data)
            data = data.removeprefix(_BOM)
        kind = f" ({self._kind}?)" if self._kind else ""
        kind += ": give plain text in UTF-8, or .gz files of it"
        if b"\0" in data:
            raise UserError(f"{self.file}: line {number} has a NUL byte, expected text{kind}")
        if len(data) >= MAX_PIECE and not data.endswith(b"\n"):
            cut = data.rfind(b" ") + 1 or _last_character(data)
            data, self._carry = data[:cut], data[cut:]
        ended = data.endswith(b"\n")
        self._ended += ended
        try:
            return data.decode("utf-8"), ended
        except UnicodeDecodeError as e:
            raise UserError(
                f"{self.file}: line {number} is not UTF-8 text ({e.reason} at byte {e.start + 1})"
                f"{kind}"
            ) from e


def format_of(file, beginning):
    """Returns the format that the first lines of a file show.

    Args:
      file: its path, for messages.
      beginning: list of str, see `Lines.look_ahead`.

    Raises:
      UserError: they are JSON of another form, or markup.
    """
    filled = [line.strip() for line in beginning]
    first = next(filter(None, filled), "")
    if found := structured(first):
        return found
    if len(filled) == 1 and "\r" in first:
        raise UserError(f"{file}: lines end in CR alone, expected LF or CRLF")
    if re.match(r"[\[{]$|\[\s*\{", first):
        raise UserError(
            f"{file}: begins with {first[:20]!r}, as JSON: expected one object per line, whose text"
            f" is under {_TEXT_KEY!r}, or plain text"
        )
    if first.lower().startswith(_MARKUP):
        raise UserError(
            f"{file}: begins with {first[:20]!r}: expected plain text, without markup"
            " (WikiExtractor makes it of a Wikipedia dump); --input_format=lines reads it as it is"
        )
    return "blank_lines" if _breaks(filled) else "lines"


def structured(first):
    """Returns the one of `STRUCTURED` that a file's first line (str) with text shows, or None."""
    if first.startswith("<doc "):
        return "wikiextractor"
    return "jsonl" if re.match(r'\{\s*"', first) else None


def marked_up(first):
    """Returns whether a file's first line (str) with text begins with a tag of HTML or XML."""
    return bool(re.match("<[a-zA-Z!][^<>]*>", first)) and not structured(first)


def doubtful(beginning):
    """Returns why the blank lines in a file's first lines may not part documents, else None.

    Args:
      beginning: list of str, see `Lines.look_ahead`.
    """
    filled = [line.strip() for line in beginning]
    count, breaks = sum(map(bool, filled)), _breaks(filled)
    if breaks == 1:
        return f"one blank line among {count} others"
    several = sum(bool(_SENTENCE_END.search(line)) for line in filled)
    if 10 * breaks <= count and 2 * several >= count:
        return f"blank lines in {breaks} places among {count} lines, most of several sentences"
    return None


def _breaks(filled):
    """In how many places blank lines stand between others."""
    text = "\n".join(filled).strip()
    return len(re.findall(r"\n\n+", text))


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
    inside, title, tag = False, False, ""
    for text, ended in lines:
        if text.startswith("<doc "):
            if inside:
                yield None
            inside, title, tag = True, True, text
        elif text == "</doc>":
            inside = False
            yield None
        elif inside and text:
            if not (title and _is_title(text, tag)):
                yield text
            title = title and not ended


def _is_title(text, tag):
    """Whether a document's first line is its tag's title; any is, where the tag has none."""
    return "title=" not in tag or any(f'title="{t}"' in tag for t in (text, html.escape(text)))


def _split_jsonl(lines):
    for number, line in _whole(lines):
        if not line.strip():
            continue
        where = f"{lines.file}:{number}"
        document = text_of(parse_object(line, where), _TEXT_KEY, where, _KEY_ADVICE)
        for text in document.split("\n"):
            if text := text.strip():
                yield text
        yield None


def _whole(lines):
    """Yields (number, text) of whole lines: an object cannot be read in parts."""
    number, parts, size = 1, [], 0
    for text, ended in lines.parts():
        parts.append(text)
        size += len(text)
        if size > _MAX_OBJECT:
            raise UserError(
                f"{lines.file}: line {number} has more than {_MAX_OBJECT} characters, expected a"
                " JSON object"
            )
        if ended:
            yield number, "".join(parts)
            number, parts, size = number + 1, [], 0
    yield number, "".join(parts)


SPLITTERS = {
    "lines": _split_lines,
    "blank_lines": _split_blank_lines,
    "wikiextractor": _split_wikiextractor,
    "jsonl": _split_jsonl,
}


def _last_character(data):
    """Where the last character of UTF-8 bytes begins."""
    start = len(data) - 1
    while start > len(data) - 4 and data[start] & 0xC0 == 0x80:
        start -= 1
    return start
