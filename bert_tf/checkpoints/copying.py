"""Small files carried from one model folder to the next."""

import codecs
import pathlib

from bert_tf import files
from bert_tf.errors import UserError


def copy_file(source, target):
    """Copies a small text file atomically; copying a file onto itself does nothing.

    A byte order mark is left out: other programs take it for a part of a vocabulary's first token.

    Raises:
      UserError: it cannot be read or written.
    """
    source, target = pathlib.Path(source), pathlib.Path(target)
    if target.exists() and target.samefile(source):
        return
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    with files.atomic_path(target) as temporary:
        text = source.read_bytes().removeprefix(codecs.BOM_UTF8)
        pathlib.Path(temporary).write_bytes(text)
