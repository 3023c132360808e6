"""The table of a sweep: median and spread over the seeds of each setting, and the best of each."""

import collections
import csv
import dataclasses
import functools
import io
import statistics

from bert_tf import files
from bert_tf.sweep.outcomes import LOG_FILE
from bert_tf.sweep.plan import setting_name, shown

# Runs whose metrics are of different rows are not compared.
_ROWS = (
    "data_dir", "dataset", "dev_split", "dev_fraction", "split_seed", "dev_file", "tfrecord_dir",
    "xnli_language", "label_column", "labels", "regression",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """A setting on a task.

    Attributes:
      task: name of the task.
      setting: {flag: value}.
      problem: what it may be compared within: the task, and which rows were measured.
      planned: how many runs it has in the sweep.
      outcomes: list of `Outcome` of those that are done, in the order of the seeds.
    """

    task: str
    setting: dict
    problem: tuple
    planned: int
    outcomes: list

    @property
    def values(self):
        """The metric of each run that is done."""
        return [outcome.value for outcome in self.outcomes]

    @property
    def metric(self):
        """Name of the metric, "" where no run is done."""
        return self.outcomes[0].metric if self.outcomes else ""

    @property
    def median(self):
        """Median of the metric over the runs, None without any."""
        return statistics.median(self.values) if self.values else None

    @property
    def spread(self):
        """(lowest, highest) value, None without any."""
        return (min(self.values), max(self.values)) if self.values else None

    @property
    def seconds(self):
        """Median seconds of a run, None without any."""
        return statistics.median(x.seconds for x in self.outcomes) if self.outcomes else None


class Table:
    """All settings of a sweep.

    Args:
      runs: list of `PlannedRun`.
      outcomes: {folder: `Outcome`} of the runs that are done.
      errors: {folder: last line} of the runs that failed.

    Attributes:
      rows: list of `Row`, task by task in the order of the plan.
    """

    def __init__(self, runs, outcomes, errors):
        self.runs, self.outcomes, self.errors = runs, outcomes, errors
        groups = {}
        for run in runs:
            settings = groups.setdefault((run.task, _data(run)), {})
            settings.setdefault(setting_name(run.setting), []).append(run)
        self.rows = [
            self._row(data, members)
            for (_, data), settings in groups.items()
            for members in settings.values()
        ]

    def _row(self, data, runs):
        done = [self.outcomes[run.folder] for run in runs if run.folder in self.outcomes]
        task = runs[0].task or (done[0].task if done else "")
        return Row(task, runs[0].setting, (task, data), len(runs), done)

    @functools.cached_property
    def best(self):
        """List of the `Row` with the highest median of each problem and metric, of those of which
        most runs are done.
        """
        found = {}
        for row in self.rows:
            key = row.problem, row.metric
            if row.values and (key not in found or _rank(row) > _rank(found[key])):
                found[key] = row
        return list(found.values())

    @property
    def flags(self):
        """Names of the flags that settings differ in."""
        return list(dict.fromkeys(name for row in self.rows for name in row.setting))

    def markdown(self, command):
        """Returns the tables as text: the best of each task, all settings, what failed.

        Args:
          command: the command of the sweep, as text.
        """
        best = [self._cells(row) for row in self.best]
        rows = [self._cells(row, self._is_best(row)) for row in self.rows]
        parts = [
            f"# Sweep\n\n```sh\n{command}\n```\n",
            f"{len(self.outcomes)} of {len(self.runs)} runs are done. Metrics are those of the dev"
            " rows, on which the best setting was chosen, too: there it looks a little too good.\n",
            self._machines(),
            "## Best of each task\n\n" + _markdown(best) if best else "",
            "## All settings\n\n" + _markdown(rows),
            self._failures(),
        ]
        return "\n".join(filter(None, parts))

    def _is_best(self, row):
        return any(row is best for best in self.best)

    def _cells(self, row, best=False):
        low, high = row.spread or (None, None)
        median = _number(row.median)
        return {
            "task": row.task,
            **{name: shown(row.setting.get(name, "")) for name in self.flags},
            "metric": row.metric,
            "median": f"**{median}**" if best else median,
            "min": _number(low),
            "max": _number(high),
            "runs": str(len(row.values)) + f" of {row.planned}" * (len(row.values) < row.planned),
            "seconds": "" if row.seconds is None else f"{row.seconds:.0f}",
        }

    def _machines(self):
        """Says which versions and processors the runs are of, if there are several."""
        found = [x.results.get("environment") or {} for x in self.outcomes.values()]
        kinds = [f"bert_tf {x.get('bert_tf')} on {x.get('cpu')}" for x in found]
        counts = collections.Counter(kinds)
        if len(counts) < 2:
            return ""
        listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
        return f"The runs are not of one version and machine: {listed}.\n"

    def _failures(self):
        failed = [run for run in self.runs if run.folder in self.errors]
        if not failed:
            return ""
        cells = [
            {
                "run": run.name,
                "last line": self.errors[run.folder],
                "log": str(run.folder / LOG_FILE),
            }
            for run in failed
        ]
        return "## Failed\n\n" + _markdown(cells)

    def to_json(self, command):
        """Returns all of it for results.json; `command` as for `markdown`."""
        return {
            "kind": "sweep",
            "command": command,
            "settings": [
                {
                    "task": row.task,
                    "setting": row.setting,
                    "metric": row.metric,
                    "median": row.median,
                    "min": row.spread and row.spread[0],
                    "max": row.spread and row.spread[1],
                    "values": {str(x.run.seed): x.value for x in row.outcomes},
                    "planned": row.planned,
                    "seconds": row.seconds,
                    "best": self._is_best(row),
                }
                for row in self.rows
            ],
            "runs": [self._run_json(run) for run in self.runs],
        }

    def _run_json(self, run):
        outcome = self.outcomes.get(run.folder)
        status = "done" if outcome else "failed" if run.folder in self.errors else "waiting"
        found = {
            "task": run.task,
            "setting": run.setting,
            "seed": run.seed,
            "folder": str(run.folder),
            "flags": run.flags,
            "status": status,
        }
        if outcome:
            measured = {"metric": outcome.metric, "value": outcome.value}
            found |= {**measured, "metrics": outcome.metrics, "seconds": outcome.seconds}
        elif run.folder in self.errors:
            found["error"] = self.errors[run.folder]
        return found

    def csv(self):
        """Returns the table of all settings as comma-separated values, numbers in full."""
        lines = [
            {
                "task": row.task,
                **{name: shown(row.setting.get(name, "")) for name in self.flags},
                "metric": row.metric,
                "median": row.median,
                "min": row.spread and row.spread[0],
                "max": row.spread and row.spread[1],
                "runs": len(row.values),
                "planned": row.planned,
                "seconds": row.seconds,
                "best": self._is_best(row),
            }
            for row in self.rows
        ]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return text.getvalue()

    def write(self, output_dir, command):
        """Writes results.md, results.json and results.csv to the folder `output_dir`."""
        files.write_text(output_dir / "results.md", self.markdown(command))
        files.write_text(output_dir / "results.csv", self.csv())
        files.write_json(output_dir / "results.json", self.to_json(command))


def _data(run):
    """What says which rows a run is measured on."""
    drawn = ("train_split",) if "dev_fraction" in run.flags else ()
    return tuple((name, run.flags[name]) for name in (*_ROWS, *drawn) if name in run.flags)


def _rank(row):
    return len(row.values), row.median


def _number(value):
    return "" if value is None else f"{value:.4f}"


def _markdown(lines):
    """A table of {column: text}, numbers to the right."""
    right = {"median", "min", "max", "runs", "seconds"}
    names = list(lines[0])
    rule = ["---:" if name in right else "---" for name in names]
    cells = [names, rule, *([_escaped(line[name]) for name in names] for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _escaped(text):
    return str(text).replace("|", "\\|")
