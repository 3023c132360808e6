import warnings

import numpy as np
import pytest

from bert_tf.data.metrics import compute_metrics
from bert_tf.data.tasks import TASK_NAMES, get_task
from bert_tf.errors import UserError

NAMES = ("accuracy", "f1", "precision", "recall", "matthews_corrcoef")


def test_binary_metrics_by_hand():
    # 3 true positives, 1 false positive, 2 false negatives, 4 true negatives
    labels = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    found = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    metrics = compute_metrics(NAMES, np.array(labels), np.array(found))
    assert list(metrics) == list(NAMES)
    assert metrics == pytest.approx(
        {
            "accuracy": 0.7,
            "f1": 6 / 9,
            "precision": 0.75,
            "recall": 0.6,
            "matthews_corrcoef": (3 * 4 - 1 * 2) / np.sqrt(4 * 5 * 5 * 6),
        }
    )


def test_more_than_two_classes_are_averaged():
    metrics = compute_metrics(("f1",), np.array([0, 1, 2, 2]), np.array([0, 2, 2, 2]))
    assert metrics["f1"] == pytest.approx((1 + 0 + 0.8) / 3)


def test_correlations_use_all_examples_and_ties():
    labels = np.array([1.0, 2.0, 2.0, 4.0], np.float32)
    metrics = compute_metrics(get_task("sts-b"), labels, labels**3)
    assert metrics["spearman"] == pytest.approx(1.0)
    assert 0.9 < metrics["pearson"] < 1.0


@pytest.mark.parametrize(
    ("labels", "found"),
    [([0.0, 1.0], [2.0, 2.0]), ([1.0, 1.0], [0.0, 1.0]), ([1.0], [2.0]), ([0, 1.0], [np.nan, 1])],
)
def test_degenerate_correlations_are_zero_without_warnings(labels, found):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = compute_metrics(("pearson", "spearman"), np.array(labels), np.array(found))
    assert metrics == {"pearson": 0.0, "spearman": 0.0}


def test_constant_classes_are_zero_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = compute_metrics(NAMES, np.array([0, 1, 0]), np.zeros(3, np.int32))
    assert metrics == pytest.approx({**dict.fromkeys(NAMES, 0.0), "accuracy": 2 / 3})


def test_wrong_use_is_refused():
    with pytest.raises(UserError, match="unknown metric 'auc'"):
        compute_metrics(("auc",), np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(UserError, match="at least one"):
        compute_metrics(NAMES, np.array([]), np.array([]))


@pytest.mark.parametrize(
    ("task", "main"),
    [
        ("cola", "matthews_corrcoef"),
        ("sts-b", "pearson"),
        ("mrpc", "accuracy"),
        ("mnli", "accuracy"),
    ],
)
def test_main_metric(task, main):
    assert get_task(task).metrics[0] == main


@pytest.mark.parametrize("name", TASK_NAMES)
def test_every_task_can_be_scored(name):
    task = get_task(name)
    count = len(task.labels) if task.labels else 4
    labels = np.arange(12) % count
    metrics = compute_metrics(task, labels, labels)
    assert tuple(metrics) == task.metrics
    assert metrics == pytest.approx(dict.fromkeys(task.metrics, 1.0))
