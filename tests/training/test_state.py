"""The resumable state of a run."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from bert_tf.errors import UserError
from bert_tf.training.lever import Lever
from bert_tf.training.optimization import make_optimizer
from bert_tf.training.schedules import make_schedule
from bert_tf.training.state import STATE_FILE, RunState


class Model(keras.Model):
    """One weight and a step counter."""

    def __init__(self):
        super().__init__()
        self.global_step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.weight = tf.Variable(np.zeros([4, 3], np.float32), name="dense/kernel")
        self.compile(make_optimizer("adamw", make_schedule("linear", 0.1, total_steps=10)))

    def create_slots(self):
        self.optimizer.build(self.trainable_variables)

    def update(self, times=1):
        for _ in range(times):
            step = float(self.global_step.numpy() + 1)
            gradient = tf.reshape(tf.range(12.0), [4, 3]) * step
            self.optimizer.apply_gradients([(gradient, self.weight)])
            self.global_step.assign_add(1)
        return self.weight.numpy()


IDENTITY = {"seed": 1, "training data": "abc", "clip_norm": 1.0}


def saved(folder, steps=2):
    model = Model()
    state = RunState(folder, model, IDENTITY)
    model.update(steps)
    state.info["best"] = {"value": 0.5}
    state.save(steps)
    return model


def test_optimizer_step_and_notes_come_back(tmp_path):
    expected = saved(tmp_path).update(3)
    model = Model()
    state = RunState(tmp_path, model, IDENTITY)
    assert state.restore() == 2
    assert state.info == {"best": {"value": 0.5}}
    assert state.seconds > 0
    np.testing.assert_array_equal(model.update(3), expected)


def test_no_state_is_step_0(tmp_path):
    assert RunState(tmp_path, Model(), IDENTITY).restore() == 0


def test_only_the_newest_state_is_kept(tmp_path):
    model = saved(tmp_path)
    RunState(tmp_path, model, IDENTITY).save(4)
    names = {path.name.split(".")[0] for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"state-4"}


def test_copies_that_a_user_keeps_beside_the_states_stay(tmp_path):
    model = saved(tmp_path)
    copy = tmp_path / "checkpoints" / "state-2-before-the-change.index"
    copy.write_bytes(b"mine")
    RunState(tmp_path, model, IDENTITY).save(4)
    assert copy.read_bytes() == b"mine"
    names = {path.name.split(".")[0] for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"state-4", "state-2-before-the-change"}


def test_workers_other_than_the_chief_write_nothing(tmp_path):
    RunState(tmp_path, Model(), IDENTITY, write=False).save(2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", IDENTITY)
def test_another_run_is_refused_by_the_name_of_what_differs(tmp_path, key):
    saved(tmp_path)
    state = RunState(tmp_path, Model(), {**IDENTITY, key: "other"})
    with pytest.raises(UserError, match=f"{STATE_FILE}: .*{key}=.*'other'.*--output_dir"):
        state.restore()


def test_a_state_of_an_older_version_lacks_a_key_and_goes_on(tmp_path):
    saved(tmp_path)
    assert RunState(tmp_path, Model(), {**IDENTITY, "labels": ["neg", "pos"]}).restore() == 2


def test_a_flag_that_came_later_was_at_its_default_before(tmp_path):
    saved(tmp_path)
    defaults = {"freeze_layers": 0, "seed": 42}
    later = {**IDENTITY, "freeze_layers": 0}
    assert RunState(tmp_path, Model(), later, defaults=defaults).restore() == 2
    state = RunState(tmp_path, Model(), {**IDENTITY, "freeze_layers": 3}, defaults=defaults)
    with pytest.raises(UserError, match=r"run in this folder has freeze_layers=0, this command 3;"):
        state.restore()


def test_a_flag_that_has_gone_since_does_not_matter(tmp_path):
    saved(tmp_path)
    assert RunState(tmp_path, Model(), {"seed": 1}).restore() == 2


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("version", [2, "next"])
def test_a_state_of_a_newer_version_is_refused(tmp_path, version):
    saved(tmp_path)
    edit(tmp_path / STATE_FILE, version=version)
    message = f"{STATE_FILE}: training state of version {version!r}, expected 1 at most: go on with"
    with pytest.raises(UserError, match=f"{message}[^\n]*$"):
        RunState(tmp_path, Model(), IDENTITY).restore()


def test_a_state_without_a_version_is_an_older_one(tmp_path):
    saved(tmp_path)
    path = tmp_path / STATE_FILE
    value = json.loads(path.read_text())
    del value["version"]
    path.write_text(json.dumps(value))
    assert RunState(tmp_path, Model(), IDENTITY).restore() == 2


def test_a_state_file_without_a_key_is_named(tmp_path):
    saved(tmp_path)
    path = tmp_path / STATE_FILE
    value = json.loads(path.read_text())
    del value["step"]
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=f"{STATE_FILE}: key 'step' is missing"):
        RunState(tmp_path, Model(), IDENTITY).restore()


def test_a_state_without_its_checkpoint_is_named(tmp_path):
    saved(tmp_path)
    (tmp_path / "checkpoints" / "state-2.index").unlink()
    with pytest.raises(UserError, match=r"^[^\n]*state-2: cannot restore[^\n]*--output_dir$"):
        RunState(tmp_path, Model(), IDENTITY).restore()


def test_a_failed_write_leaves_the_state_before(tmp_path, monkeypatch):
    model = saved(tmp_path)
    state = RunState(tmp_path, model, IDENTITY)

    def write(checkpoint, prefix):
        (tmp_path / "checkpoints" / "state-4.data-00000-of-00001").write_bytes(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.train.Checkpoint, "write", write)
    with pytest.raises(UserError, match=r"state-4: cannot write .*No space left.*intact"):
        state.save(4)
    assert not list((tmp_path / "checkpoints").glob("state-4*"))
    assert RunState(tmp_path, Model(), IDENTITY).restore() == 2


def test_data_recorded_must_be_the_same_and_stay_recorded(tmp_path):
    model = Model()
    state = RunState(tmp_path, model, IDENTITY, data={"training rows": "a"})
    model.update(1)
    state.save(1)
    later = RunState(tmp_path, Model(), IDENTITY, data={"held-out rows": "b"})  # evaluates from now
    assert later.restore() == 1
    later.save(1)
    for data in ({"training rows": "x"}, {"held-out rows": "y"}):
        with pytest.raises(UserError, match=rf"had other {next(iter(data))} \(digest [ab], now"):
            RunState(tmp_path, Model(), IDENTITY, data=data).restore()
    both = {"training rows": "a", "held-out rows": "b"}
    assert RunState(tmp_path, Model(), IDENTITY, data=both).restore() == 1


def test_a_state_of_an_earlier_version_records_no_data_and_goes_on(tmp_path):
    saved(tmp_path)
    path = tmp_path / STATE_FILE
    values = json.loads(path.read_text())
    del values["data"]
    path.write_text(json.dumps(values))
    assert RunState(tmp_path, Model(), IDENTITY, data={"training rows": "a"}).restore() == 2


class Counted(Lever):
    """A lever with a state and a tensor."""

    name = "counted"
    former_part = ("model", "counter")

    def __init__(self, value=0.0):
        super().__init__()
        self.module = tf.Module()
        self.module.variable = tf.Variable(value)
        self.notes = {}

    def state(self):
        return self.notes

    def restore(self, state):
        self.notes = dict(state)

    def trackable(self):
        return self.module


def test_the_states_of_levers_come_back(tmp_path):
    model, lever = Model(), Counted(3.0)
    lever.notes = {"decisions": [1, 2]}
    model.update(2)
    RunState(tmp_path, model, IDENTITY, levers=[lever]).save(2)
    found = Counted()
    RunState(tmp_path, Model(), IDENTITY, levers=[found]).restore()
    assert float(found.module.variable) == 3.0
    assert found.notes == {"decisions": [1, 2]}


def test_the_states_of_levers_come_back_from_an_earlier_version(tmp_path):
    model = saved(tmp_path)
    model.counter = Counted(3.0).module  # where such a version kept it
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    checkpoint.write(str(tmp_path / "checkpoints" / "state-2"))
    written = json.loads((tmp_path / STATE_FILE).read_text())
    del written["version"], written["levers"]
    written["info"]["counted"] = {"decisions": [1, 2]}
    (tmp_path / STATE_FILE).write_text(json.dumps(written))
    expected = model.update(3)

    model, found = Model(), Counted()
    RunState(tmp_path, model, IDENTITY, levers=[found]).restore()
    assert float(found.module.variable) == 3.0
    assert found.notes == {"decisions": [1, 2]}
    np.testing.assert_array_equal(model.update(3), expected)


def test_a_state_lacks_what_a_lever_has_kept(tmp_path):
    saved(tmp_path)
    with pytest.raises(UserError, match="cannot restore the training state"):
        RunState(tmp_path, Model(), IDENTITY, levers=[Counted()]).restore()
