"""Does an artefact compute what the model computes?"""

import dataclasses

import numpy as np

from bert_tf.errors import UserError

TOLERANCE = 1e-4
"""Largest difference of outputs that float32 may have; of outputs above 10 a share of them."""
MAX_RANDOM_ERROR = 0.5
"""Largest error of reduced precision on random tokens, in shares of the outputs' deviation."""


@dataclasses.dataclass(frozen=True)
class Check:
    """What the comparison found.

    Attributes:
      rows: examples, or rows of random tokens.
      random: whether they were random tokens, for want of a task's rows.
      max_difference, mean_difference: of the main output, over all that counts.
      excess: the largest difference in multiples of what float32 may have.
      relative_error: root mean square of the differences, in standard deviations of the output.
      metric: the task's first metric; None without rows of a task.
      before, after: its value for the model and for the artefact, in [-1, 1]; of several splits
        that which loses most.
      alone: of an artefact of reduced precision, whose answers may depend on what else is in a
        batch: its value when each row is a batch by itself; else None.
      same_label: share of rows whose best label is the same; None where there is none.
    """

    rows: int
    random: bool
    max_difference: float
    mean_difference: float
    excess: float
    relative_error: float
    metric: str | None = None
    before: float | None = None
    after: float | None = None
    alone: float | None = None
    same_label: float | None = None

    @property
    def loss(self):
        """Points (hundredths) of the metric that the artefact has lost; None without one."""
        if self.metric is None:
            return None
        return 100 * (self.before - min(x for x in (self.after, self.alone) if x is not None))

    def sentence(self):
        """Returns a line for people."""
        what = "rows of random tokens" if self.random else "dev rows"
        text = f"{self.rows} {what}: largest difference {self.max_difference:.2g}"
        if self.metric is None:
            return text
        alone = "" if self.alone is None else f" ({self.alone:.4f} row by row)"
        return f"{text}, {self.metric} {self.before:.4f} -> {self.after:.4f}{alone}"


def compare(source, model, artefact, batches, task=None, alone=False):
    """Runs both on the same rows.

    Args:
      source: `ExportSource`.
      model, artefact: callables ({input: int64 [batch, length]}) -> {output: float32 array}.
      batches: iterable of (inputs, labels, split).
      task: `Task` of the labels, None where there are none.
      alone: whether the artefact is also run on each row by itself.

    Returns:
      A `Check`.

    Raises:
      UserError: outputs are not finite or of another shape, or there are no rows.
    """
    differences, values, excess, rows = [], [], 0.0, 0
    kept = {}
    for inputs, labels, split in batches:
        wanted, found = (_output(source, run, inputs) for run in (model, artefact))
        _require_finite(source, wanted, found)
        counted = _counts(source, inputs)
        error, value = np.abs(wanted - found)[counted], wanted[counted]
        excess = max(excess, float((error / _allowed(value)).max()))
        differences.append(error.ravel())
        values.append(value.ravel())
        rows += len(wanted)
        if labels is not None:
            single = _row_by_row(source, artefact, inputs) if alone else None
            kept.setdefault(split, []).append((labels, wanted, found, single))
    if not rows:
        raise UserError("no rows to check the artefact on: give dev rows, or leave --data_dir out")
    differences, values = np.concatenate(differences), np.concatenate(values)
    deviation = max(float(values.std()), 1e-12)
    return Check(
        rows=rows,
        random=task is None,
        max_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        excess=excess,
        relative_error=float(np.sqrt(np.square(differences).mean())) / deviation,
        **(_worst_metrics(task, kept) if task else {}),
    )


def require(check, *, reduced, max_metric_loss, what, fragile):
    """Raises `UserError` for an artefact that must not be used.

    Args:
      check: `Check`.
      reduced: whether its weights are of less than float32.
      max_metric_loss: points of the metric that may be lost then.
      what: the artefact, as errors call it.
      fragile: callable () -> names (list) of the kernels with the largest error.
    """
    if not reduced and not check.excess <= 1:
        raise UserError(
            f"{what}: its outputs differ from the model's by up to {check.max_difference:.3g},"
            f" expected {TOLERANCE:g} at most: it was not written; please report the model's"
            " configuration"
        )
    if reduced and check.random and not check.relative_error <= MAX_RANDOM_ERROR:
        raise UserError(
            f"{what}: on random tokens its outputs are wrong by {check.relative_error:.0%} of their"
            f" deviation, expected {MAX_RANDOM_ERROR:.0%} at most: it was not written; give"
            " --data_dir, whose rows tell what that costs, or export it in float32"
        )
    if reduced and check.metric and check.loss > max_metric_loss:
        names, lowest = fragile(), check.before - check.loss / 100
        advice = f"the largest errors are in {', '.join(names)}: name them in --keep" * bool(names)
        raise UserError(
            f"{what}: loses {check.loss:.2f} points of {check.metric} ({check.before:.4f} ->"
            f" {lowest:.4f}), --max_metric_loss allows {max_metric_loss:g}: it was not"
            f" written; {advice or 'export it in float32'}"
        )


def _output(source, run, inputs):
    return np.asarray(run(inputs)[source.main_output])


def _require_finite(source, wanted, found):
    if not np.isfinite(wanted).all():
        raise UserError(
            f"{source.model.source}: its {source.main_output} are not finite: it cannot be exported"
        )
    if wanted.shape != found.shape or not np.isfinite(found).all():
        raise UserError(
            f"the artefact's {source.main_output} is {list(found.shape)}, finite:"
            f" {bool(np.isfinite(found).all())}; expected finite {list(wanted.shape)}"
        )


def _allowed(value):
    return TOLERANCE * np.maximum(1, np.abs(value) / 10)


def _counts(source, inputs):
    """Index of what counts in the main output: all of a classifier's, the tokens' of others."""
    if source.kind in ("classification", "regression"):
        return slice(None)
    return inputs["attention_mask"].astype(bool)


def _row_by_row(source, run, inputs):
    """The outputs of rows that are batches by themselves, without padding."""
    lengths = inputs["attention_mask"].sum(1)
    rows = (
        {name: x[i : i + 1, :length] for name, x in inputs.items()}
        for i, length in enumerate(lengths)
    )
    return np.concatenate([_output(source, run, row) for row in rows])


def _worst_metrics(task, kept):
    """The fields of a `Check` about the split that loses most."""
    found = [_metrics(task, *zip(*batches, strict=True)) for batches in kept.values()]
    return min(found, key=lambda x: min(x["after"], x["alone"] or x["after"]) - x["before"])


def _metrics(task, labels, wanted, found, alone):
    from bert_tf.classification.evaluation import predictions
    from bert_tf.data.metrics import compute_metrics

    metric, labels = task.metrics[0], np.concatenate(labels)

    def of(outputs):
        return compute_metrics(task, labels, predictions(outputs, task))[metric]

    wanted, found = np.concatenate(wanted), np.concatenate(found)
    same = np.mean(predictions(wanted, task) == predictions(found, task))
    return {
        "metric": metric,
        "before": of(wanted),
        "after": of(found),
        "alone": None if alone[0] is None else of(np.concatenate(alone)),
        "same_label": None if task.labels is None else float(same),
    }
