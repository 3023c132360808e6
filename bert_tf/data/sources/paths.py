"""The files of a data set, and which split each belongs to by its name."""

import glob
import itertools
import pathlib
import re

from bert_tf.errors import UserError

SUFFIXES = {
    "csv": (".csv", ".tsv", ".txt"),
    "json": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
}
# The hub has named shards by their content, too: train-00000-of-00002-a09b74b3ef9c3b56.
_SHARD = re.compile(r"([-_.]\d+([-_.]of[-_.]\d+(-[0-9a-f]{16})?)?)+$")
_MAGIC = re.compile(r"[*?[]")
_SPLIT = re.compile(
    r"(?:^|.*[-_. ])(train|training|dev|valid|validation|val|eval|test|testing)((?:[-_. ].*)?)$",
    re.IGNORECASE,
)


def collect(kind, place):
    """Returns {split: [path]} of a data set of files.

    A file belongs to the split that its name names (train.csv, validation_matched.tsv,
    test-00000-of-00002.parquet), else the folder that it is in. Where no name does, all files
    together are the split train; beside others, a file without is a split of its own name.

    Args:
      kind: `csv`, `json` or `parquet`.
      place: a file, a folder, whose folders count, or a glob pattern.

    Raises:
      UserError: there is no such file.
    """
    root = pathlib.Path(place).expanduser()
    paths = _found(root, kind)
    if not paths:
        endings = ", ".join(SUFFIXES[kind])
        what = f"no file {endings} in it" if root.is_dir() else "no such file or folder"
        raise UserError(f"--dataset={kind}:{place}: {what}")
    below = _above(root)
    named = [split_of(path, below) for path in paths]
    splits = {}
    for path, split in zip(paths, named, strict=True):
        own = split or ("train" if not any(named) else _SHARD.sub("", path.stem))
        splits.setdefault(own, []).append(path)
    return splits


def split_of(path, root=None):
    """Returns the split that the name of a file (or of its folders below `root`) names, or None."""
    folders = path.relative_to(root).parts[-2::-1] if root else ()
    for name in (path.stem, *folders):
        match = _SPLIT.fullmatch(_SHARD.sub("", name))
        if match:
            return (match[1] + match[2]).lower()
    return None


def _above(root):
    """The folder below which the names of folders count; None for a file."""
    if root.is_dir() or root.is_file():
        return root if root.is_dir() else None
    return pathlib.Path(*itertools.takewhile(lambda part: not _MAGIC.search(part), root.parts))


def _found(root, kind):
    if root.is_file():
        return [root]
    if root.is_dir():
        files = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES[kind])
        hidden = (path for path in files if not _is_hidden(path.relative_to(root)))
        return sorted(path for path in hidden if path.is_file())
    matches = map(pathlib.Path, glob.glob(str(root), recursive=True))
    return sorted(path for path in matches if path.is_file())


def _is_hidden(path):
    return any(part.startswith((".", "_")) for part in path.parts)
