"""Lines of text from a file or the standard input, a bounded piece at a time, and where they go."""

import codecs
import itertools
import os
import pathlib
import sys

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.options import refuse_if

MAX_LINE_BYTES = 4_000_000
"""What a line may have; more is a file without line ends."""
# Rows handled together, so many or with so many characters: bounds the memory.
_CHUNK_LINES = 4096
_CHUNK_CHARACTERS = 1 << 20


def check_paths(options):
    """Raises `UserError` where --output_file would replace the input or a file of the model."""
    given, output = options.input_file, options.output_file
    if output is None:
        return
    own = os.path.realpath(output)
    for name in ("bert_config_file", "vocab_file", "init_checkpoint"):
        path = getattr(options, name, None)
        refuse_if(
            path
            and (own == os.path.realpath(path) or own.startswith(f"{os.path.realpath(path)}.")),
            f"--output_file={output}: is a file of --{name}, which would be overwritten: name"
            " another file",
        )
    refuse_if(
        given and os.path.realpath(given) == os.path.realpath(output),
        f"--output_file={output}: is the input, which would be overwritten: name another file",
    )
    # A link is replaced itself: where it leads to does not matter, where it is does.
    place = pathlib.Path(output).parent.resolve()
    refuse_if(
        options.model_dir and place.is_relative_to(pathlib.Path(options.model_dir).resolve()),
        f"--output_file={output}: is in --model_dir, whose files would be overwritten: name a file"
        " in another folder",
    )


def open_input(path, opened):
    """Opens --input_file for `texts`.

    Args:
      path: the file; None is the standard input.
      opened: `contextlib.ExitStack` that closes it.

    Returns:
      (binary file, how messages name it).

    Raises:
      UserError: it cannot be read.
    """
    if path is None:
        return sys.stdin.buffer, "standard input"
    try:
        return opened.enter_context(open(path, "rb")), path
    except OSError as e:
        raise UserError(f"--input_file={path}: cannot read: {e.strerror or e}") from e


def open_output(path, opened):
    """Returns the text file that becomes `path` when `opened` ends well; None: standard output."""
    if path is None:
        return sys.stdout
    temporary = opened.enter_context(files.atomic_path(path))
    return opened.enter_context(open(temporary, "w", encoding="utf-8", newline=""))


def texts(lines, name):
    """Yields (place, text) of each line; the place begins a message on it.

    Args:
      lines: binary file.
      name: how messages name it.

    Raises:
      UserError: a line is no UTF-8 or longer than `MAX_LINE_BYTES`, or cannot be read.
    """
    for number in itertools.count(1):
        where = f"{name}:{number}"
        line = _read_line(lines, name, where)
        if not line:
            return
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            text = line.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as e:
            raise UserError(
                f"{where}: found byte 0x{line[e.start]:02x}, expected UTF-8 text"
            ) from e
        yield where, text


def chunks(rows):
    """Yields lists of rows (str, or tuples of str): so many, or with so many characters."""
    chunk, characters = [], 0
    for row in rows:
        chunk.append(row)
        characters += len(row) if isinstance(row, str) else sum(map(len, row))
        if len(chunk) == _CHUNK_LINES or characters > _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def exit_status(run, options):
    """Calls `run(options)`, which may write to the standard output; returns the exit status.

    A reader of the output who has enough, such as head, ends it.
    """
    try:
        run(options)
    except BrokenPipeError:
        return 1
    except OSError as e:
        raise UserError(f"standard output: cannot write: {e.strerror or e}") from e
    return 0


def _read_line(lines, name, where):
    try:
        line = lines.readline(MAX_LINE_BYTES + 1)
    except OSError as e:
        raise UserError(f"{name}: cannot read: {e.strerror or e}") from e
    if len(line) > MAX_LINE_BYTES:
        raise UserError(f"{where}: a line of more than {MAX_LINE_BYTES} bytes, expected a text")
    return line
