"""An artefact on disk: export.json, a README of its own, and the files of its format."""

from bert_tf import __version__, files
from bert_tf.checkpoints import copying
from bert_tf.export import readme
from bert_tf.export.source import INPUTS
from bert_tf.options import command_line
from bert_tf.serving.artefact import EXPORT_FILE, sha256

README_FILE = "README.md"
VERSION = 1
_INT8_TABLES = ("onnx", "openvino", "litert")


def write_description(folder, source, options, name, check, about, tokenizer, calibrated=0):
    """Writes export.json, the vocabulary and README.md beside the files of a format.

    Args:
      folder: holds these files (`pathlib.Path`).
      source: `ExportSource`.
      options: `ExportOptions`.
      name: the format.
      check: `Check` of the artefact.
      about: dict of what else is said: the digest of the weights, the rows of the check.
      tokenizer: what is known of tokenizer.json, JSON-able; None without one.
      calibrated: training rows that activations were calibrated on.

    Raises:
      UserError: a file cannot be written.
    """
    if source.model.vocab_file and not (folder / "vocab.txt").exists():
        copying.copy_file(source.model.vocab_file, folder / "vocab.txt")
    files.write_text(folder / README_FILE, readme.text(source, options, name, check, calibrated))
    reduced = {"embedding_precision": options.embedding_precision} if name in _INT8_TABLES else {}
    values = {
        "version": VERSION,
        "bert_tf": __version__,
        "command": command_line("export_model.py", options, vars(options), options.given),
        "format": name,
        "kind": source.kind,
        "task": (source.model.task or {}).get("task_name"),
        "labels": source.labels,
        "model": source.model.source,
        **about,
        "precision": options.precision,
        **reduced,
        **({"calibration": {"rows": calibrated, "split": "train"}} if calibrated else {}),
        "inputs": list(INPUTS),
        "outputs": {x: _shape(shape) for x, shape in source.outputs.items()},
        "max_seq_length": source.max_seq_length,
        "max_position_embeddings": source.config.max_position_embeddings,
        "truncation": source.truncation,
        "pairs": source.pairs,
        "tokenizer": {**source.tokenizer_settings, **(tokenizer or {})},
        "check": {**vars(check)},
        "files": {
            str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != EXPORT_FILE
        },
    }
    files.write_json(folder / EXPORT_FILE, values)


def size_mb(folder):
    """Returns the size of a folder's files, 10^6 bytes; what has two names counts once."""
    files_in = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum({(x.st_dev, x.st_ino): x.st_size for x in files_in}.values()) / 1e6


def _shape(shape):
    names = ("batch", "length")
    return [names[i] if size is None else size for i, size in enumerate(shape)]
