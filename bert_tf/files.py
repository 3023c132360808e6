"""Small files: read with clear errors, written atomically."""

import contextlib
import json
import os
import pathlib
import re
import tempfile
import threading

import numpy as np

from bert_tf.errors import UserError

_LFS_POINTER = b"version https://git-lfs"
# CPython 3.11's parser, which reads the header of a .npy file, fails in threads (gh-106905).
_ONE_HEADER_AT_A_TIME = threading.Lock()


def read_json(path, what):
    """Returns the parsed JSON object in `path`; `what` names it in errors ("model configuration").

    Raises:
      UserError: the file is missing, unreadable, not UTF-8, not JSON, or not a JSON object.
    """
    try:
        value = json.loads(pathlib.Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as e:
        raise UserError(f"{path}: cannot read the {what}: {e.strerror or e}") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path}: the {what} is not UTF-8 text (byte {e.start})") from e
    except RecursionError as e:
        raise UserError(f"{path}: the {what} is nested too deeply to be one") from e
    except ValueError as e:  # JSONDecodeError, and integers too long to convert
        refuse_pointer(path)
        raise UserError(f"{path}: the {what} is not valid JSON: {e}") from e
    if not isinstance(value, dict):
        raise UserError(f"{path}: the {what} must be a JSON object, found {type(value).__name__}")
    return value


def map_array(path):
    """Returns the array of a .npy file, memory-mapped for reading; threads may call it together.

    Raises:
      OSError, EOFError, ValueError: the file is missing, cut off, damaged or holds objects.
    """
    with _ONE_HEADER_AT_A_TIME:
        return np.load(path, mmap_mode="r", allow_pickle=False)


def refuse_pointer(path):
    """Raises UserError if `path` is what a clone without Git LFS has in the place of a file."""
    try:
        with open(path, "rb") as f:
            start = f.read(len(_LFS_POINTER))
    except OSError:
        return  # whoever reads it says so
    if start == _LFS_POINTER:
        raise UserError(f"{path}: is a Git LFS pointer, not the file: fetch it with `git lfs pull`")


def write_text(path, text):
    """Writes `text` (str) to `path`: to a temporary name first, then renamed over the old file.

    Raises:
      UserError: the folder is not writable or the disk is full; the old file is then untouched.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())


def table_row(cells):
    """Returns a line (str) of a tab-separated table.

    Cells with a tab, a quote or a line end are quoted as in a CSV file.
    """
    return "\t".join(map(_cell, cells)) + "\n"


def _cell(value):
    text = str(value)
    return f'"{text.replace(chr(34), 2 * chr(34))}"' if re.search('[\t\r\n"]', text) else text


def write_json(path, value):
    """Writes `value` as JSON with sorted keys, indent 2 (Google's form), atomically.

    Raises:
      UserError: as `write_text`, and for a number that is not finite, which JSON cannot hold.
    """
    form = {"indent": 2, "sort_keys": True, "ensure_ascii": False, "allow_nan": False}
    try:
        text = json.dumps(value, **form)
    except ValueError as e:
        raise UserError(f"{path}: not written: a number in it is not finite") from e
    write_text(path, text + "\n")


@contextlib.contextmanager
def atomic_path(path):
    """Context: yields a temporary path beside `path`, renamed to `path` on success, else removed.

    Raises:
      UserError: any OSError inside (full disk, no permission), naming `path`.
    """
    path = pathlib.Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        yield temporary
        os.chmod(temporary, 0o666 & ~umask())  # mkstemp makes private files
        os.replace(temporary, path)
    except OSError as e:
        raise UserError(f"{path}: cannot write: {e.strerror or e}") from e
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def umask():
    """Returns the permissions (int) that new files of this process lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def refuse_same_folder(flag, output, given):
    """Refuses an output folder that holds the model to start from, which would be overwritten.

    Args:
      flag: name of the output's flag.
      output: the folder to write.
      given: the model: its folder, or the prefix or a file of its checkpoint. Its files count as
        held where links lead to.

    Raises:
      UserError: naming both.
    """
    target, given = pathlib.Path(output).resolve(), pathlib.Path(given)
    folder = given if given.is_dir() else given.parent
    prefix = "" if given.is_dir() else given.name
    found = [f for f in folder.iterdir() if f.name.startswith(prefix)] if folder.is_dir() else []
    if target in (folder.resolve(), *(f.resolve().parent for f in found if f.is_symlink())):
        raise UserError(
            f"--{flag}={output}: holds the model to start from ({given}), which would be"
            " overwritten: name another folder"
        )


def make_output_dir(path, flag="output_dir"):
    """Creates the folder `path` if need be and checks that files can be written to it.

    Raises:
      UserError: it is a file, or not writable; the message names `--flag`.
    """
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return pathlib.Path(path)
    except OSError as e:
        raise UserError(f"--{flag}={path}: cannot write there: {e.strerror or e}") from e
