"""Finds the runs that the arguments name, and joins what benchmarks measured of their models."""

import os
import pathlib

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.report import reading
from bert_tf.report.entry import UNREADABLE, Entry, at, mapping, number, text

_OF_A_RUN = (
    reading.RESULTS, reading.STATE, reading.EXPORT, reading.SUBNETWORKS, reading.CONFIG,
)  # fmt: skip
_LARGEST_JSON = 1 << 22


def gather(arguments):
    """Returns the list of `Entry`s of the folders and files named, each once, in their order.

    Args:
      arguments: paths (str): folder of a run, folder that holds runs at any depth, or a file:
        one of a run's, or what benchmarks.latency wrote.

    Raises:
      UserError: there is nothing of that name.
    """
    places, latencies = {}, {}
    for argument in arguments:
        path = pathlib.Path(argument)
        if not path.exists():
            raise UserError(f"{argument}: no such file or folder, expected a run")
        _search(path, places, latencies)
    entries = [entry for path in places.values() for entry in reading.read(path)]
    entries += [x for path, found in latencies.items() for x in _join(entries, path, found)]
    return entries


def _search(path, places, latencies):
    if path.is_file():
        if path.name in _OF_A_RUN:
            places.setdefault(os.path.realpath(path.parent), path)
            return
        latencies[str(path)] = _latency(path)
        return
    if _is_run(path):
        places.setdefault(os.path.realpath(path), path)
        return
    count = len(places) + len(latencies)
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in list(below):
            if _is_run(child := pathlib.Path(folder, name)):
                places.setdefault(os.path.realpath(child), child)
                below.remove(name)
        for name in sorted(names):
            file = pathlib.Path(folder, name)
            if file.suffix == ".json" and (found := _latency(file)):
                latencies[str(file)] = found
    if len(places) + len(latencies) == count:
        places.setdefault(os.path.realpath(path), path)  # which is read as what cannot be


def _is_run(folder):
    known = any(os.path.isfile(folder / name) for name in _OF_A_RUN)
    if known and reading.is_sweep(folder):
        return False  # its runs are below
    return known or any(folder.glob(reading.EVENTS))


def _latency(path):
    """The content of a JSON file that benchmarks.latency wrote, else None."""
    try:
        if path.stat().st_size > _LARGEST_JSON:
            return None
        found = files.read_json(path, "figures of a benchmark")
    except (OSError, UserError):
        return None
    known = isinstance(found.get("models"), dict) and isinstance(found.get("latency"), dict)
    return found if known else None


def _join(entries, path, found):
    """Gives entries the latencies of a benchmark; returns entries of models that have none."""
    if found is None:
        note = f"{path}: neither a file of a run nor figures of benchmarks.latency"
        return [Entry(path=path, status=UNREADABLE, note=note)]
    shapes = {name: mapping(figures) for name, figures in found["latency"].items()}
    if not shapes:
        return [Entry(path=path, status=UNREADABLE, note=f"{path}: holds no latencies")]
    # One shape for all: the longest of the largest batch tells models apart best.
    shape = max(shapes, key=_work)
    others = []
    for name, sizes in found["models"].items():
        p50 = number(at(shapes[shape], name, "p50"))
        measured = {
            "latency_ms": None if p50 is None else p50 * 1e3,
            "latency_shape": shape.replace("x", " x "),
        }
        owners = _owners(entries, name, text(at(found, "folders", name)))
        for entry in owners:
            if entry.latency_ms is None:
                vars(entry).update(measured)
        if not owners:
            about = {
                "parameters": number(at(sizes, "parameters")),
                "megabytes": _megabytes(number(at(sizes, "bytes"))),
                "environment": mapping(found.get("environment")),
                "command": text(found.get("command")),
            }
            others.append(Entry(path=path, part=name, note="not measured", **about, **measured))
    return others


def _owners(entries, name, folder):
    """The entries of a benchmark's model: those of its folder, else the one of its name."""
    if folder:
        wanted = os.path.realpath(folder)
        own = [x for x in entries if not x.part and os.path.realpath(x.path) == wanted]
        measures = [
            x
            for x in entries
            if x.kind == "evaluation" and x.model and os.path.realpath(x.model) == wanted
        ]
        return own + measures
    own = [x for x in entries if not x.part and os.path.basename(x.path) == name]
    return own if len(own) == 1 else []


def _work(shape):
    try:
        batch, length = (int(x) for x in shape.split("x"))
    except ValueError:
        return 0
    return batch * length


def _megabytes(size):
    return None if size is None else size / 1e6
