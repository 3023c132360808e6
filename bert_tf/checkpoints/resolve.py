"""What a flag may name as a model: a path, or the id of one in the cache of Hugging Face's hub."""

import glob
import os
import pathlib
import re

from bert_tf.errors import UserError

# OWNER/NAME or NAME as the hub has them, and a revision if it is not the main one.
_ID = re.compile(r"((?:[\w-][\w.-]*/)?[\w-][\w.-]*)(?:@([\w.-]+))?")


def find(given):
    """Returns the path (`pathlib.Path`) of the model that a flag names; nothing is downloaded.

    Args:
      given: a path, which wins where there is one: a folder, a checkpoint's prefix, or a model's
        folder in the hub's cache; or an id such as `sentence-transformers/all-MiniLM-L6-v2`, with
        `@REVISION` for another than the main one, of which the newest copy in the cache is taken.

    Raises:
      UserError: it is a zip file, or the cache has no such revision.
    """
    path = pathlib.Path(given)
    if path.is_file() and path.suffix == ".zip":
        raise UserError(f"{path}: is a zip file, expected a folder: unzip it and give the folder")
    if path.exists() or _is_prefix(path):
        return _snapshot(path, None) if (path / "snapshots").is_dir() else path
    name, revision = _name(given)
    folder = name and _cached(name)
    return _snapshot(folder, revision) if folder and folder.is_dir() else path


def hint(given):
    """Returns what to say of the hub where nothing was found under `given`; "" if it is no id."""
    name, _ = _name(given)
    if not name:
        return ""
    return (
        f"; nor is there a model of that id in the hub's cache, {cache()}: `hf download {name}`"
        " fetches it"
    )


def cache():
    """The folder (`pathlib.Path`) of the hub's cache, as huggingface_hub finds it."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return pathlib.Path(named).expanduser()
    home = os.environ.get("HF_HOME")
    if not home:
        home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return pathlib.Path(home).expanduser() / "hub"


def _is_prefix(path):
    """Whether files of a checkpoint begin with `path`; others may, such as a log of that name."""
    name = glob.escape(path.name)
    return any(f for end in (".index", ".data-*", ".meta") for f in path.parent.glob(name + end))


def _name(given):
    """(id, revision or None), both None if it is no id."""
    found = _ID.fullmatch(os.fspath(given))
    return found.groups() if found else (None, None)


def _cached(name):
    return cache() / f"models--{name.replace('/', '--')}"


def _snapshot(folder, revision):
    """The folder of a revision, `main` or the only one there if None, in a model's cache."""
    snapshots = sorted(f.name for f in (folder / "snapshots").glob("*") if f.is_dir())
    ref = folder / "refs" / (revision or "main")
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision
    found = [name for name in snapshots if commit is None or name.startswith(commit)]
    if len(found) == 1:
        return folder / "snapshots" / found[0]
    if not snapshots:
        raise UserError(f"{folder}: holds no model, its download was cut off: repeat `hf download`")
    raise UserError(
        f"{folder}: holds {'several revisions' if found else 'no revision'}"
        f"{f' {revision}' if revision else ''}, found {', '.join(snapshots)}: give one of them,"
        " OWNER/NAME@REVISION, or the path of a folder"
    )
