"""Each run beside the dense baseline of its task."""

import dataclasses
import os

from bert_tf.errors import UserError
from bert_tf.report.entry import FINISHED, Entry


@dataclasses.dataclass(frozen=True)
class Row:
    """An entry as the report shows it.

    Attributes:
      entry: `Entry`.
      name: what tells it from all others.
      baseline: the `Entry` it is compared with, itself if it is one; None where there is none.
      difference: of the metric.
      shares: {`megabytes`, `latency_ms`, `seconds`, `parameters`: share of the baseline's}, those
        that both have.
    """

    entry: Entry
    name: str
    baseline: Entry | None
    difference: float | None
    shares: dict

    @property
    def is_baseline(self):
        """Whether others are compared with it."""
        return self.baseline is self.entry

    @property
    def note(self):
        """What has to be known of the value and of the comparison."""
        entry, base = self.entry, self.baseline
        notes = [entry.note] if entry.note else []
        if base and None not in (entry.rows, base.rows) and entry.rows != base.rows:
            notes.append(f"the baseline has {base.rows:,} rows")
        return "; ".join(notes)

    @property
    def group(self):
        """(task, data, split, metric) of what may be compared, None where nothing was measured."""
        return None if self.entry.value is None else _group(self.entry)


def rows(entries, baseline=None):
    """Returns the list of `Row`s of all entries that are finished.

    Args:
      entries: list of `Entry`.
      baseline: path of the run that those of its task are compared with, None chooses.

    Raises:
      UserError: no entry lies there, or it has no metric.
    """
    chosen = _named(entries, baseline) if baseline else None
    names = _names(entries)
    found = []
    for entry in entries:
        if entry.status != FINISHED:
            continue
        other = _baseline(entry, entries, chosen)
        found.append(
            Row(entry, names[id(entry)], other, _difference(entry, other), _shares(entry, other))
        )
    return found


def others(entries):
    """Returns [(name, `Entry`)] of those that are not finished or cannot be read."""
    names = _names(entries)
    return [(names[id(entry)], entry) for entry in entries if entry.status != FINISHED]


def _names(entries):
    """{id of an entry: the shortest path that tells it from all others, and its part}."""
    folders = {entry.path: os.path.abspath(entry.path) for entry in entries}
    parents = {os.path.dirname(path) for path in folders.values()}
    common = os.path.commonpath(parents) if parents else ""
    return {
        id(entry): " ".join(
            part for part in (os.path.relpath(folders[entry.path], common), entry.part) if part
        )
        for entry in entries
    }


def _named(entries, path):
    wanted = os.path.realpath(path)
    found = [x for x in entries if os.path.realpath(x.path) == wanted and not x.part]
    if not found:
        raise UserError(f"--baseline={path}: is none of the runs: name it among them")
    if found[0].value is None:
        raise UserError(f"--baseline={path}: has no metric to compare with")
    return found[0]


def _baseline(entry, entries, chosen):
    if entry.value is None:
        return None
    if chosen and _same_group(entry, chosen):
        return chosen
    dense = [x for x in entries if _is_dense_training(x) and _same_group(entry, x)]
    return max(dense, key=lambda x: _closeness(entry, x), default=None)


def _is_dense_training(entry):
    trained = entry.kind in ("fine-tuning", "pre-training")
    return trained and entry.status == FINISHED and not entry.levers and entry.value is not None


def _same_group(a, b):
    return _group(a) == _group(b)


def _group(entry):
    return (entry.task or "", entry.data, entry.split, entry.metric)


def _closeness(entry, dense):
    """How well a dense run does as a baseline: a dense run is its own if none is larger."""
    return (
        entry.rows is None or dense.rows == entry.rows,
        dense.parameters or 0,
        dense is entry,
        entry.seed is not None and dense.seed == entry.seed,
        -dense.value if dense.lower_is_better else dense.value,
    )


def _difference(entry, other):
    return None if other is None else entry.value - other.value


def _shares(entry, other):
    found = {}
    for name in ("megabytes", "latency_ms", "seconds", "parameters"):
        own, base = getattr(entry, name), getattr(other, name, None)
        if name == "latency_ms" and other and entry.latency_shape != other.latency_shape:
            continue
        if own is not None and base:
            found[name] = own / base
    return found
