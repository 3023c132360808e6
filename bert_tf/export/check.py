"""Does an artefact compute what the model computes?"""

import dataclasses

import numpy as np

from bert_tf.errors import UserError

TOLERANCE = 1e-4
"""Largest difference of outputs that float32 may have."""


@dataclasses.dataclass(frozen=True)
class Check:
    """What the comparison found.

    Attributes:
      rows: examples, or rows of random tokens.
      random: whether they were random tokens, for want of a task's rows.
      max_difference, mean_difference: of the main output, over all that counts.
      metric: the task's first metric; None without rows of a task.
      before, after: its value for the model and for the artefact, in [-1, 1].
      same_label: share of rows whose best label is the same; None where there is none.
    """

    rows: int
    random: bool
    max_difference: float
    mean_difference: float
    metric: str | None = None
    before: float | None = None
    after: float | None = None
    same_label: float | None = None

    @property
    def loss(self):
        """Points (hundredths) of the metric that the artefact has lost; None without one."""
        return None if self.metric is None else 100 * (self.before - self.after)

    def sentence(self):
        """Returns a line for people."""
        what = "rows of random tokens" if self.random else "dev rows"
        text = f"{self.rows} {what}: largest difference {self.max_difference:.2g}"
        if self.metric is None:
            return text
        return f"{text}, {self.metric} {self.before:.4f} -> {self.after:.4f}"


def compare(source, model, artefact, batches, task=None):
    """Runs both on the same rows.

    Args:
      source: `ExportSource`.
      model, artefact: callables ({input: int64 [batch, length]}) -> {output: float32 array}.
      batches: iterable of (inputs, labels, split); the metric is that of the first split.
      task: `Task` of the labels, None where there are none.

    Returns:
      A `Check`.

    Raises:
      UserError: the artefact's outputs are not finite or of another shape.
    """
    largest, total, count, rows = 0.0, 0.0, 0, 0
    kept, first = [], None
    for inputs, labels, split in batches:
        wanted, found = (_output(source, run, inputs) for run in (model, artefact))
        if wanted.shape != found.shape or not np.isfinite(found).all():
            raise UserError(
                f"the artefact's {source.main_output} is {list(found.shape)}, finite:"
                f" {bool(np.isfinite(found).all())}; expected finite {list(wanted.shape)}"
            )
        errors = np.abs(wanted - found)[_counts(source, inputs)]
        largest, total = max(largest, float(errors.max())), total + float(errors.sum())
        count, rows = count + errors.size, rows + len(wanted)
        first = split if first is None else first
        if labels is not None and split == first:
            kept.append((labels, wanted, found))
    about = {} if task is None else _metrics(task, *map(np.concatenate, zip(*kept, strict=True)))
    return Check(rows, task is None, largest, total / count, **about)


def require(check, *, reduced, max_metric_loss, what, fragile):
    """Raises `UserError` for an artefact that must not be used.

    Args:
      check: `Check`.
      reduced: whether its weights are of less than float32.
      max_metric_loss: points of the metric that may be lost then.
      what: the artefact, as errors call it.
      fragile: callable () -> names (list) of the kernels with the largest error.
    """
    if not reduced and check.max_difference > TOLERANCE:
        raise UserError(
            f"{what}: its outputs differ from the model's by up to {check.max_difference:.3g},"
            f" expected {TOLERANCE:g} at most: it was not written; please report the model's"
            " configuration"
        )
    if reduced and check.metric and check.loss > max_metric_loss:
        names = fragile()
        advice = f"the largest errors are in {', '.join(names)}: name them in --keep" * bool(names)
        raise UserError(
            f"{what}: loses {check.loss:.2f} points of {check.metric} ({check.before:.4f} ->"
            f" {check.after:.4f}), --max_metric_loss allows {max_metric_loss:g}: it was not"
            f" written; {advice or 'export it in float32'}"
        )


def _output(source, run, inputs):
    return np.asarray(run(inputs)[source.main_output])


def _counts(source, inputs):
    """Index of what counts in the main output: all of a classifier's, the tokens' of others."""
    if source.kind in ("classification", "regression"):
        return slice(None)
    return inputs["attention_mask"].astype(bool)


def _metrics(task, labels, wanted, found):
    from bert_tf.classification.evaluation import predictions
    from bert_tf.data.metrics import compute_metrics

    values = [predictions(logits, task) for logits in (wanted, found)]
    metric = task.metrics[0]
    before, after = (compute_metrics(task, labels, x)[metric] for x in values)
    same = float(np.mean(values[0] == values[1])) if task.labels is not None else None
    return {"metric": metric, "before": before, "after": after, "same_label": same}
