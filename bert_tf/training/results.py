"""What a run reports, and its end: the final model, beside it only what was measured on it."""

import dataclasses
import json
import math
import resource

import numpy as np
import tensorflow as tf
from absl import logging

from bert_tf import files, machine
from bert_tf.checkpoints import google
from bert_tf.checkpoints.model_folder import CHECKPOINT, load_model
from bert_tf.errors import UserError
from bert_tf.options import command_line
from bert_tf.training import distribution
from bert_tf.training.rhythm import DIVERGED, TERMINATED

PREDICTIONS = "test_results*.tsv"
"""Pattern of the names of files with predictions."""
TAGS = "test_results.conll"
"""Name of the file with predicted labels of words."""

# Google's and the pruning port's names for what scikit-learn calls otherwise.
_REPORT_NAMES = {"accuracy": "eval_accuracy", "f1": "f1_score"}

EXIT_TERMINATED = 143
"""Exit status of a run that SIGTERM ended: it saved its state, the same command goes on."""

_OF_A_MODEL = (
    "eval_results.txt", "results.json", PREDICTIONS, TAGS,
    "predictions.json", "nbest_predictions.json", "null_odds.json",
)  # fmt: skip


def holds_model(output_dir):
    """Whether a run has written its final model to `output_dir` (`pathlib.Path`)."""
    return (output_dir / f"{CHECKPOINT}.index").exists()


def exit_status(results):
    """Returns the exit status of a program whose run had these results."""
    return EXIT_TERMINATED if results.get("stop_reason") == TERMINATED else 0


def described(options):
    """Returns {flag: value} of the options of a run, those that are None left out."""
    values = dataclasses.asdict(options)
    return {k: v for k, v in values.items() if k != "given" and v is not None}


def command(program, options):
    """Returns what results.json says of the command: the flags that were given."""
    return command_line(program, options, described(options), options.given)


def environment(precision):
    """Returns what results.json says of the machine: versions, devices, precision, memory."""
    return {
        **machine.describe(),
        "tensorflow": tf.__version__,
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "precision": precision,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def finished_results(output_dir, options, strategy):
    """Returns the results of a run after which this very command has nothing left to do, or None.

    Args:
      output_dir: folder of the run (`pathlib.Path`).
      options: of the command; their `LEVERS` tell whether such a run is over.
      strategy: `tf.distribute.Strategy` or None; all workers do as the chief finds.
    """
    path, found = output_dir / "results.json", None
    if distribution.is_chief(strategy) and path.exists():
        found = files.read_json(path, "results of the run")
        same = found.get("options") == json.loads(json.dumps(described(options)))
        over = any(part.is_over(options, found) for part in options.LEVERS)
        found = found if same and over and holds_model(output_dir) else None
    if not distribution.value_of_chief(strategy, int(found is not None)):
        return None
    if found:
        logging.info("the run in %s has ended: %s", output_dir, found["stop_reason"])
    return found or {}


def raise_if_diverged(result):
    """Raises `UserError` if the training of this `Result` went wrong."""
    if result.stop_reason.startswith(DIVERGED):
        raise UserError(
            f"step {result.step}: {result.stop_reason}: lower --learning_rate or change"
            f" --precision; what was written before is intact"
        )


def write_final_model(output_dir, result, load, save, arrays, chief):
    """Writes the final model of a run, and `eval_results.txt` if it was evaluated.

    A run that goes on with its checkpoint leaves none: it would look finished.

    What was measured on another model in that folder is removed first: a kill may leave a model
    without metrics, never one with those of another.

    Args:
      output_dir: folder of the run (`pathlib.Path`).
      result: `Result` of the training.
      load: callable (`LoadedModel`) that gives the model the best weights, which are then the
        final ones; None keeps those of the end.
      save: callable () that writes the model to output_dir.
      arrays: callable () -> {Google name: array} of the model.
      chief: whether this process writes the files.

    Returns:
      ({split: {metric: value}}, step) of the weights that were written.
    """
    metrics, step = result.metrics, result.step
    if not (chief and result.leaves_model):
        return metrics, step
    if load and result.best:
        metrics, step = result.best["metrics"], result.best["step"]
        load(load_model(output_dir / "best"))
    had_model = holds_model(output_dir)
    if not _holds(output_dir, arrays):
        for path in (path for pattern in _OF_A_MODEL for path in output_dir.glob(pattern)):
            if had_model:
                logging.info("%s: removed, it is of other weights than the final model", path)
            path.unlink()
    save()
    if metrics:
        write_eval_results(output_dir, metrics, step)
    return metrics, step


def _holds(output_dir, arrays):
    """Whether the model in `output_dir` has these very weights (a callable, as above)."""
    if not holds_model(output_dir):
        return False
    try:
        found = google.read_checkpoint(output_dir / CHECKPOINT)
    except UserError:  # damaged: it is replaced
        return False
    wanted = arrays()
    return found.keys() == wanted.keys() and all(
        np.array_equal(found[name], array) for name, array in wanted.items()
    )


def require_finite(metrics, where):
    """Raises `UserError` unless all of {split: {metric: value}} are finite; `where` begins it."""
    for split, measured in metrics.items():
        for name, value in measured.items():
            if not math.isfinite(value):
                raise UserError(f"{where}: {name} on {split} is {value}, expected a finite number")


def write_eval_results(output_dir, metrics, step):
    """Writes Google's `eval_results.txt`: sorted `key = value` lines.

    Args:
      output_dir: folder.
      metrics: {split: {metric: value}} in the task's order; metrics of splits after the first
        carry the split's name behind an underscore.
      step: global step they were measured at.
    """
    values = {"global_step": step, **report_names(metrics)}
    lines = [
        f"{key} = {value}" if isinstance(value, int) else f"{key} = {value:.7g}"
        for key, value in sorted(values.items())
    ]
    files.write_text(output_dir / "eval_results.txt", "\n".join(lines) + "\n")


def report_names(metrics):
    """Flattens {split: {metric: value}} under the names of eval_results.txt and TensorBoard."""
    values = {}
    for index, (split, measured) in enumerate(metrics.items()):
        suffix = f"_{split}" if index else ""
        for name, value in measured.items():
            values[_REPORT_NAMES.get(name, name) + suffix] = value
            if name == "loss":  # Google writes it twice: from the metrics and from the estimator
                values["eval_loss" + suffix] = value
    return values
