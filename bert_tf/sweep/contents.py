"""What a flag's value stands for: of a path the files there, so that a run belongs to its input."""

import glob
import hashlib
import pathlib
import re

from bert_tf.errors import UserError

# Where a run works: what it computes does not depend on it.
WORKING = {"output_dir", "feature_dir", "cache_dir", "keep_cache", "log_steps"}
# What only people read, and what a run leaves in a model folder beside the model.
_READ_ME = re.compile(r"\.|(?i:readme|license)")
_RUN_FILES = re.compile(
    r"events\.out\.|(?:results|training_state|origin)\.json$|(?:eval|test)_results|log\.txt$"
)
_RUN_FOLDERS = {"activations", "best", "checkpoints", "eval", "features"}
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
        of_model = "model" in flag or "checkpoint" in flag
        if (value, of_model) not in self._digests:
            self._digests[value, of_model] = self._digest(flag, value, of_model)
        return self._digests[value, of_model]

    def _digest(self, flag, value, of_model):
        found = _files(value, of_model) or _files(value.partition(":")[2], of_model)
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


def _files(text, of_model):
    """[(name, path)] of what text stands for: a file, a folder's, those of a prefix or pattern."""
    path = pathlib.Path(text).expanduser()
    if not text or path.is_file():
        return [("", path)] if text else []
    if path.is_dir():
        inside = [(file.relative_to(path), file) for file in path.rglob("*") if file.is_file()]
        return sorted((str(name), file) for name, file in inside if _counts(name, of_model))
    pattern = glob.escape(str(path)) + ".*" if of_model else str(path)
    found = map(pathlib.Path, glob.glob(pattern, recursive=True))
    return sorted((file.name, file) for file in found if file.is_file())


def _counts(name, of_model):
    if any(_READ_ME.match(part) for part in name.parts):
        return False
    of_run = _RUN_FOLDERS & {*name.parts[:-1]} or _RUN_FILES.match(name.name)
    return not (of_model and of_run)
