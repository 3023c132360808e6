"""train_and_evaluate as a library user calls it."""

import numpy as np
import pytest
import tf_keras as keras

from bert_tf.classification import evaluation
from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.data.batching import train_plan
from bert_tf.data.features import FeatureStore
from bert_tf.data.tasks import get_task
from bert_tf.training import loop
from bert_tf.training.optimization import make_optimizer
from bert_tf.training.schedules import make_schedule
from tests import tiny


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture
def store():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, 24)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(1, 30, offsets[-1]).astype(np.int32)
    return FeatureStore(
        ids, offsets, lengths.astype(np.int32), np.arange(24, dtype=np.int32) % 2, "x"
    )


@pytest.fixture
def train(store, tmp_path):
    """Runs 6 steps, evaluating; returns (model, `Result`)."""

    def run(callbacks=(), steps_per_execution=1, evaluate=True, **config):
        model = SequenceClassifier(BertConfig(vocab_size=30, **tiny.SHAPE), 2)
        optimizer = make_optimizer("adamw", make_schedule("linear", 1e-3, total_steps=6))
        model.compile(optimizer=optimizer, steps_per_execution=steps_per_execution)
        plan = train_plan(store.lengths, batch_size=8, epochs=2, seed=0)
        result = loop.train_and_evaluate(
            model,
            loop.TrainSpec(store, plan),
            evaluation.EvalSpec(get_task("sst-2"), {"dev": store}) if evaluate else None,
            loop.RunConfig(output_dir=tmp_path, identity={"seed": 0}, **config),
            callbacks,
        )
        return model, result

    return run


class Steps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(batch)


def evaluated_steps(folder):
    scalars, _ = tiny.read_events(folder / "eval")
    return [step for step, _ in scalars["eval_accuracy"]]


def test_every_checkpoint_and_the_end_are_evaluated(train, tmp_path):
    steps = Steps()
    model, result = train([steps], save_checkpoints_steps=4)
    assert steps.ends == [0, 1, 2, 3, 4, 5]
    assert evaluated_steps(tmp_path) == [4, 6]
    assert (result.step, result.stop_reason, result.examples_this_session) == (6, "finished", 48)
    assert int(model.global_step.numpy()) == 6
    assert result.metrics["dev"].keys() >= {"accuracy", "loss"}


def test_checkpoints_fall_on_the_next_end_of_an_execution(train, tmp_path):
    train(steps_per_execution=2, save_checkpoints_steps=3)
    assert evaluated_steps(tmp_path) == [4, 6]


def test_without_evaluation_there_are_no_metrics(train, tmp_path):
    _, result = train(evaluate=False)
    assert result.metrics == {}
    assert not (tmp_path / "eval_results.txt").exists()


def test_a_callback_may_stop_the_run(train):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    _, result = train([Stop()], save_checkpoints_steps=3)
    assert (result.step, result.stop_reason) == (3, "interrupted")
    _, result = train(save_checkpoints_steps=3)
    assert (result.step, result.stop_reason, result.examples_this_session) == (6, "finished", 24)


def test_early_stopping_counts_evaluations_without_a_better_one(train, monkeypatch):
    scores = iter([0.5, 0.7, 0.7, 0.6, 0.9, 0.9])
    monkeypatch.setattr(
        evaluation.TaskEvaluation,
        "evaluate",
        lambda *_: {"dev": {"accuracy": next(scores), "loss": 1.0}},
    )
    _, result = train(save_checkpoints_steps=1, early_stopping_patience=2)
    assert result.step == 4
    assert result.best["step"] == 2
    _, again = train(save_checkpoints_steps=1, early_stopping_patience=2)
    assert (again.step, again.stop_reason) == (4, result.stop_reason)
