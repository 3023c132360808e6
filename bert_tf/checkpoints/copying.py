"""Small files carried from one model folder to the next."""

import pathlib
import shutil

from bert_tf import files
from bert_tf.errors import UserError


def copy_file(source, target):
    """Copies a small file atomically; copying a file onto itself does nothing.

    Raises:
      UserError: it cannot be read or written.
    """
    source, target = pathlib.Path(source), pathlib.Path(target)
    if target.exists() and target.samefile(source):
        return
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    with files.atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
