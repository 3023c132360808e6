"""A folder or a file of a run, read into entries; what cannot be read is an entry that says so."""

import os
import re

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.report import commands, data, levers, origins
from bert_tf.report.entry import (
    FINISHED,
    UNFINISHED,
    UNREADABLE,
    Entry,
    at,
    checkpoint_megabytes,
    mapping,
    number,
    text,
)
from bert_tf.report.origins import ORIGIN, RESULTS, quietly

STATE, EXPORT = "training_state.json", "export.json"
SUBNETWORKS, CONFIG = "subnetworks.json", "bert_config.json"
EVENTS = "events.out.tfevents.*"
# What counts where nothing says it: the first of these that was measured.
_METRICS = (
    "matthews_corrcoef", "pearson", "accuracy", "f1", "exact_match", "masked_lm_loss", "loss",
)  # fmt: skip
_MODELS = ("model_dir", "init_checkpoint", "model")
_VIEW = re.compile(r"_w([\d.]+)_d([\d.]+)$")
_STOPPED = ("terminated", "diverged")


def read(path):
    """Returns the list of `Entry`s of a folder, or of one of the files above (`pathlib.Path`)."""
    if path.is_file():
        path, readers = path.parent, [_READERS[path.name]]
    else:
        readers = [reader for name, reader in _READERS.items() if os.path.isfile(path / name)]
    try:
        if readers:
            return readers[0](path)
        if any(path.glob(EVENTS)):
            return [Entry(path=str(path), status=UNFINISHED, note="ended before it saved anything")]
        return [_model(path)]
    except UserError as e:
        return [Entry(path=str(path), status=UNREADABLE, note=str(e))]


def _results(folder):
    results = files.read_json(folder / RESULTS, "results of the run")
    options = mapping(results.get("options"))
    trained = options.get("do_train") is True
    model = next((x for name in _MODELS if (x := text(options.get(name)))), None)
    here = trained or os.path.isfile(folder / CONFIG) or not model
    own = folder if here else origins.folder_of(model)
    config, state = quietly(own / CONFIG), quietly(own / STATE)
    origin = {} if trained else origins.training(own)
    of_origin = {} if own == folder else mapping(origin.get("options"))
    before = of_origin if trained or own != folder else origins.flags_of(state)
    flags = {**origins.lever_flags(before), **origins.lever_flags(options)}
    command, rebuilt = commands.of(results)
    seed = options if trained else of_origin
    reason = text(results.get("stop_reason")) or ""
    parameters = results.get("parameters")
    if isinstance(parameters, dict):
        parameters = parameters.get("total")
    stopped = reason.startswith(_STOPPED)
    measured, note = _measured(results)
    task = text(results.get("task")) or ("pre-training" if _pretrains(results) else None)
    after, step = number(state.get("step")), number(results.get("global_step"))
    if trained and None not in (after, step) and after > step:
        note = f"training has gone on to step {after} since; {note}".removesuffix("; ")
    return [
        Entry(
            path=str(folder),
            kind=_kind(results, trained),
            status=UNFINISHED if stopped else FINISHED,
            note=reason if stopped else note,
            levers=levers.of(flags, {**origin, **results}, config, state),
            task=task,
            data=data.of(options, task),
            parameters=number(parameters) or number(at(origin, "parameters", "total")),
            megabytes=checkpoint_megabytes(own),
            seconds=number(at(results, "seconds", "total")) if trained else None,
            steps=number(results.get("global_step")),
            epochs=number(results.get("epochs")),
            rows=number(results.get("train_examples")) or number(origin.get("train_examples")),
            seed=number(seed.get("seed")),
            command=command,
            rebuilt=rebuilt,
            environment=mapping(results.get("environment")),
            model=model,
            **measured,
        )
    ]


def _pretrains(results):
    return "sequences" in results or "masked_lm_accuracy" in _first(results)[1]


def _kind(results, trained):
    if _pretrains(results):
        return "pre-training" if trained else "evaluation"
    return "fine-tuning" if trained else "evaluation"


def _first(results):
    """(split, {metric: value}) of the split that decides, else of the first that has any."""
    metrics = mapping(results.get("metrics"))
    named = text(results.get("split"))
    for split in (named, *metrics):
        if mapping(metrics.get(split)):
            return split, metrics[split]
    return None, {}


def _measured(results, name=None):
    """({split, metric, value}, note) of what counts in `metrics` of results.json."""
    split, values = _first(results)
    name = name or text(results.get("metric")) or text(at(results, "best", "metric"))
    name = (name or "").removeprefix("mean_")
    views = {found[0]: found for key in values if (found := _VIEW.search(key))}
    whole = max(views, key=lambda view: _size(views[view]), default="")
    for metric in (name, *_METRICS):
        for key in (metric, f"{metric}{whole}"):
            value = number(values.get(key)) if metric else None
            if value is not None:
                note = f"{metric} of {key.removeprefix(metric + '_')}" if key != metric else ""
                mean = number(values.get(f"mean_{metric}"))
                note += f", mean of {len(views)}: {mean:.4f}" if note and mean is not None else ""
                return {"split": split, "metric": metric, "value": value}, note
    return {}, ""


def _size(view):
    try:
        return float(view[1]) * float(view[2])
    except ValueError:
        return 0.0


def is_sweep(folder):
    """Whether results.json there is the table of a sweep, whose runs lie below."""
    return quietly(folder / RESULTS).get("kind") == "sweep"


def _state(folder):
    state = files.read_json(folder / STATE, "training state")
    identity, step = mapping(state.get("identity")), number(state.get("step"))
    note = "no step is recorded" if step is None else f"saved at step {step}"
    steps = number(identity.get("steps"))
    note += f" of {steps}" if steps is not None else ""
    entry = Entry(
        path=str(folder),
        kind="fine-tuning" if "task" in identity else "pre-training",
        status=UNFINISHED,
        note=f"{note}, no results",
        levers=levers.of(origins.flags_of(state), {}, quietly(folder / CONFIG), state),
        task=text(identity.get("task")),
        steps=step,
        seed=number(identity.get("seed")),
    )
    return [entry]


def _export(folder):
    about = files.read_json(folder / EXPORT, "description of the export")
    model = (text(about.get("model")) or "").rpartition(" (")[0] or None
    made_of = origins.folder_of(model) if model else folder
    origin = origins.training(made_of) if model else {}
    config, state = quietly(made_of / CONFIG), quietly(made_of / STATE)
    precision = text(about.get("precision")) or "float32"
    used = levers.of(origins.lever_flags(mapping(origin.get("options"))), origin, config, state)
    sizes = [number(at(x, "bytes")) for x in mapping(about.get("files")).values()]
    check = mapping(about.get("check"))
    known = check.get("random") is False
    entry = Entry(
        path=str(folder),
        part=text(about.get("format")) or "",
        kind="export",
        levers=used if precision == "float32" else (*used, precision),
        task=text(about.get("task")),
        split=(_first(origin)[0] or "dev") if known else None,
        data=data.of(mapping(origin.get("options")), text(about.get("task"))) if known else None,
        metric=text(check.get("metric")) if known else None,
        value=number(check.get("after")) if known else None,
        parameters=number(at(origin, "parameters", "total")),
        megabytes=sum(sizes) / 1e6 if sizes and None not in sizes else None,
        rows=number(origin.get("train_examples")),
        seed=number(at(origin, "options", "seed")),
        command=text(about.get("command")),
        model=model,
    )
    return [entry]


def _subnetworks(folder):
    report = files.read_json(folder / SUBNETWORKS, "report of the sub-networks")
    shape = [number(at(report, "latency", key)) for key in ("batch_size", "length")]
    model = text(report.get("model"))
    origin = origins.training(origins.folder_of(model)) if model else {}
    task = text(report.get("task"))
    rows_of = {**mapping(origin.get("options")), **mapping(report.get("options"))}
    found = []
    for name, about in mapping(report.get("subnetworks")).items():
        measured, _ = _measured(mapping(about), text(report.get("metric")))
        found.append(
            Entry(
                path=str(folder),
                part=name,
                kind="sub-network",
                levers=("sub-network",),
                task=task,
                data=data.of(rows_of, task),
                command=text(report.get("command")),
                parameters=number(at(about, "parameters")),
                megabytes=number(at(about, "megabytes")),
                latency_ms=number(at(about, "latency_ms", "median")),
                latency_shape=None if None in shape else f"{shape[0]} x {shape[1]}",
                rows=number(origin.get("train_examples")),
                seed=number(at(origin, "options", "seed")),
                environment=mapping(report.get("environment")),
                model=model,
                **measured,
            )
        )
    if not found:
        raise UserError(f"{folder / SUBNETWORKS}: holds no sub-networks")
    return found


def _model(folder):
    """A model folder without results: what factorize.py, remove_mask.py and the like wrote."""
    config = files.read_json(folder / CONFIG, "model configuration")
    task, about = quietly(folder / "task.json"), quietly(folder / ORIGIN)
    origin = origins.training(folder)
    return Entry(
        path=str(folder),
        note="not measured",
        levers=levers.of(origins.lever_flags(mapping(origin.get("options"))), origin, config, {}),
        command=text(about.get("command")),
        environment=mapping(about.get("environment")),
        model=text(about.get("model")),
        task=text(task.get("task_name")),
        megabytes=checkpoint_megabytes(folder),
    )


_READERS = {
    RESULTS: _results,
    EXPORT: _export,
    SUBNETWORKS: _subnetworks,
    STATE: _state,
    CONFIG: lambda folder: [_model(folder)],
}
"""What each file is read by; of several in a folder the first counts."""
