"""What the runs of a sweep have left: what was measured, and whether it is that of their flags."""

import dataclasses
import fnmatch
import math
import shutil

from bert_tf import files
from bert_tf.data.tasks import get_task
from bert_tf.errors import UserError
from bert_tf.sweep.contents import WORKING, names_files
from bert_tf.sweep.plan import PlannedRun
from bert_tf.task_names import canonical_name

RESULTS_FILE, LOG_FILE = "results.json", "log.txt"
_NUMBERS = (
    RESULTS_FILE, LOG_FILE, "bert_config.json", "eval_results.txt", "test_results*.tsv", "*.jsonl",
    "events.out.tfevents.*", "eval",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run that is done has measured.

    Attributes:
      run: `PlannedRun`.
      task: name of its task.
      split, metric, value: the first dev split and, on it, the task's first metric.
      metrics: {split: {metric: value}}.
      seconds: of its training and evaluation.
      results: all of its results.json.
    """

    run: PlannedRun
    task: str
    split: str
    metric: str
    value: float
    metrics: dict
    seconds: float
    results: dict


def read_outcome(run):
    """Returns the `Outcome` of a run, None if it is not done.

    Raises:
      UserError: the results in its folder are those of other flags.
    """
    path = run.folder / RESULTS_FILE
    if not path.exists():
        return None
    try:
        results = files.read_json(path, "results of the run")
    except UserError:  # the run says so, if it cannot go on either
        return None
    if not results.get("metrics"):
        return None
    try:
        task = results.get("task") or run.task
        split, metric, value = _first_metric(task, results)
        if not math.isfinite(value):
            return None
        seconds = results.get("seconds", {})
        total = float(seconds.get("total", seconds.get("evaluation", 0.0)))
        outcome = Outcome(run, task, split, metric, value, results["metrics"], total, results)
        recorded = dict(results.get("options", {}))
    except (AttributeError, LookupError, StopIteration, TypeError, ValueError):
        return None  # not what a run writes: it is made again
    _require_flags(path, run, recorded)
    return outcome


def _require_flags(path, run, recorded):
    for name, value in run.flags.items():
        if name in WORKING or names_files(name):  # paths may have moved
            continue
        if recorded.get(name) != value:
            raise UserError(
                f"{path}: has the results of --{name}={recorded.get(name)}, expected those of"
                f" {value}: remove {path.parent}, and it runs again"
            )


def _first_metric(task, results):
    """(split, name, value) of what decides which run is better; the file's names are sorted."""
    metrics, best = results["metrics"], results.get("best") or {}
    known = get_task(task) if canonical_name(task or "") else None
    splits = (results.get("split"), *(known.dev_splits if known else ()), *metrics)
    split = next(split for split in splits if split in metrics)
    measured = metrics[split]
    first = [results["metric"]] if "metric" in results else []
    others = (name for name in measured if name != "loss")
    names = [*first, *(known.metrics if known else ()), *others]
    name = best.get("metric") or next(name for name in names if name in measured)
    return split, name, measured[name] if name in measured else best["value"]


def keep_numbers(folder):
    """Removes from the folder of a run that is done everything but what was measured."""
    for path in sorted(folder.iterdir()):
        if not any(fnmatch.fnmatch(path.name, pattern) for pattern in _NUMBERS):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
