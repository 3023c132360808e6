"""Evaluation over all examples, and the files that tell of it."""

import numpy as np
import pytest

from bert_tf.classification import evaluation
from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.data.features import FeatureStore
from bert_tf.data.tasks import get_task
from bert_tf.training import results
from tests import tiny


@pytest.fixture(scope="module")
def store():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 12, 11)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(1, 30, offsets[-1]).astype(np.int32)
    labels = np.arange(11, dtype=np.int32) % 2
    return FeatureStore(ids, offsets, lengths.astype(np.int32), labels, "made")


@pytest.fixture(scope="module")
def model():
    return SequenceClassifier(BertConfig(vocab_size=30, **tiny.SHAPE), 2)


@pytest.mark.parametrize(
    "options", [{"batch_size": 4}, {"pad_to": 16}, {"pad_multiple": 8}], ids=str
)
def test_logits_are_in_the_stores_order_whatever_the_batches(model, store, options):
    expected = np.concatenate([model(store.batch([i])[0]).numpy() for i in range(len(store))])
    logits = evaluation.Evaluator(model, **options).logits(store)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_loss_is_the_mean_over_examples_and_metrics_are_of_all_at_once(model, store):
    evaluator = evaluation.Evaluator(model, batch_size=4)
    logits = evaluator.logits(store).astype(np.float64)
    metrics = evaluator.evaluate(store, get_task("sst-2"))
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -log_probabilities[np.arange(11), store.labels].mean()
    assert metrics["loss"] == pytest.approx(expected, abs=1e-6)
    assert metrics["accuracy"] == np.mean(logits.argmax(-1) == store.labels)


def test_eval_results_file(tmp_path):
    metrics = {
        "dev_matched": {"accuracy": 0.75, "loss": 0.5},
        "dev_mismatched": {"accuracy": 0.5, "loss": 1 / 3},
    }
    results.write_eval_results(tmp_path, metrics, 100)
    assert (tmp_path / "eval_results.txt").read_text().splitlines() == [
        "eval_accuracy = 0.75",
        "eval_accuracy_dev_mismatched = 0.5",
        "eval_loss = 0.5",
        "eval_loss_dev_mismatched = 0.3333333",
        "global_step = 100",
        "loss = 0.5",
        "loss_dev_mismatched = 0.3333333",
    ]


def test_prediction_files_of_a_classification(tmp_path):
    logits = np.log(np.array([[0.25, 0.75], [0.9, 0.1]], np.float32))
    task = get_task("rte")
    evaluation.write_predictions(tmp_path, logits, task)
    np.testing.assert_allclose(
        np.loadtxt(tmp_path / "test_results.tsv"), [[0.25, 0.75], [0.9, 0.1]], atol=1e-6
    )
    assert (tmp_path / "test_results_labels.tsv").read_text().splitlines() == [
        "index\tprediction",
        "0\tentailment",
        "1\tnot_entailment",
    ]


def test_prediction_files_of_a_regression(tmp_path):
    scores = np.array([[1.5], [4.25]], np.float32)
    evaluation.write_predictions(tmp_path, scores, get_task("sts-b"), "other", first=False)
    assert (tmp_path / "test_results_other.tsv").read_text() == "1.5\n4.25\n"
    labels = (tmp_path / "test_results_labels_other.tsv").read_text()
    assert labels == "index\tprediction\n0\t1.5\n1\t4.25\n"
