"""Metrics on gathered predictions (never averaged over batches), by scikit-learn and SciPy."""

import warnings

import numpy as np
from scipy import stats
from sklearn import metrics as sk

from bert_tf.errors import UserError


def compute_metrics(task_or_names, labels, predictions):
    """Returns {metric name: float}, in the task's order.

    F1, precision and recall are those of class 1 where there are two classes, else the plain mean
    over the classes that occur. Correlations of a constant, of fewer than two examples or of
    predictions that are not finite are 0.0, and so is any ratio without a denominator.

    Args:
      task_or_names: `Task`, or names out of accuracy, f1, precision, recall, matthews_corrcoef,
        pearson, spearman; with names only, labels of 0 and 1 are taken for two classes.
      labels: [n] class indices, or scores for pearson and spearman.
      predictions: [n] predicted class indices or scores.

    Raises:
      UserError: no examples, or a name that is no metric.
    """
    names = getattr(task_or_names, "metrics", task_or_names)
    classes = getattr(task_or_names, "labels", None)
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.size == 0 or labels.shape != predictions.shape:
        raise UserError(
            f"metrics: found {predictions.shape} predictions for {labels.shape} labels, expected"
            " as many of each, and at least one"
        )
    binary = len(classes) == 2 if classes else max(labels.max(), predictions.max()) <= 1
    average = "binary" if binary else "macro"
    unknown = [name for name in names if name not in _METRICS]
    if unknown:
        raise UserError(f"unknown metric {unknown[0]!r}, expected one of {', '.join(_METRICS)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0.0 is the answer to the cases warned of
        return {name: float(_METRICS[name](labels, predictions, average)) for name in names}


def _averaged(function):
    def metric(labels, predictions, average):
        return function(labels, predictions, average=average, zero_division=0)

    return metric


def _correlation(function):
    def metric(labels, predictions, _):
        finite = np.isfinite(labels).all() and np.isfinite(predictions).all()
        if not finite or np.ptp(labels) == 0 or np.ptp(predictions) == 0:
            return 0.0
        value = function(labels.astype(np.float64), predictions.astype(np.float64)).statistic
        return value if np.isfinite(value) else 0.0

    return metric


_METRICS = {
    "accuracy": lambda labels, predictions, _: np.mean(labels == predictions),
    "f1": _averaged(sk.f1_score),
    "precision": _averaged(sk.precision_score),
    "recall": _averaged(sk.recall_score),
    "matthews_corrcoef": lambda labels, predictions, _: sk.matthews_corrcoef(labels, predictions),
    "pearson": _correlation(stats.pearsonr),
    "spearman": _correlation(stats.spearmanr),
}
