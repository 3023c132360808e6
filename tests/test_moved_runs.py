"""A moved folder (mv, rsync, another machine) is what it was: nothing names its old place."""

import json
import shutil

import pytest

from bert_tf import classification, pretraining
from bert_tf.errors import UserError
from tests import tiny
from tests.test_output_folders import classifier
from tests.test_resume import Killed

FINE_TUNING = {
    "do_train": True, "do_eval": True, "task_name": "sst-2", "max_seq_length": 16,
    "train_batch_size": 8, "num_train_epochs": 1.0, "learning_rate": 1e-3, "keep_best": True,
    "save_checkpoints_steps": 2,
}  # fmt: skip
PRETRAINING = {
    "do_eval": True, "budget": "4steps", "keep_best": True, "save_checkpoints_steps": 2,
    "finetune_time_markers": "0.3,1.0", "validation_interval": "2steps", "max_eval_steps": 1,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


class KillAt:
    """A Keras callback that ends the process after so many updates."""

    def __new__(cls, step):
        import tf_keras as keras

        class Kill(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if batch + 1 == step:
                    raise Killed

        return Kill()


@pytest.fixture
def here(tmp_path):
    """A folder with all that the runs read and write, to be moved as one."""
    root = tmp_path / "here"
    tiny.make_model(root / "model")
    tiny.make_sst2(root / "sst2")
    tiny.make_rows(root / "pretraining", documents=40)
    return root


def fine_tuning(root, **more):
    return {
        **FINE_TUNING,
        "model_dir": root / "model",
        "data_dir": root / "sst2",
        "output_dir": root / "run",
        **more,
    }


def moved(root):
    """Moves the folder elsewhere; returns its new place, the only one there is."""
    target = root.parent / "another machine" / "elsewhere"
    target.parent.mkdir()
    return shutil.move(root, target)


def test_a_moved_fine_tuning_run_goes_on_and_serves(here):
    classifier(here / "teacher", seed=1)
    flags = {"teacher_model_dir": here / "teacher"}
    tiny.run(**fine_tuning(here, output_dir=here / "unbroken", **flags))
    with pytest.raises(Killed):
        classification.run(tiny.options(**fine_tuning(here, **flags)), [KillAt(3)])
    there = moved(here)
    flags = fine_tuning(there, teacher_model_dir=there / "teacher")
    assert tiny.run(**flags)["global_step"] == 5
    tiny.assert_same_run(there / "run", there / "unbroken")
    again = there.parent / "again"
    shutil.move(there, again)
    flags = fine_tuning(again, teacher_model_dir=again / "teacher")
    assert tiny.run(**flags)["global_step"] == 5  # a finished one, too
    tiny.assert_same_run(again / "run", again / "unbroken")
    results = json.loads((again / "run" / "results.json").read_text())
    use = {"do_eval": True, "data_dir": again / "sst2", "model_dir": again / "run"}
    assert tiny.run(**use, output_dir=again / "eval")["metrics"] == results["metrics"]


def test_another_teacher_under_the_same_name_is_noticed(here):
    classifier(here / "teacher", seed=1)
    flags = fine_tuning(here, teacher_model_dir=here / "teacher")
    with pytest.raises(Killed):
        classification.run(tiny.options(**flags), [KillAt(3)])
    shutil.rmtree(here / "teacher")
    classifier(here / "teacher", seed=2)
    with pytest.raises(UserError, match="has teacher's weights='"):
        tiny.run(**flags)


def pretrain(root, kill_at=None, **more):
    flags = {**PRETRAINING, "data_dir": root / "pretraining" / "rows", "output_dir": root / "run"}
    options = tiny.pretraining_options(**flags | more)
    return pretraining.run(options, [KillAt(kill_at)] if kill_at else [])


def test_a_moved_pre_training_run_goes_on_and_serves(here):
    pretrain(here, output_dir=here / "unbroken")
    with pytest.raises(Killed):
        pretrain(here, kill_at=3)
    there = moved(here)
    first = pretrain(there)
    assert (first["global_step"], first["stop_reason"]) == (4, "budget spent")
    for folder in ("", "best", "marker-0.3", "marker-1"):
        found, expected = there / "run" / folder, there / "unbroken" / folder
        tiny.assert_same_bits(tiny.arrays_of(found), tiny.arrays_of(expected))
    again = there.parent / "again"
    shutil.move(there, again)
    more = pretrain(again)
    assert more["global_step"] == 4 and more["evaluations"] == first["evaluations"]
    tiny.assert_same_bits(tiny.arrays_of(again / "run"), tiny.arrays_of(again / "unbroken"))
    out = again / "tuned"
    assert tiny.run(**fine_tuning(again, model_dir=again / "run" / "marker-0.3", output_dir=out))
