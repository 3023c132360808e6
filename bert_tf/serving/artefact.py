"""An exported model's folder: what export.json says of it, and that its files are those meant."""

import dataclasses
import hashlib
import pathlib

from bert_tf import files
from bert_tf.errors import UserError

EXPORT_FILE = "export.json"
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
TRUNCATIONS = ("head", "tail", "head_tail")
_FORMAT = "onnx"
_KINDS = ("classification", "regression", "encoder")
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Artefact:
    """An exported model.

    Attributes:
      folder: where its files are (`pathlib.Path`).
      kind: `classification`, `regression` or `encoder`.
      labels: list of str, the names of the outputs of a classification in their order, else None.
      pairs: whether it was fine-tuned on pairs of texts; None if nothing says so.
      max_seq_length: longest input in tokens, special ones included.
      truncation: what stays of a longer single text: `head`, `tail` or `head_tail`.
    """

    folder: pathlib.Path
    kind: str
    labels: list | None
    pairs: bool | None
    max_seq_length: int
    truncation: str

    @property
    def model_file(self):
        """Path of the ONNX model."""
        return self.folder / MODEL_FILE

    @property
    def tokenizer_file(self):
        """Path of tokenizer.json."""
        return self.folder / TOKENIZER_FILE


def read(path, verify=True):
    """Reads the `Artefact` in a folder, or in the folder `onnx` in it.

    Args:
      path: what export_model.py wrote with onnx among its formats.
      verify: whether model and tokenizer must have the digests that export.json records.

    Raises:
      UserError: there is no export, one that cannot be run here, or a file was changed.
    """
    folder = _find(pathlib.Path(path))
    about = folder / EXPORT_FILE
    values = files.read_json(about, "description of the export")
    if values.get("format") != _FORMAT:
        raise UserError(
            f"{about}: the format is {values.get('format')!r}, expected {_FORMAT!r}: export the"
            " model with export_model.py --format=onnx"
        )
    if values.get("kind") not in _KINDS:
        raise UserError(
            f"{about}: the kind is {values.get('kind')!r}, expected one of {', '.join(_KINDS)}:"
            f" run {MODEL_FILE} of other models by onnxruntime itself"
        )
    artefact = Artefact(
        folder=folder,
        kind=values["kind"],
        labels=_labels(about, values),
        pairs=_checked(about, values, "pairs", _is_truth, "true, false or null"),
        max_seq_length=_checked(about, values, "max_seq_length", _is_length, "a number above 1"),
        truncation=_checked(
            about, values, "truncation", TRUNCATIONS.__contains__, " or ".join(TRUNCATIONS)
        ),
    )
    for name in (MODEL_FILE, TOKENIZER_FILE):
        _check_file(folder, name, values.get("files"), verify)
    return artefact


def _find(path):
    for folder in (path, path / _FORMAT):
        if (folder / EXPORT_FILE).is_file():
            return folder
    raise UserError(
        f"{path}: holds no {EXPORT_FILE}, nor does its folder {_FORMAT}: expected what"
        " export_model.py --format=onnx wrote"
    )


def _labels(about, values):
    if values["kind"] != "classification":
        return None
    return _checked(about, values, "labels", _is_labels, "a list of different strings")


def _is_labels(value):
    texts = isinstance(value, list) and bool(value) and all(isinstance(x, str) for x in value)
    return texts and len(set(value)) == len(value)


def _is_truth(value):
    return value is None or isinstance(value, bool)


def _is_length(value):
    return isinstance(value, int) and value > 1


def _checked(about, values, name, holds, expected):
    value = values.get(name)
    try:
        good = holds(value)
    except TypeError:  # of a value that cannot be looked up
        good = False
    if not good:
        raise UserError(f"{about}: {name} is {value!r}, expected {expected}: export it again")
    return value


def _check_file(folder, name, listed, verify):
    path = folder / name
    if not path.is_file():
        raise UserError(f"{path}: is missing: export the model again with its vocabulary")
    if not verify:
        return
    entry = listed.get(name) if isinstance(listed, dict) else None
    expected = entry.get("sha256") if isinstance(entry, dict) else None
    if sha256(path) != expected:
        raise UserError(
            f"{path}: is not the file that was exported and checked (its sha256 is not that of"
            f" {EXPORT_FILE}): export the model again"
        )


def sha256(path):
    """Returns the hex digest of a file.

    Raises:
      UserError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as f:
            while block := f.read(_BLOCK):
                digest.update(block)
    except OSError as e:
        raise UserError(f"{path}: cannot read: {e.strerror or e}") from e
    return digest.hexdigest()
