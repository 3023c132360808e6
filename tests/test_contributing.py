"""The lever of CONTRIBUTING.md works as it stands there: a folder and a line."""

import dataclasses
import re

import numpy as np
import pytest

import bert_tf
from bert_tf import classification
from bert_tf.classification.options import LEVERS, ClassifierOptions
from bert_tf.errors import UserError
from tests import tiny
from tests.killer import Killed, KilledBefore

FLAGS = {
    "do_train": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 1.0,
    "learning_rate": 1e-3,
    "save_checkpoints_steps": 2,
    "log_steps": 1,
}


@pytest.fixture(scope="module")
def options_class(tmp_path_factory):
    """The program's options with the lever of the page among its levers."""
    page = (tiny.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("package")
    (folder / "smoothing").mkdir()
    (folder / "smoothing" / "__init__.py").touch()
    blocks = re.findall(
        r"```python\n# bert_tf/(smoothing/\w+\.py)[^\n]*\n(.*?)```", page, re.DOTALL
    )
    assert [name for name, _ in blocks] == ["smoothing/options.py", "smoothing/lever.py"]
    for name, code in blocks:
        (folder / name).write_text(code, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bert_tf, "__path__", [*bert_tf.__path__, str(folder)])
        from bert_tf.smoothing.options import SmoothingOptions

        @dataclasses.dataclass(kw_only=True)
        class Options(SmoothingOptions, ClassifierOptions):
            LEVERS = (*LEVERS, SmoothingOptions)
            GROUPS = (*ClassifierOptions.GROUPS, *SmoothingOptions.GROUPS)

        yield Options


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    return {
        "model_dir": str(tiny.make_model(folder / "model")),
        "data_dir": str(tiny.make_sst2(folder / "sst2")),
    }


def train(options_class, inputs, folder, callbacks=(), **flags):
    values = {**FLAGS, **inputs, "output_dir": str(folder), **flags}
    with tiny.eagerly():
        return classification.run(options_class(given=frozenset(values), **values), callbacks)


def test_it_trains_reports_and_resumes(options_class, inputs, tmp_path):
    train(options_class, inputs, tmp_path / "whole", label_smoothing=0.2)
    scalars, _ = tiny.read_events(tmp_path / "whole")
    assert len(scalars["uniform_loss"]) == len(scalars["loss"])
    with pytest.raises(Killed):
        train(options_class, inputs, tmp_path / "killed", [KilledBefore(3)], label_smoothing=0.2)
    with pytest.raises(UserError, match=r"label_smoothing=0\.2, this command 0\.1"):
        train(options_class, inputs, tmp_path / "killed", label_smoothing=0.1)
    train(options_class, inputs, tmp_path / "killed", label_smoothing=0.2)
    whole, killed = (tiny.arrays_of(tmp_path / name) for name in ("whole", "killed"))
    tiny.assert_same_bits(killed, whole)
    train(options_class, inputs, tmp_path / "without")
    plain = tiny.arrays_of(tmp_path / "without")
    assert any(np.any(plain[name] != whole[name]) for name in whole)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"label_smoothing": 1.0}, r"--label_smoothing=1\.0: expected a number in \[0, 1\)"),
        (
            {"label_smoothing": 0.1, "do_train": False, "do_eval": True},
            "--label_smoothing has no effect without --do_train",
        ),
        (
            {"label_smoothing": 0.1, "teacher_model_dir": "teacher"},
            "--label_smoothing cannot go with --teacher_model_dir: give one",
        ),
    ],
)
def test_its_flag_is_held_to_the_table(options_class, inputs, tmp_path, flags, message):
    values = {"do_train": True, "task_name": "sst-2", **inputs, "output_dir": str(tmp_path)}
    values |= flags
    options = options_class(given=frozenset(values), **values)
    with pytest.raises(UserError, match=message), tiny.eagerly():
        classification.run(options)
