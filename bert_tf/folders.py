"""Folders whose files belong together: replaced as a whole, or left as they were."""

import contextlib
import ctypes
import glob
import os
import pathlib
import shutil
import tempfile

from bert_tf import files
from bert_tf.errors import UserError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux' fcntl.h and fs.h
# Without these no reader takes the rest for a model: they go first and come last.
_DECISIVE = (".index", ".safetensors", "export.json")


@contextlib.contextmanager
def replaced(path):
    """Context: yields an empty folder; on success it becomes `path`, whatever that held is gone.

    It lies beside `path` until then and takes its name in one step, so a kill leaves what was there
    or what is new (and the other one as `.<name>.*`). Where `path` is a link, the folder that it
    means is replaced.

    Args:
      path: the folder, made if need be. One that cannot be renamed (a mount, or in a folder that is
        not writable) is `updated`.

    Raises:
      UserError: any OSError inside (full disk, no permission), naming `path`; what it held is then
        untouched.
    """
    target = pathlib.Path(path).resolve()
    stays = target.is_dir() and (os.path.ismount(target) or not os.access(target.parent, os.W_OK))
    if stays:
        with updated(path, os.listdir(target)) as new:
            yield new
        return
    with _temporary(target.parent, path) as new:
        yield new
        _flush(new)
        if target.is_dir():
            shutil.copymode(target, new)
        else:
            new.chmod(0o777 & ~files.umask())
        _swap(new, target)


def tidy(path):
    """Removes what killed writers left beside a folder that nobody is writing now.

    A kill between the two renames of a system without an exchange leaves no `path`: the old one
    gets its name back.
    """
    path = pathlib.Path(path)
    for left in sorted(path.parent.glob(f".{glob.escape(path.name)}.*")):
        if left.suffix == ".old" and not path.exists():
            left.rename(path)
        else:
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def updated(path, names):
    """Context: yields an empty folder; on success its files take the place of `names` in `path`.

    For folders that hold more than these. The old weights go first and the new ones come last, so a
    kill in between leaves no model rather than a mixture of two.

    Args:
      path: the folder, made if need be.
      names: files of `path` that make way, those that exist.

    Raises:
      UserError: any OSError inside, naming `path`; its files are then the old ones.
    """
    path = pathlib.Path(path)
    with _temporary(path, path) as new:
        yield new
        _flush(new)
        incoming = sorted(os.listdir(new), key=_is_decisive)
        old = sorted({*names, *incoming} & {*os.listdir(path)}, key=_is_decisive)
        aside = pathlib.Path(tempfile.mkdtemp(dir=path, prefix=".replaced."))
        with contextlib.ExitStack() as back:
            back.callback(aside.rmdir)
            for name in reversed(old):
                os.replace(path / name, aside / name)
                back.callback(os.replace, aside / name, path / name)
            for name in incoming:
                os.replace(new / name, path / name)
                back.callback(_remove, path / name)
            back.pop_all()  # nothing failed: nothing goes back
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _temporary(parent, path):
    """Context: a hidden folder in `parent`, removed at the end; errors inside name `path`."""
    new = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        new = tempfile.mkdtemp(dir=parent, prefix=f".{pathlib.Path(path).name}.")
        yield pathlib.Path(new)
    except OSError as e:
        raise UserError(f"{path}: cannot write: {e.strerror or e}") from e
    except UserError as e:  # of a writer that knows only the hidden folder
        raise UserError(str(e).replace(str(new), os.fspath(path))) from e
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)


def _remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_decisive(name):
    return name.endswith(_DECISIVE)


def _flush(folder):
    """Waits until all files are on the disk: a renaming must not overtake them."""
    for file in filter(pathlib.Path.is_file, folder.rglob("*")):
        with open(file, "rb") as f:
            os.fsync(f.fileno())


def _swap(new, path):
    """Gives the folder `new` the name `path`; an old content is then in `new`, or removed."""
    if not path.is_dir() or not os.listdir(path):
        os.replace(new, path)
    elif not _exchange(new, path):
        aside = f"{new}.old"
        os.replace(path, aside)
        try:
            os.replace(new, path)
        except OSError:
            os.replace(aside, path)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(first, second):
    """Swaps the names of two folders in one step; returns False where the system has no such."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return not renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE)
