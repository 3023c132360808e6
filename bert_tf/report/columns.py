"""The columns of the table of runs, the same on the page and in Markdown."""

import dataclasses
from collections.abc import Callable

from bert_tf.report import data
from bert_tf.report.entry import MISSING


@dataclasses.dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
      title: its heading.
      value: callable (`Row`) -> what it is sorted by: a number, a text, or None if not recorded.
      shown: callable (value) -> text.
      help: what it means.
      numeric: whether its values are numbers.
    """

    title: str
    value: Callable
    shown: Callable
    help: str = ""
    numeric: bool = True

    def text(self, row):
        """Returns what the cell of a `Row` shows, `MISSING` for what is not recorded."""
        value = self.value(row)
        return MISSING if value is None else self.shown(value)


def duration(seconds):
    """Returns h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def signed(value):
    """Returns a difference of a metric; none is 0."""
    return "0" if not round(value, 4) else f"{value:+.4f}"


def _share(name):
    return Column(
        "of dense", lambda row: row.shares.get(name), "{:.2f}x".format, "share of the baseline's"
    )


def _of_entry(title, name, shown, text="", numeric=True):
    return Column(title, lambda row: getattr(row.entry, name) or None, shown, text, numeric)


def _number(title, name, shown, text=""):
    return Column(title, lambda row: getattr(row.entry, name), shown, text)


COLUMNS = (
    Column("run", lambda row: row.name, str, "its path, from the folder that holds all", False),
    _of_entry("levers", "lever", str, "what was done to the dense model", False),
    _of_entry("task", "task", str, numeric=False),
    _of_entry("data", "data", data.shown, "whose dev rows were measured", False),
    _of_entry("metric", "metric", str, "on the dev rows, of the final model", False),
    _number("value", "value", "{:.4f}".format),
    Column("to dense", lambda row: row.difference, signed, "difference to the baseline's value"),
    _number("parameters", "parameters", "{:,.0f}".format),
    _share("parameters"),
    _number("MB", "megabytes", "{:.1f}".format, "of the checkpoint or artefact, 10^6 bytes"),
    _share("megabytes"),
    _number("latency, ms", "latency_ms", "{:.1f}".format, "median"),
    _share("latency_ms"),
    _number("training", "seconds", duration, "h:mm:ss, all sessions together"),
    _share("seconds"),
    _number("rows", "rows", "{:,.0f}".format, "training examples"),
    _number("epochs", "epochs", "{:.3g}".format),
    _number("seed", "seed", "{:.0f}".format),
    _of_entry("kind", "kind", str, numeric=False),
    _of_entry("batch x length", "latency_shape", str, "that the latency is of", False),
    Column("note", lambda row: row.note or None, str, numeric=False),
)


def of_rows(rows):
    """Returns the columns that any of the rows has a value in; a share follows its column."""
    return [column for column in COLUMNS if any(column.value(row) is not None for row in rows)]


def by_value(rows):
    """Returns the rows by task and metric, the best first, those without a value last."""

    def key(row):
        entry = row.entry
        value = entry.value
        better = 0 if value is None else value if entry.lower_is_better else -value
        measured = (entry.task or "", entry.data or "", entry.metric or "")
        return (value is None, *measured, better, row.name)

    return sorted(rows, key=key)


def groups(rows):
    """Returns {`Row.group`: rows} of those with a value, the largest group first."""
    found = {}
    for row in by_value(rows):
        if row.group:
            found.setdefault(row.group, []).append(row)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def machine(environment):
    """Returns one line on the machine of a run, None where nothing is recorded."""
    wanted = {
        "cpu": "{}", "cores": "{} cores", "memory_gib": "{} GiB", "platform": "{}",
        "python": "Python {}", "tensorflow": "TensorFlow {}", "bert_tf": "bert_tf {}",
        "precision": "{}",
    }  # fmt: skip
    parts = [form.format(environment[x]) for x, form in wanted.items() if x in environment]
    devices = environment.get("devices")
    if isinstance(devices, list):
        parts.append(", ".join(str(x).removeprefix("/device:") for x in devices))
    return ", ".join(parts) or None
