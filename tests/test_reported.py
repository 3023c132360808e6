"""What a run reports belongs to what it saved, and nothing that is not finite is saved."""

import json
import logging
import shutil

import numpy as np
import pytest
import tf_keras as keras

from bert_tf import classification, pretraining
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.classification.evaluation import Evaluator, TaskEvaluation
from bert_tf.errors import UserError
from bert_tf.pretraining.data import HeldOutEvaluation
from bert_tf.pretraining.options import PretrainingOptions
from bert_tf.pruning.factorization import factorize
from bert_tf.training.state import RunState
from tests import tiny

TRAIN = {
    "do_train": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 2.0,
    "learning_rate": 1e-3,
    "save_checkpoints_steps": 1,
}
STEPS = 10


class Killed(Exception):
    """Stands for the end of the process."""


class KillAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.global_step.numpy()) == self.step:
            raise Killed


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture
def inputs(tmp_path):
    return {
        "model_dir": tiny.make_model(tmp_path / "model"),
        "data_dir": tiny.make_sst2(tmp_path / "sst2"),
        "output_dir": tmp_path / "run",
    }


@pytest.fixture
def scores(monkeypatch):
    """Lets evaluations find this accuracy at each step; {step: accuracy}."""
    values, real = {}, Evaluator.evaluate

    def evaluate(self, store, task):
        metrics = real(self, store, task)
        return {**metrics, "accuracy": values.get(int(self.model.global_step.numpy()), 0.0)}

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    return values


def train(inputs, kill_at=None, **flags):
    options = tiny.options(**{**TRAIN, **inputs, **flags})
    return classification.run(options, [KillAt(kill_at)] if kill_at else [])


def reported(folder):
    lines = (folder / "eval_results.txt").read_text().splitlines()
    return dict(line.split(" = ") for line in lines)


def test_best_weights_are_those_of_the_best_metrics_after_keep_best_was_off(inputs, scores, caplog):
    scores |= {2: 0.7, 7: 0.85, 10: 0.5}
    with pytest.raises(Killed):
        train(inputs, kill_at=4, do_eval=True, keep_best=True)
    with pytest.raises(Killed):
        train(inputs, kill_at=9, do_eval=True)
    with caplog.at_level(logging.WARNING, logger="absl"):
        results = train(inputs, do_eval=True, keep_best=True)
    assert results["best"]["step"] == results["metrics_step"] == 2
    assert results["metrics"]["dev"]["accuracy"] == 0.7
    assert reported(inputs["output_dir"])["global_step"] == "2"
    saved = json.loads((inputs["output_dir"] / "task.json").read_text())
    assert saved["global_step"] == 2
    assert "accuracy 0.8500 at step 7" in caplog.text  # its weights are gone, and it says so


def test_weights_in_hand_are_kept_when_keep_best_comes_later(inputs, scores):
    scores |= {4: 0.9, 10: 0.5}
    with pytest.raises(Killed):
        train(inputs, kill_at=5, do_eval=True)
    results = train(inputs, do_eval=True, keep_best=True)
    assert results["best"]["step"] == results["metrics_step"] == 4


def test_a_best_model_without_a_state_is_of_a_run_that_begins_anew(inputs, scores, monkeypatch):
    def killed(self, step):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RunState, "save", killed)
        train(inputs, do_eval=True, keep_best=True)
    assert (inputs["output_dir"] / "best").exists()
    assert train(inputs)["global_step"] == STEPS
    assert not (inputs["output_dir"] / "best").exists()


def test_metrics_of_an_earlier_step_are_not_those_of_the_end(inputs, scores):
    scores |= {3: 0.5, STEPS: 0.55}
    with pytest.raises(Killed):
        train(inputs, kill_at=4, do_eval=True)
    results = train(inputs)
    assert (results["global_step"], results["metrics"]) == (STEPS, {})
    assert not (inputs["output_dir"] / "eval_results.txt").exists()
    results = train(inputs, do_eval=True)
    assert results["metrics"]["dev"]["accuracy"] == 0.55
    assert reported(inputs["output_dir"])["global_step"] == str(STEPS)


@pytest.mark.parametrize("later", [{"early_stopping_patience": 10}, {}])
def test_a_run_that_stopped_early_goes_on_with_more_patience(inputs, scores, later):
    scores |= {1: 0.9}
    results = train(inputs, do_eval=True, early_stopping_patience=2)
    assert results["global_step"] == 3
    again = train(inputs, do_eval=True, early_stopping_patience=2)
    assert (again["global_step"], again["stop_reason"]) == (3, results["stop_reason"])
    more = train(inputs, do_eval=True, **later)
    assert (more["global_step"], more["stop_reason"]) == (STEPS, "finished")


def test_predictions_of_the_model_before_are_removed_with_it(inputs, scores):
    scores |= {1: 0.9}
    folder = inputs["output_dir"]
    train(inputs, do_eval=True, early_stopping_patience=2, do_predict=True)
    train(inputs, do_eval=True, early_stopping_patience=2)
    assert (folder / "test_results.tsv").exists()  # the same weights
    with pytest.raises(Killed):
        train(inputs, kill_at=6, do_eval=True)
    assert reported(folder)["global_step"] == "3"  # as the model that is there
    train(inputs)
    assert not list(folder.glob("test_results*.tsv"))


def test_other_dev_data_are_another_run(inputs, tmp_path):
    with pytest.raises(Killed):
        train(inputs, kill_at=4, do_eval=True)
    data = tiny.make_sst2(tmp_path / "other", dev=21)
    with pytest.raises(UserError, match=r"training_state\.json: .*had other dev examples"):
        train({**inputs, "data_dir": data}, do_eval=True)
    train({**inputs, "data_dir": data})  # nothing is measured on them


@pytest.mark.parametrize("before", [True, False])
def test_a_run_neither_gains_nor_loses_a_teacher(inputs, tmp_path, before):
    teacher = {"teacher_model_dir": tmp_path / "teacher"}
    train({**inputs, "output_dir": teacher["teacher_model_dir"]})
    first, second = (teacher, {}) if before else ({}, teacher)
    with pytest.raises(Killed):
        train(inputs, kill_at=4, **first)
    with pytest.raises(UserError, match=r"training_state\.json: .* teacher's weights="):
        train(inputs, **second)
    assert train(inputs, **first)["global_step"] == STEPS


@pytest.mark.parametrize("before", [True, False])
def test_a_run_neither_gains_nor_loses_its_masks(inputs, tmp_path, before):
    model = load_model(inputs["model_dir"])
    config, arrays, _ = factorize(model.config, model.arrays)
    save_model_folder(tmp_path / "factors", config, arrays, model.vocab_file)
    inputs = {**inputs, "model_dir": tmp_path / "factors"}
    with pytest.raises(Killed):
        train(inputs, kill_at=4, factorized=not before)
    with pytest.raises(UserError, match=rf"has mask training={before}, this command {not before}"):
        train(inputs, factorized=before)


def test_weights_that_are_not_finite_do_not_replace_the_state(inputs, monkeypatch):
    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.global_step.numpy()) == 4:
                kernel = self.model.encoder.encoder_layers[0].kernels[0].kernel
                kernel.assign(kernel * np.nan)

    options = tiny.options(**TRAIN, **inputs)
    with pytest.raises(UserError, match=r"step 4: variable bert/\S+ is not finite.*step 3 is int"):
        classification.run(options, [Break()])
    assert not (inputs["output_dir"] / "bert_model.ckpt.index").exists()
    assert train(inputs)["global_step"] == STEPS


@pytest.mark.parametrize("work", ["do_eval", "do_predict"])
def test_outputs_that_are_not_finite_end_in_one_line(inputs, work):
    from bert_tf.checkpoints import google

    train(inputs)
    folder = inputs["output_dir"]
    arrays = tiny.arrays_of(folder)
    arrays["output_bias"] = np.array([3e38, 3e38], np.float32)
    arrays["output_weights"] = np.full_like(arrays["output_weights"], 3e38)
    google.write_checkpoint(folder / "bert_model.ckpt", arrays)
    with pytest.raises(UserError, match=r"outputs for \d+ of [12]0 examples are not finite"):
        tiny.run(**{work: True}, **inputs)
    assert not (folder / "eval_results.txt").exists()


@pytest.fixture
def pretraining_flags(tmp_path):
    return {
        "data_dir": tiny.make_rows(tmp_path / "data"),
        "output_dir": tmp_path / "run",
        "save_checkpoints_steps": 2,
        "validation_interval": "2steps",
        "do_eval": True,
    }


def test_a_held_out_loss_that_is_no_number_leaves_everything_as_it_was(
    pretraining_flags, monkeypatch
):
    folder = pretraining_flags["output_dir"]
    real, calls = HeldOutEvaluation.evaluate, []

    def evaluate(self):
        calls.append(1)
        metrics = real(self)
        return (
            metrics if len(calls) < 3 else {"validation": {**metrics["validation"], "loss": np.nan}}
        )

    monkeypatch.setattr(HeldOutEvaluation, "evaluate", evaluate)
    with pytest.raises(UserError, match="step 6: diverged: the held-out loss is nan"):
        tiny.pretrain(**pretraining_flags, keep_best=True, budget="10steps")
    state = json.loads((folder / "training_state.json").read_text())
    assert state["step"] == 4
    assert "global_step = 4" in (folder / "eval_results.txt").read_text()
    assert json.loads((folder / "best" / "evaluation.json").read_text())["step"] <= 4
    monkeypatch.undo()
    assert tiny.pretrain(**pretraining_flags, keep_best=True, budget="10steps")["global_step"] == 10


def test_a_finished_model_and_its_results_survive_a_longer_budget_that_diverges(
    pretraining_flags, monkeypatch
):
    folder = pretraining_flags["output_dir"]
    done = tiny.pretrain(**pretraining_flags, budget="4steps")
    monkeypatch.setattr(HeldOutEvaluation, "evaluate", lambda _: {"validation": {"loss": np.inf}})
    with pytest.raises(UserError, match="diverged"):
        tiny.pretrain(**pretraining_flags, budget="8steps")
    results = json.loads((folder / "results.json").read_text())
    assert (results["global_step"], results["stop_reason"]) == (4, "budget spent")
    assert results["metrics"] == done["metrics"]
    assert "global_step = 4" in (folder / "eval_results.txt").read_text()


def test_held_out_metrics_that_are_not_finite_are_not_written(pretraining_flags, monkeypatch):
    tiny.pretrain(**pretraining_flags, budget="4steps")
    monkeypatch.setattr(HeldOutEvaluation, "evaluate", lambda _: {"validation": {"loss": np.nan}})
    values = {name: str(pretraining_flags[name]) for name in ("data_dir", "output_dir")}
    options = PretrainingOptions(do_eval=True, given=frozenset({"do_eval", *values}), **values)
    with pytest.raises(UserError, match="loss on validation is nan"):
        pretraining.run(options)
    assert "nan" not in (pretraining_flags["output_dir"] / "eval_results.txt").read_text()


def test_a_classifier_is_never_best_by_a_loss_that_is_no_number(inputs, monkeypatch):
    monkeypatch.setattr(
        TaskEvaluation, "evaluate", lambda _: {"dev": {"accuracy": 0.5, "loss": np.nan}}
    )
    with pytest.raises(UserError, match="step 1: loss on dev is nan"):
        train(inputs, do_eval=True, keep_best=True)
    assert not (inputs["output_dir"] / "best").exists()


def eval_only(flags, **more):
    values = {name: str(flags[name]) for name in ("data_dir", "output_dir")} | more
    options = PretrainingOptions(do_eval=True, given=frozenset({"do_eval", *values}), **values)
    return pretraining.run(options)


def test_held_out_metrics_carry_the_step_of_the_best_model(pretraining_flags, monkeypatch):
    real, calls = HeldOutEvaluation.evaluate, []

    def evaluate(self):
        metrics = real(self)
        calls.append(1)
        metrics["validation"]["loss"] = abs(len(calls) - 2) + 1.0  # the second is the best
        return metrics

    with monkeypatch.context() as patch:
        patch.setattr(HeldOutEvaluation, "evaluate", evaluate)
        results = tiny.pretrain(**pretraining_flags, keep_best=True, budget="8steps")
    assert results["metrics_step"] == 4
    eval_only(pretraining_flags)
    assert reported(pretraining_flags["output_dir"])["global_step"] == "4"


def test_a_finished_model_that_was_lost_is_written_again(pretraining_flags):
    folder = pretraining_flags["output_dir"]
    flags = {**pretraining_flags, "budget": "4steps"}
    tiny.pretrain(**flags)
    before = tiny.arrays_of(folder)
    for path in folder.glob("bert_model.ckpt*"):
        path.unlink()
    tiny.pretrain(**flags)
    tiny.assert_same_bits(tiny.arrays_of(folder), before)


def test_a_spent_budget_has_no_results_of_other_text(pretraining_flags):
    flags = {**pretraining_flags, "budget": "4steps"}
    results = tiny.pretrain(**flags)
    assert tiny.pretrain(**flags) == results
    shutil.rmtree(flags["data_dir"].parent)
    tiny.make_rows(flags["data_dir"].parent, documents=100)
    with pytest.raises(UserError, match=r"examples|training data"):
        tiny.pretrain(**flags)


def test_a_marker_belongs_to_the_run_of_the_state_beside_it(pretraining_flags):
    flags = {**pretraining_flags, "budget": "8steps", "finetune_time_markers": "0.25"}
    flags |= {"save_checkpoints_steps": 6, "validation_interval": "8steps"}
    with pytest.raises(Killed):
        pretraining.run(tiny.pretraining_options(**flags), [KillAt(4)])
    assert (pretraining_flags["output_dir"] / "marker-0.25").exists()
    with pytest.raises(UserError, match=r"has learning_rate=0.01, this command 1e-05"):
        tiny.pretrain(**{**flags, "learning_rate": 1e-5})
    assert tiny.pretrain(**flags)["markers"][0]["marker"] == 0.25


def test_a_record_of_the_best_model_without_its_metrics_is_named(inputs):
    train(inputs, do_eval=True, keep_best=True, num_train_epochs=1.0)
    path = inputs["output_dir"] / "best" / "evaluation.json"
    path.write_text(json.dumps({"step": 3, "metric": "accuracy", "value": 1.0}))
    with pytest.raises(UserError, match=r"best/evaluation\.json: metrics is missing: remove"):
        train(inputs, do_eval=True, keep_best=True, num_train_epochs=1.0)


def test_predictions_of_two_models_do_not_stand_together(inputs, tmp_path, monkeypatch):
    from bert_tf import files

    flags = {**inputs, "task_name": "mnli", "data_dir": tiny.make_mnli(tmp_path / "mnli")}
    train(flags, do_predict=True, train_batch_size=6, num_train_epochs=1.0)
    folder, real = inputs["output_dir"], files.write_text

    def write_text(path, text):
        if path.name == "test_results_labels.tsv":
            raise Killed
        real(path, text)

    monkeypatch.setattr(files, "write_text", write_text)
    with pytest.raises(Killed):
        tiny.run(do_predict=True, data_dir=flags["data_dir"], model_dir=folder, output_dir=folder)
    assert [path.name for path in folder.glob("test_results*")] == ["test_results.tsv"]
