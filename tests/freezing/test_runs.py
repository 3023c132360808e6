"""Runs of the program in which layers freeze: cached or not, killed, damaged, on two devices."""

import fcntl
import json
import os
import signal

import numpy as np
import pytest
from absl import logging

from bert_tf.classification.evaluation import Evaluator
from bert_tf.freezing.activation_store import ActivationStore
from bert_tf.freezing.entries import FileEntries
from bert_tf.training.state import RunState
from tests import needs, tiny

FLAGS = {
    "do_train": True,
    "do_eval": True,
    "task_name": "sst-2",
    "max_seq_length": 24,
    "train_batch_size": 4,
    "num_train_epochs": 3.0,
    "bucket_by_length": True,
    "learning_rate": 1e-3,
    "seed": 3,
    "eval_batch_size": 32,
    "save_checkpoints_steps": 4,
    "log_steps": 1,
}
STEPS = 12
SCHEDULE = {"freeze_policy": "schedule", "freeze_schedule": "0.2:1,0.6:2"}  # after 2 and 7 updates
# Updates 3, 6 and 9 are tested.
AUTOFREEZE = {"freeze_policy": "autofreeze", "num_intervals": 4, "percentile": 50.0}
KILLED_AT = 8  # in the middle of an interval, and of filling the cache of the second depth


class Killed(Exception):
    """Stands for the end of the process: nothing catches it."""


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A model and data on which dropout is on, and lengths differ."""
    folder = tmp_path_factory.mktemp("inputs")
    return {
        "model_dir": tiny.make_model(folder / "model", num_hidden_layers=3),
        "data_dir": tiny.make_sst2(folder / "sst2", train=16, dev=8, test=2),
        "feature_dir": folder / "features",
    }


@pytest.fixture(scope="module")
def run(inputs):
    """Runs the program in this process; returns results.json."""

    def run(folder, **changes):
        return tiny.run(**{**FLAGS, **inputs, **changes}, output_dir=folder)

    return run


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    """(policy, cache) -> folder of a run that nobody disturbed."""
    folders = {}

    def finish(policy, cache="off"):
        key = policy["freeze_policy"], cache
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp("-".join(key))
            run(folders[key], **policy, activation_cache=cache)
        return folders[key]

    return finish


@pytest.fixture
def uncached(finished):
    return finished(SCHEDULE)


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "warning", lambda message, *args: found.append(message % args))
    return found


def losses(folder):
    found = dict(tiny.read_events(folder)[0]["loss"])
    assert sorted(found) == list(range(1, len(found) + 1))
    return np.array([found[step] for step in sorted(found)])


def results(folder):
    return json.loads((folder / "results.json").read_text())


def decisions(folder):
    return [json.loads(line) for line in (folder / "freezing.jsonl").open()]


def assert_same_run(found, expected, atol=1e-5):
    """Equal losses at each update, metrics and decisions; the weights to within float rounding."""
    np.testing.assert_allclose(losses(found), losses(expected), rtol=0, atol=atol)
    for split, metrics in results(expected)["metrics"].items():
        assert results(found)["metrics"][split] == pytest.approx(metrics, abs=atol)
    mine, theirs = ([d["frozen"] for d in decisions(f)] for f in (found, expected))
    assert mine == theirs


def assert_same_bits(found, expected):
    tiny.assert_same_bits(tiny.arrays_of(found), tiny.arrays_of(expected))
    assert decisions(found) == decisions(expected)
    for key in ("metrics", "best", "global_step", "stop_reason"):
        assert results(found)[key] == results(expected)[key], key


def test_the_boundary_moves_twice_and_what_is_frozen_stays(uncached, inputs):
    assert [(d["step"], d["frozen"]) for d in decisions(uncached)] == [(2, 1), (7, 2)]
    scalars, _ = tiny.read_events(uncached)
    assert scalars["freezing/frozen_layers"] == [(2, 1), (7, 2)]
    start, end = tiny.arrays_of(inputs["model_dir"]), tiny.arrays_of(uncached)
    moved = {n for n, a in start.items() if a.tobytes() != end[n].tobytes()}
    assert any("layer_0" in n for n in moved), "it trained before it froze"
    assert results(uncached)["global_step"] == len(losses(uncached)) == STEPS


@pytest.mark.parametrize("mode", ["memory", "disk", "auto"])
def test_vector_14_a_cache_changes_no_loss_and_no_metric(mode, finished, warnings):
    folder = finished(SCHEDULE, mode)
    assert_same_run(folder, finished(SCHEDULE))
    assert not warnings
    assert list(folder.glob("activations/*")) == []


def test_a_cache_of_smaller_numbers_is_close(run, uncached, tmp_path):
    run(tmp_path, **SCHEDULE, activation_cache="memory", cache_dtype="float16")
    assert_same_run(tmp_path, uncached, atol=0.01)


def test_static_layers_are_cached_from_the_first_batch_and_kept(run, tmp_path, inputs):
    run(tmp_path / "off", freeze_layers=2)
    run(tmp_path / "on", freeze_layers=2, activation_cache="disk", keep_cache=True)
    np.testing.assert_allclose(losses(tmp_path / "on"), losses(tmp_path / "off"), rtol=0, atol=1e-5)
    files = sorted((tmp_path / "on" / "activations").glob("depth-2-*"))
    assert [path.suffix for path in files] == [".data", ".filled", ".json"]
    start, end = tiny.arrays_of(inputs["model_dir"]), tiny.arrays_of(tmp_path / "on")
    same = [n for n, a in start.items() if a.tobytes() == end[n].tobytes()]
    assert all(("embeddings" in n or "layer_0" in n or "layer_1" in n) == (n in same) for n in start
               if "key/bias" not in n)  # fmt: skip


def kill_after_saving(monkeypatch, step=KILLED_AT):
    """Lets the run end once its state of `step` is saved, whatever it prepared beyond."""
    save, lock, opened = RunState.save, FileEntries._lock, []

    def remember(self, stem):
        lock(self, stem)
        opened.append(self)

    def save_and_die(self, at):
        save(self, at)
        if at >= step:
            for entries in opened:  # the end of the process, which threads of it outlive here
                if not entries._data.closed:
                    fcntl.flock(entries._data, fcntl.LOCK_UN)
            raise Killed

    monkeypatch.setattr(FileEntries, "_lock", remember)
    monkeypatch.setattr(RunState, "save", save_and_die)


def test_autofreeze_is_the_same_with_a_cache(finished):
    assert_same_run(finished(AUTOFREEZE, "disk"), finished(AUTOFREEZE))
    steps = [(d["step"], d["frozen"]) for d in decisions(finished(AUTOFREEZE))]
    assert steps == [(3, 0), (6, 1), (9, 2)], "or it tests less"


def test_a_killed_run_goes_on_to_the_same_end(run, finished, tmp_path, monkeypatch):
    flags = {**SCHEDULE, "activation_cache": "disk"}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after_saving(patch)
        run(tmp_path, **flags)
    assert json.loads((tmp_path / "training_state.json").read_text())["step"] == KILLED_AT
    assert list(tmp_path.glob("activations/*.data"))
    run(tmp_path, **flags)
    assert_same_bits(tmp_path, finished(SCHEDULE, "disk"))
    assert list(tmp_path.glob("activations/*")) == []


def test_a_killed_run_goes_on_with_another_cache(run, uncached, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after_saving(patch)
        run(tmp_path, **SCHEDULE)
    assert not list(tmp_path.glob("activations/*.data"))
    run(tmp_path, **SCHEDULE, activation_cache="memory")
    assert_same_run(tmp_path, uncached)


def test_a_file_cut_short_in_the_middle_of_a_run(run, uncached, tmp_path, monkeypatch, warnings):
    write, calls = ActivationStore.write, []

    def write_and_cut(self, ids, hidden):
        calls.append(ids)
        stored = write(self, ids, hidden)
        if len(calls) == 2:
            (data,) = (tmp_path / "activations").glob("depth-1-*.data")
            os.truncate(data, 50)
        return stored

    monkeypatch.setattr(ActivationStore, "write", write_and_cut)
    run(tmp_path, **SCHEDULE, activation_cache="disk")
    assert_same_run(tmp_path, uncached)
    assert len(warnings) == 1 and ".data: 50 bytes" in warnings[0]
    assert list(tmp_path.glob("activations/*")) == []


def test_a_budget_smaller_than_an_epoch(run, uncached, tmp_path, warnings):
    run(tmp_path, **SCHEDULE, activation_cache="disk", cache_budget_gb=3e-6)
    assert_same_run(tmp_path, uncached)
    assert len(warnings) == 1 and "the budget is 3e-06 GB" in warnings[0]


@pytest.fixture
def falling_accuracy(monkeypatch):
    """The accuracy of the evaluations: good, then bad for good."""
    measured = iter([0.9, *[0.5] * 20])
    real = Evaluator.evaluate

    def evaluate(self, *args):
        return {**real(self, *args), "accuracy": next(measured)}

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)


@pytest.mark.parametrize("mode", ["off", "memory"])
@pytest.mark.usefixtures("falling_accuracy")
def test_the_guard_thaws_in_the_middle_of_a_run(mode, run, tmp_path):
    guard = {"freeze_guard": "unfreeze", "freeze_guard_margin": 0.1}
    found = run(tmp_path, **SCHEDULE, **guard, activation_cache=mode)
    assert found["global_step"] == STEPS
    lines = decisions(tmp_path)
    assert [(d["step"], d["frozen"]) for d in lines] == [(2, 1), (7, 2), (8, 0)]
    assert lines[-1] == {"step": 8, "guard": "unfreeze", "dev": 0.5, "frozen": 0}


def test_a_run_with_a_guard_is_killed_and_keeps_its_slots(run, tmp_path, monkeypatch):
    flags = {**SCHEDULE, "freeze_guard": "unfreeze", "freeze_guard_margin": 1.0}
    run(tmp_path / "unbroken", **flags)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after_saving(patch)
        run(tmp_path / "run", **flags)
    run(tmp_path / "run", **flags)
    assert_same_bits(tmp_path / "run", tmp_path / "unbroken")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"optimizer": "lamb"}, marks=needs.tf_models),
        {"precision": "float16", "activation_cache": "disk"},
    ],
    ids=str,
)
def test_other_optimizers_and_precisions_freeze_and_go_on(changes, run, tmp_path, monkeypatch):
    flags = {**SCHEDULE, **changes}
    run(tmp_path / "unbroken", **flags)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after_saving(patch)
        run(tmp_path / "run", **flags)
    run(tmp_path / "run", **flags)
    assert_same_bits(tmp_path / "run", tmp_path / "unbroken")


@pytest.mark.slow
def test_kill_minus_nine(inputs, tmp_path):
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    options = {
        **FLAGS,
        **inputs,
        **AUTOFREEZE,
        "model_dir": tiny.make_model(tmp_path / "model", num_hidden_layers=2, **dropout),
        "learning_rate": 3e-3,
        "seed": 0,  # the lower layer freezes at update 6
        "save_checkpoints_steps": 7,
        "activation_cache": "disk",
    }

    def job(name, **changes):
        flags = {**options, "output_dir": tmp_path / name}
        return {"options": flags, "weights": tmp_path / f"{name}.npz", **changes}

    jobs = [job("unbroken"), job("killed", kill_at=8)]
    tiny.run_jobs(jobs, tmp_path / "jobs.json", status=-signal.SIGKILL)
    tiny.run_jobs([job("killed")], tmp_path / "jobs.json")
    assert_same_bits(tmp_path / "killed", tmp_path / "unbroken")
    assert list(tmp_path.glob("*/activations/*")) == []
