"""What a flag's value stands for: of a path the files there, so that a run belongs to its input."""

import glob
import hashlib
import pathlib
import re

from bert_tf.errors import UserError

# Where a run works: what it computes does not depend on it.
WORKING = {"output_dir", "feature_dir", "cache_dir", "keep_cache", "log_steps"}
# What a run leaves in a model folder beside the model, and what only people read.
_OTHER_FILES = re.compile(
    r"\.|events\.out\.|(?i:readme|license)|(?:results|training_state)\.json$|(?:eval|test)_results"
    r"|log\.txt$"
)
_OTHER_FOLDERS = {"activations", "best", "checkpoints", "eval", "features"}
_BLOCK = 1 << 22


def names_files(flag):
    """Whether the values of a flag of this name are files or folders."""
    return flag.endswith(("_dir", "_file")) or flag in ("init_checkpoint", "model", "dataset")


class Contents:
    """Digests of files, each of which is read once."""

    def __init__(self):
        self._digests = {}

    def of(self, flag, value):
        """Returns what is JSON-able of a value: a digest of the files that it names, else itself.

        Args:
          flag: name of the flag.
          value: its value.

        Raises:
          UserError: a file cannot be read.
        """
        if not (names_files(flag) and isinstance(value, str)):
            return value
        if value not in self._digests:
            self._digests[value] = self._digest(flag, value)
        return self._digests[value]

    def _digest(self, flag, value):
        found = _files(pathlib.Path(value)) or _files(pathlib.Path(value.partition(":")[2] or "/-"))
        if not found:
            return value  # the run says that it is missing, or a library knows the name
        digest = hashlib.blake2b(digest_size=16)
        try:
            for name, path in found:
                digest.update(f"{name}\0{path.stat().st_size}\0".encode())
                with open(path, "rb") as f:
                    while block := f.read(_BLOCK):
                        digest.update(block)
        except OSError as e:
            raise UserError(f"--{flag}={value}: cannot read {path}: {e.strerror or e}") from e
        return digest.hexdigest()


def _files(path):
    """[(name, path)] of what a path stands for: a file, a folder's files, those of a prefix."""
    if path.is_file():
        return [("", path)]
    if path.is_dir():
        inside = [(file.relative_to(path), file) for file in path.rglob("*") if file.is_file()]
        return sorted((str(name), file) for name, file in inside if _counts(name))
    beside = path.parent.glob(f"{glob.escape(path.name)}.*") if path.name else ()
    return sorted((file.name[len(path.name) :], file) for file in beside if file.is_file())


def _counts(name):
    folders = [part for part in name.parts[:-1] if part in _OTHER_FOLDERS or part.startswith(".")]
    return not folders and not _OTHER_FILES.match(name.name)
