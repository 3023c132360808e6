"""Evaluation and prediction of sentence classifiers."""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from bert_tf import files
from bert_tf.finetuning import evaluation
from bert_tf.training.results import PREDICTIONS


class Evaluator(evaluation.BatchEvaluator):
    """Runs a `SequenceClassifier` over feature stores, see `BatchEvaluator`."""

    def evaluate(self, store, task):
        """Returns {metric: float}: the task's metrics and `loss`, the mean over all examples.

        Metrics come from all gathered predictions at once (never averaged over batches), under
        scikit-learn's names: accuracy, f1, precision, recall, matthews_corrcoef, pearson, spearman.
        """
        from bert_tf.data.metrics import compute_metrics  # scikit-learn: seconds of a short budget

        logits = self.logits(store)
        losses = self.model.example_losses(store.labels, logits).numpy()
        metrics = compute_metrics(task, store.labels, predictions(logits, task))
        return {**metrics, "loss": float(np.mean(losses, dtype=np.float64))}


class TaskEvaluation(evaluation.TaskEvaluation):
    """Evaluates a `SequenceClassifier`, see the base."""

    evaluator = Evaluator

    def measure(self):
        """Returns the seconds that an evaluation will take."""
        from bert_tf.data import metrics  # noqa: F401 - its import is no part of the first one

        return super().measure()


@dataclasses.dataclass
class EvalSpec(evaluation.EvalSpec):
    """What to evaluate a `SequenceClassifier` on, see the base."""

    evaluation: ClassVar = TaskEvaluation


def predictions(logits, task):
    """Predicted label indices int64 [n], or scores float32 [n] for a regression task."""
    return logits[:, 0] if task.labels is None else logits.argmax(-1)


def remove_predictions(output_dir):
    """Removes all that `write_predictions` wrote: those of two models must not stand together."""
    for path in output_dir.glob(PREDICTIONS):
        path.unlink()


def write_predictions(output_dir, logits, task, split="test", first=True, numbers=None):
    """Writes `test_results.tsv` and `test_results_labels.tsv`, a line for each example.

    The first has the tab-separated class probabilities in the order of the task's labels (Google's
    form), or the score. The second has a header: `index`, `prediction` (the label's name, or the
    score), `line`; cells with a tab, a quote or a line end are quoted as in a CSV file. Splits
    after the first carry their name in the files'.

    Args:
      output_dir: folder.
      logits: float32 [n, outputs].
      task: `Task`.
      split: name of the split.
      first: whether it is the first.
      numbers: `RowNumbers` of the examples; None numbers them from 0 and leaves the lines out.
    """
    suffix = "" if first else f"_{split}"
    if task.labels is None:
        rows = names = [f"{score:.7g}" for score in logits[:, 0]]
    else:
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float64)).numpy()
        rows = ["\t".join(f"{p:.8g}" for p in row) for row in probabilities]
        names = [str(task.labels[i]) for i in predictions(logits, task)]
    header, columns = ["index", "prediction"], [range(len(names)), names]
    if numbers is not None:
        header, columns = [*header, "line"], [numbers.ids, names, numbers.lines]
    lines = map(files.table_row, [header, *zip(*columns, strict=True)])
    files.write_text(output_dir / f"test_results{suffix}.tsv", "".join(row + "\n" for row in rows))
    files.write_text(output_dir / f"test_results_labels{suffix}.tsv", "".join(lines))
