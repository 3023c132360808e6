"""What export_model.py runs: a model folder in, checked artefacts out."""

import dataclasses
import importlib.metadata
import pathlib
import types

from absl import logging

from bert_tf import files, folders
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.errors import UserError
from bert_tf.export import artefact, check, check_rows, fragile, source
from bert_tf.export.computation import model_runner
from bert_tf.export.options import parse_keep
from bert_tf.packages import require
from bert_tf.serving.artefact import EXPORT_FILE
from bert_tf.training.sources import digest

_MODULES = {
    "savedmodel": "savedmodel",
    "onnx": "onnx_model",
    "openvino": "openvino_model",
    "litert": "litert",
    "huggingface": "huggingface",
}
_PACKAGES = {
    "onnx": ("onnx", "onnxruntime", "tokenizers"),
    "openvino": ("onnx", "openvino", "tokenizers"),
    "litert": ("ai_edge_litert", "tokenizers"),
}
"""What each format needs; its users tokenise by tokenizer.json."""


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
    for name in options.formats:
        for package in _PACKAGES.get(name, ()):
            require(package, f"--format={name}", name)
    modules = {x: importlib.import_module(f"{__package__}.{_MODULES[x]}") for x in options.formats}
    found = _prepared_folders(options)
    model = _load(options)
    exported, rows = _within(source.of(model), options), None
    weights = digest(exported.arrays)
    if options.reads_rows:
        _require_classifier(exported)
        rows, exported = check_rows.read_rows(options, exported)
    run = _remembered(model_runner(exported))
    return [
        _export(options, exported, rows, weights, run, name, module, found[name])
        for name, module in modules.items()
    ]


def _prepared_folders(options):
    """{format: its folder}, made, without what killed exports left, and free to be replaced."""
    output, found = files.make_output_dir(options.output_dir), options.folders
    if len(found) > 1 and (output / EXPORT_FILE).exists():
        raise UserError(
            f"--output_dir={output}: holds an export, beside which several would be taken for it:"
            " name another folder, or remove it"
        )
    for folder in found.values():
        folders.tidy(folder)
        _check_output(folder)
    return found


def _check_output(folder):
    """Refuses a folder that holds anything but an earlier export, before any work."""
    if not folder.is_dir():
        return
    listed = {EXPORT_FILE}
    if (folder / EXPORT_FILE).is_file():
        about = files.read_json(folder / EXPORT_FILE, "description of the export")
        listed |= set(about.get("files", ()))
    found = sorted(str(x.relative_to(folder)) for x in folder.rglob("*") if not x.is_dir())
    others = [x for x in found if x not in listed]
    if others:
        raise UserError(
            f"--output_dir={folder}: holds {others[0]}, which is not of an earlier export that this"
            " would replace: name another folder, or empty this one"
        )


def _load(options):
    """The `LoadedModel`, which says of its text what the flags say."""
    given = options.model_dir or options.checkpoint
    model = load_model(given, options.bert_config_file, options.vocab_file)
    if model.vocab_file is None:
        return model
    case = tokenizer_of(model, options.do_lower_case).do_lower_case
    return dataclasses.replace(model, do_lower_case=case)


def _within(exported, options):
    """The `ExportSource` with inputs no longer than the flags say."""
    most = exported.config.max_position_embeddings
    flags = {"max_seq_length": options.max_seq_length, "lengths": options.fixed_lengths}
    longest = exported.max_seq_length
    for name, value in flags.items():
        if not value:
            continue
        length = value if name == "max_seq_length" else max(value)
        if length > most:
            raise UserError(f"--{name}={length}: the model takes {most} tokens at most")
        longest = length if name == "max_seq_length" else min(longest, length)
    return dataclasses.replace(exported, max_seq_length=longest)


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
        runner, reduced = module.runner(new), options.is_reduced
        found = check.compare(exported, run, runner, batches, task, alone=reduced)
        logging.info("%s: %s", name, found.sentence())
        check.require(
            found,
            reduced=reduced,
            max_metric_loss=options.max_metric_loss,
            what=f"{folder} ({name}, {options.precision})",
            fragile=lambda: _fragile(exported, settings, rows),
        )
        if name == "savedmodel":
            module.check_texts(exported, new, run, rows.texts if rows else [])
        tokenizer = _write_tokenizer(exported, new, name, rows)
        about = {
            **_form(settings, name),
            "weights": weights,
            "checked_on": rows.about if rows else {"random_tokens": {"seed": options.seed}},
        }
        calibrated = len(settings.calibration) if name == "openvino" else 0
        artefact.write_description(
            new, exported, options, name, found, about, tokenizer, calibrated
        )
    return Exported(name, folder, artefact.size_mb(folder), found)


def _settings(options, exported, name, rows):
    """What the writer of a format is told."""
    scopes = exported.kernel_scopes
    begins = parse_keep(options.keep)
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


def _form(settings, name):
    """JSON-able: what was chosen of the format, and by which packages it was written."""
    found = {
        "onnx": {"opset": settings.opset},
        "openvino": {"opset": settings.opset},
        "litert": {"lengths": list(settings.lengths)},
    }.get(name, {})
    if settings.precision == "int8":
        found["keep"] = list(settings.keep)
    names = ("tensorflow", *(x.replace("_", "-") for x in _PACKAGES.get(name, ())))
    return {**found, "packages": {x: importlib.metadata.version(x) for x in names}}


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
    if name not in _PACKAGES or exported.model.vocab_file is None:
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
