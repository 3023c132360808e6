"""A killed run, continued by the same command, ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests import needs, tiny

FLAGS = {
    "do_train": True,
    "do_eval": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 2.0,
    "learning_rate": 1e-3,
    "eval_batch_size": 32,
    "save_checkpoints_steps": 2,
    "keep_best": True,
}
STEPS = 10


class Killed(Exception):
    """Stands for the end of the process: nothing catches it."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    return {
        "model_dir": tiny.make_model(folder / "model"),
        "data_dir": tiny.make_sst2(folder / "sst2"),
    }


@pytest.fixture(scope="module")
def unbroken(inputs, tmp_path_factory):
    """The output folder of a run of the program that nobody disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    done = tiny.run_script(**FLAGS, **inputs, output_dir=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def unbroken_here(inputs, eagerly, tmp_path_factory):
    """The same, in this process."""
    folder = tmp_path_factory.mktemp("unbroken_here")
    tiny.run(**FLAGS, **inputs, output_dir=folder)
    return folder


def state_of(folder):
    path = folder / "training_state.json"
    return json.loads(path.read_text()) if path.exists() else {"step": 0}


def kill_at(folder, step, flags):
    """Starts the program and kills it (-9) when its state shows `step`; returns the step then."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.log", "w") as log:
        process = subprocess.Popen(
            tiny.command(**flags, output_dir=folder),
            env=tiny.environment(), stdout=log, stderr=log,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 300
            while state_of(folder)["step"] < step:
                assert process.poll() is None and time.monotonic() < deadline, "ended by itself"
                time.sleep(0.002)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return state_of(folder)["step"]


def test_kill_minus_nine_and_the_same_command_again(inputs, unbroken, tmp_path):
    flags = {**FLAGS, **inputs}
    reached = kill_at(tmp_path / "run", 2, flags)
    assert 2 <= reached < STEPS, "killed too late to test anything"
    done = tiny.run_script(**flags, output_dir=tmp_path / "run")
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"going on from step {reached} of {STEPS}" in done.stderr
    tiny.assert_same_run(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_killed_again_and_again(inputs, unbroken, tmp_path):
    flags = {**FLAGS, **inputs, "save_checkpoints_steps": 2}
    for step in (2, 4, 6):
        kill_at(tmp_path / "run", step, flags)
    tiny.run_script(**flags, output_dir=tmp_path / "run")
    tiny.assert_same_run(tmp_path / "run", unbroken)


@pytest.fixture
def interrupt(monkeypatch):
    """Lets the n-th call of a function end the process, before or after the function's work."""

    def patch(owner, name, call, after=False):
        real, calls = getattr(owner, name), []

        def wrapper(*args, **kwargs):
            calls.append(name)
            if len(calls) == call and not after:
                raise Killed
            value = real(*args, **kwargs)
            if len(calls) == call:
                raise Killed
            return value

        monkeypatch.setattr(owner, name, wrapper)

    return patch


def moments():
    """{name: (module, attribute path, n-th call, after its work)} of unpleasant moments."""
    program, state = "bert_tf.classification", "bert_tf.training.state"
    return {
        "during the second evaluation": (
            f"{program}.evaluation",
            "Evaluator",
            "evaluate",
            2,
            0,
        ),
        "best saved, state not": (state, "RunState", "save", 2, 0),
        "state saved, nothing else": (state, "RunState", "save", 2, 1),
        "all trained, model not written": ("bert_tf.finetuning.program", None, "_report", 1, 0),
    }


@pytest.mark.parametrize("moment", moments())
def test_killed_at_unpleasant_moments(
    moment, inputs, unbroken_here, tmp_path, interrupt, monkeypatch
):
    import importlib

    module, owner, name, call, after = moments()[moment]
    module = importlib.import_module(module)
    interrupt(getattr(module, owner) if owner else module, name, call, bool(after))
    with pytest.raises(Killed):
        tiny.run(**FLAGS, **inputs, output_dir=tmp_path)
    monkeypatch.undo()
    tiny.run(**FLAGS, **inputs, output_dir=tmp_path)
    tiny.assert_same_run(tmp_path, unbroken_here)


def test_killed_between_the_checkpoint_and_the_state_file(
    inputs, unbroken_here, tmp_path, monkeypatch
):
    from bert_tf import files

    real = files.write_json

    def write_json(path, value):
        if os.path.basename(path) == "training_state.json" and value["step"] == 6:
            raise Killed
        real(path, value)

    monkeypatch.setattr(files, "write_json", write_json)
    with pytest.raises(Killed):
        tiny.run(**FLAGS, **inputs, output_dir=tmp_path)
    monkeypatch.undo()
    assert state_of(tmp_path)["step"] == 4
    tiny.run(**FLAGS, **inputs, output_dir=tmp_path)
    tiny.assert_same_run(tmp_path, unbroken_here)
    kept = {path.name.split(".")[0] for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {"state-10"}


@pytest.mark.parametrize(
    "changes",
    [pytest.param({"optimizer": "lamb"}, marks=needs.tf_models), {"precision": "float16"}],
    ids=str,
)
def test_other_optimizers_and_the_loss_scale_go_on_too(
    changes, inputs, eagerly, tmp_path, monkeypatch
):
    from bert_tf.training.state import RunState

    flags = {**FLAGS, **inputs, **changes, "save_checkpoints_steps": 5}
    tiny.run(**flags, output_dir=tmp_path / "unbroken")
    real = RunState.save

    def save(self, step):
        real(self, step)
        raise Killed

    monkeypatch.setattr(RunState, "save", save)
    with pytest.raises(Killed):
        tiny.run(**flags, output_dir=tmp_path / "run")
    monkeypatch.undo()
    tiny.run(**flags, output_dir=tmp_path / "run")
    tiny.assert_same_run(tmp_path / "run", tmp_path / "unbroken")
