"""Lines of text in, lines of predictions out: what predict.py runs."""

import codecs
import contextlib
import itertools
import os
import pathlib
import sys

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.options import check_table, refuse_if

MAX_LINE_BYTES = 4_000_000
"""What a line may have; more is a file without line ends."""
# Lines predicted together, so many or with so many characters: bounds the memory.
_CHUNK_LINES = 4096
_CHUNK_CHARACTERS = 1 << 20


def run(options):
    """Predicts as `PredictOptions` say.

    Raises:
      UserError: bad input; an output file is then as it was.
    """
    check_table(options)
    _check_paths(options)
    from bert_tf.serving.classifier import Classifier  # loads what --help does not need

    with contextlib.ExitStack() as opened:
        lines, name = _open_input(options.input_file, opened)
        classify = Classifier(
            options.model_dir, options.threads, options.batch_size, options.verify
        )
        artefact = classify.artefact
        refuse_if(
            artefact.kind == "encoder",
            f"--model_dir={options.model_dir}: is an encoder, which has no labels: expected a"
            " classifier or a regression",
        )
        pairs = artefact.pairs if options.pairs is None else options.pairs
        output = _open_output(options.output_file, opened)
        for texts in _chunks(_rows(lines, name, pairs)):
            output.writelines(_line(x, artefact.kind) for x in classify(texts))
            output.flush()


def main(options):
    """Predicts; a reader of the standard output who has enough, such as head, ends it."""
    try:
        run(options)
    except BrokenPipeError:
        return 1
    except OSError as e:
        raise UserError(f"standard output: cannot write: {e.strerror or e}") from e
    return 0


def _check_paths(options):
    given, output = options.input_file, options.output_file
    if output is None:
        return
    refuse_if(
        given and os.path.realpath(given) == os.path.realpath(output),
        f"--output_file={output}: is the input, which would be overwritten: name another file",
    )
    # A link is replaced itself: where it leads to does not matter, where it is does.
    place, model = pathlib.Path(output).parent.resolve(), pathlib.Path(options.model_dir).resolve()
    refuse_if(
        place.is_relative_to(model),
        f"--output_file={output}: is in --model_dir, whose files would be overwritten: name a file"
        " in another folder",
    )


def _open_input(path, opened):
    """The binary file of lines, and how messages name it."""
    if path is None:
        return sys.stdin.buffer, "standard input"
    try:
        return opened.enter_context(open(path, "rb")), path
    except OSError as e:
        raise UserError(f"--input_file={path}: cannot read: {e.strerror or e}") from e


def _open_output(path, opened):
    if path is None:
        return sys.stdout
    temporary = opened.enter_context(files.atomic_path(path))
    return opened.enter_context(open(temporary, "w", encoding="utf-8", newline=""))


def _rows(lines, name, pairs):
    """Yields the text or the pair of each line; `pairs` is None where nothing says which."""
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
        if pairs is None and "\t" in text:
            raise UserError(
                f"{where}: holds a tab, and nothing says whether the model was fine-tuned on pairs:"
                " give --pairs where a line is two texts, --pairs=false where it is one"
            )
        yield _pair(text, where) if pairs else text


def _read_line(lines, name, where):
    try:
        line = lines.readline(MAX_LINE_BYTES + 1)
    except OSError as e:
        raise UserError(f"{name}: cannot read: {e.strerror or e}") from e
    if len(line) > MAX_LINE_BYTES:
        raise UserError(f"{where}: a line of more than {MAX_LINE_BYTES} bytes, expected a text")
    return line


def _pair(text, where):
    parts = text.split("\t")
    if len(parts) != 2:
        raise UserError(
            f"{where}: found {len(parts) - 1} tabs, expected one, between two texts (--pairs=false"
            " where a line is one text)"
        )
    return tuple(parts)


def _chunks(rows):
    """Yields lists of rows, whose lines are so many, or so many characters, together."""
    chunk, characters = [], 0
    for row in rows:
        chunk.append(row)
        characters += len(row) if isinstance(row, str) else sum(map(len, row))
        if len(chunk) == _CHUNK_LINES or characters > _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _line(found, kind):
    if kind == "regression":
        return f"{found.score:.8g}\n"
    return files.table_row([found.label, f"{found.probability:.8g}"])
