"""What export_model.py runs: a model folder in, checked artefacts out."""

import dataclasses
import importlib
import os
import pathlib
import types

from absl import logging

from bert_tf import files, folders
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.errors import UserError
from bert_tf.export import artefact, check, check_rows, fragile, source
from bert_tf.export.computation import model_runner
from bert_tf.serving.artefact import EXPORT_FILE
from bert_tf.training.sources import digest

_MODULES = {
    "savedmodel": "savedmodel",
    "onnx": "onnx_model",
    "openvino": "openvino_model",
    "litert": "litert",
    "huggingface": "huggingface",
}
_BY_TOKENIZERS = ("onnx", "openvino", "litert")  # whose users tokenise by tokenizer.json


@dataclasses.dataclass(frozen=True)
class Exported:
    """An artefact that was written.

    Attributes:
      format: its name.
      folder: where it is (`pathlib.Path`).
      megabytes: of all its files, 10^6 bytes.
      check: `Check`.
    """

    format: str
    folder: pathlib.Path
    megabytes: float
    check: check.Check


def export(options):
    """Writes the artefacts that `ExportOptions` ask for; returns a list of `Exported`.

    An artefact that the check refuses is not written; those before it in the list are.

    Raises:
      UserError: anything wrong with flags, model, rows, a package that is not installed, or what
        an artefact computes.
    """
    options.check()
    modules = {x: importlib.import_module(f"{__package__}.{_MODULES[x]}") for x in options.formats}
    found = _folders(options)
    for folder in found.values():
        _check_output(folder)
    given = options.model_dir or options.checkpoint
    model = load_model(given, options.bert_config_file, options.vocab_file)
    exported, rows = _within(source.of(model), options), None
    if options.reads_rows:
        _require_classifier(exported)
        rows, exported = check_rows.read_rows(options, exported)
    weights = digest(exported.arrays)
    run = _remembered(model_runner(exported))
    return [
        _export(options, exported, rows, weights, run, name, module, found[name])
        for name, module in modules.items()
    ]


def _folders(options):
    """{format: its folder}."""
    output = files.make_output_dir(options.output_dir)
    several = len(options.formats) > 1
    return {name: output / name if several else output for name in options.formats}


def _check_output(folder):
    """Refuses a folder that holds anything but an earlier export, before any work."""
    found = sorted(os.listdir(folder)) if folder.is_dir() else []
    if found and EXPORT_FILE not in found:
        raise UserError(
            f"--output_dir={folder}: holds {found[0]} and is no earlier export (it has no"
            f" {EXPORT_FILE}): name another folder, or empty this one"
        )


def _within(exported, options):
    """The `ExportSource` with inputs no longer than the longest of --lengths."""
    longest = max(options.fixed_lengths, default=exported.max_seq_length)
    most = exported.config.max_position_embeddings
    if longest > most:
        raise UserError(f"--lengths={options.lengths}: the model takes {most} tokens at most")
    return dataclasses.replace(exported, max_seq_length=min(longest, exported.max_seq_length))


def _require_classifier(exported):
    if exported.kind not in ("classification", "regression"):
        raise UserError(
            f"--data_dir: {exported.model.source} has no classifier, whose rows these would be:"
            " leave the flag out, and it is checked on random tokens"
        )


def _export(options, exported, rows, weights, run, name, module, folder):
    """Writes one artefact to a hidden folder, checks it, and gives it its name."""
    settings = _settings(options, exported, name, rows)
    with folders.replaced(folder) as new:
        module.write(exported, new, settings)
        batches = rows.batches() if rows else check_rows.random_batches(exported, options.seed)
        task = rows.task if rows else None
        found = check.compare(exported, run, module.runner(new), batches, task)
        logging.info("%s: %s", name, found.sentence())
        check.require(
            found,
            reduced=options.is_reduced,
            max_metric_loss=options.max_metric_loss,
            what=f"{folder} ({name}, {options.precision})",
            fragile=lambda: _fragile(exported, settings, rows),
        )
        tokenizer = _write_tokenizer(exported, new, name, rows)
        artefact.write_description(new, exported, options, name, found, weights, tokenizer, rows)
    return Exported(name, folder, artefact.size_mb(folder), found)


def _settings(options, exported, name, rows):
    """What the writer of a format is told."""
    scopes = exported.kernel_scopes
    begins = [x.strip() for x in (options.keep or "").split(",") if x.strip()]
    for begin in begins:
        if not any(_is_under(scope, begin) for scope in scopes):
            raise UserError(
                f"--keep={options.keep}: the model has no kernel {begin}, expected such as"
                f" {scopes[0]} or its beginning"
            )
    return types.SimpleNamespace(
        format=name,
        precision=options.precision,
        embedding_precision=options.embedding_precision,
        keep=tuple(x for x in scopes if any(_is_under(x, begin) for begin in begins)),
        opset=options.opset,
        lengths=options.fixed_lengths,
        calibration=rows.calibration if rows else (),
    )


def _is_under(scope, begin):
    return scope == begin or scope.startswith(begin.rstrip("/") + "/")


def _fragile(exported, settings, rows):
    """Names of the kernels that int8 harms most."""
    if settings.precision != "int8":
        return []
    inputs, _, _ = next(iter(rows.batches()))
    return fragile.worst(exported, inputs, settings.keep)


def _write_tokenizer(exported, folder, name, rows):
    """Writes tokenizer.json where the format's users need it; returns what its check found."""
    if name not in _BY_TOKENIZERS or exported.model.vocab_file is None:
        return None
    from bert_tf.export import tokenizer

    ours = tokenizer_of(exported.model)
    return tokenizer.write_checked(folder, ours, rows.texts if rows else ())


def _remembered(run):
    """`run`, which computes what several artefacts are compared with once."""
    kept = {}

    def remembered(inputs):
        key = (inputs["input_ids"].shape, *(x.tobytes() for x in inputs.values()))
        if key not in kept:
            kept[key] = run(inputs)
        return kept[key]

    return remembered
