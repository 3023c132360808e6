"""TensorFlow's checkpoint files (an index and its data shards): found, and written atomically."""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile

from absl import logging

from bert_tf import files
from bert_tf.errors import UserError

_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


def find_prefix(path):
    """Returns the checkpoint prefix (str) that `path` means.

    Args:
      path: a prefix, one of its files (`x.index`), or a folder that holds `bert_model.ckpt`, a
        `checkpoint` file that names the newest one, or exactly one checkpoint.

    Raises:
      UserError: nothing there, or one of the index and data files is missing or not fetched.
    """
    path = _SUFFIX.sub("", os.fspath(path))
    if os.path.isdir(path):
        path = _prefix_in(pathlib.Path(path))
    folder, name = os.path.split(path)
    data = sorted(
        f
        for f in (os.listdir(folder or ".") if os.path.isdir(folder or ".") else [])
        if re.fullmatch(re.escape(name) + r"\.data-\d{5}-of-\d{5}", f)
    )
    index = os.path.isfile(path + ".index")
    if not index and not data:
        raise UserError(f"{path}: no checkpoint there: no {name}.index and no {name}.data-*")
    if not index:
        raise UserError(f"{path}.index: the index file is missing, {data[0]} is there")
    if not data:
        raise UserError(f"{path}.data-00000-of-00001: the data file is missing, the index is there")
    for file in (f"{path}.index", *(os.path.join(folder, f) for f in data)):
        files.refuse_pointer(file)
    return path


def _prefix_in(folder):
    if (folder / "bert_model.ckpt.index").exists():
        return os.path.join(folder, "bert_model.ckpt")
    prefixes = sorted({_SUFFIX.sub("", f.name) for f in folder.iterdir() if _SUFFIX.search(f.name)})
    state = folder / "checkpoint"
    if state.is_file():
        return _newest(folder, state, prefixes)
    if len(prefixes) == 1:
        return os.path.join(folder, prefixes[0])
    raise UserError(
        f"{folder}: no bert_model.ckpt and no file named checkpoint in this folder"
        + (f"; several checkpoints: {', '.join(prefixes[:5])}; name one" if prefixes else "")
    )


def _newest(folder, state, prefixes):
    """The checkpoint that the file `checkpoint` names, which a copied folder has itself."""
    found = re.search(rb'^model_checkpoint_path: "(.*)"', state.read_bytes(), re.MULTILINE)
    if not found:
        raise UserError(f"{state}: names no model_checkpoint_path")
    named = os.fsdecode(found.group(1))
    name = re.split(r"[/\\]+", named)[-1]
    if name in prefixes:
        if os.path.realpath(folder / named) != os.path.realpath(folder / name):
            logging.warning("%s names %s: taking %s of its own folder", state, named, name)
        return os.path.join(folder, name)
    path = os.path.join(folder, named)  # an absolute path stays itself
    if os.path.isfile(f"{path}.index"):
        return path
    example = f": name one, {folder / prefixes[-1]} for example" if prefixes else ""
    raise UserError(
        f"{state}: names {named}, which is not there; in its own folder there is"
        f" {', '.join(prefixes[:5]) or 'no checkpoint'}, expected {name}{example}"
    )


@contextlib.contextmanager
def atomic_prefix(prefix):
    """Context: yields a temporary prefix on the same disk; on success its files become `prefix`'s.

    The data file is renamed first and the index last, so a new checkpoint appears whole. Between
    the two renames of an overwritten one, the old index does not fit the new data, which every
    reader notices by its checksums.

    Raises:
      UserError: full disk or no permission, naming `prefix`; the old files are then untouched.
    """
    import tensorflow as tf

    prefix = pathlib.Path(prefix)
    folder = None
    try:
        prefix.parent.mkdir(parents=True, exist_ok=True)
        folder = pathlib.Path(tempfile.mkdtemp(dir=prefix.parent, prefix=f".{prefix.name}."))
        yield str(folder / prefix.name)
        written = [f for f in folder.iterdir() if f.name.startswith(prefix.name + ".")]
        for file in written:
            _flush(file)
        for file in sorted(written, key=lambda f: f.suffix == ".index"):
            os.replace(file, prefix.parent / file.name)
    except OSError as e:
        raise UserError(f"{prefix}: cannot write the checkpoint: {e.strerror or e}") from e
    except tf.errors.OpError as e:
        cause = e.message.rsplit("; ", 1)[-1].split(" [Op:")[0]  # after the kernel's name and path
        raise UserError(f"{prefix}: cannot write the checkpoint: {cause}") from e
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _flush(file):
    with open(file, "rb") as f:
        os.fsync(f.fileno())
