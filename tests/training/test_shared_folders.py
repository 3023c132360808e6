"""Several runs at once: one writes to an output folder, the others are told."""

import pytest
import tf_keras as keras

from bert_tf import classification, locks, pretraining
from bert_tf.errors import UserError
from bert_tf.pretraining.options import PretrainingOptions
from tests import tiny

REFUSED = r"^--output_dir=\S+: another run is writing there: wait for its end, or give another"


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    root = tmp_path_factory.mktemp("shared")
    return {
        "task_name": "sst-2",
        "model_dir": tiny.make_model(root / "model"),
        "data_dir": tiny.make_sst2(root / "sst2"),
        "max_seq_length": 16,
    }


TRAIN = {"do_train": True, "train_batch_size": 20, "num_train_epochs": 1.0}


class Meanwhile(keras.callbacks.Callback):
    """Calls a function after the first update."""

    def __init__(self, function):
        super().__init__()
        self._function = function

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self._function()


@pytest.mark.parametrize("second", [TRAIN, {"do_eval": True}, {"do_predict": True}])
def test_a_second_run_in_the_folder_of_one_at_work_is_refused(flags, tmp_path, second):
    def start_another():
        with pytest.raises(UserError, match=REFUSED):
            tiny.run(**flags, **second, output_dir=tmp_path / "run")

    first = tiny.options(**flags, **TRAIN, output_dir=tmp_path / "run")
    assert classification.run(first, [Meanwhile(start_another)])["global_step"] == 2
    assert not (tmp_path / "run" / ".lock").exists()
    tiny.run(**flags, **second, output_dir=tmp_path / "run")


def test_a_failed_run_does_not_keep_the_folder(flags, tmp_path):
    for _ in range(2):
        with pytest.raises(UserError, match="--max_seq_length=99"):
            tiny.run(**{**flags, "max_seq_length": 99}, do_train=True, output_dir=tmp_path)


@pytest.mark.parametrize(
    "work", [{"do_train": True, "budget": "2steps"}, {"do_train": False, "do_eval": True}]
)
def test_pre_training_is_alone_in_its_folder(tmp_path, work):
    (tmp_path / "run").mkdir()
    options = PretrainingOptions(data_dir="rows", output_dir=str(tmp_path / "run"), **work)
    with locks.hold(tmp_path / "run" / ".lock"), pytest.raises(UserError, match=REFUSED):
        pretraining.run(options)
    assert [path.name for path in (tmp_path / "run").iterdir()] == []
