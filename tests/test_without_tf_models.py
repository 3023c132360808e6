"""Where tf-models-official is not installed: what needs it says so, all else works."""

import importlib
import re
import subprocess
import sys

import pytest

from bert_tf.checkpoints import convert, tf_models
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.errors import UserError
from bert_tf.training import distribution, optimization
from tests import tiny

# `official` is the library's package; None in its place makes every import of it fail.
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.modules["official"] = None
import bert_tf, flop
for package in (bert_tf, flop):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith(".tf_models_objects"):  # builds the library's models
            importlib.import_module(module.name)
"""
INSTALL = "not installed: pip install 'tf-models-official==2.20.*' 'tf-keras==2.20.*'"


@pytest.fixture
def missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "official", None)


@pytest.fixture
def model(tmp_path):
    return load_model(tiny.make_model(tmp_path / "model"))


def python(*arguments):
    """Runs Python in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_else_is_imported():
    python("-c", IMPORT_ALL)


def test_training_evaluation_and_prediction(missing, model, tmp_path):
    with tiny.eagerly():
        results = tiny.run(
            do_train=True, do_eval=True, do_predict=True, task_name="sst-2",
            data_dir=tiny.make_sst2(tmp_path / "data"), model_dir=model.path,
            output_dir=tmp_path / "run", max_seq_length=16, num_train_epochs=1.0,
            train_batch_size=8, distribution_strategy="one_device",
        )  # fmt: skip
    assert results["global_step"] == 5
    assert (tmp_path / "run" / "test_results.tsv").exists()


def test_lamb(missing, model, tmp_path):
    flags = {"data_dir": tiny.make_sst2(tmp_path / "data"), "output_dir": tmp_path / "run"}
    message = re.escape(f"--optimizer=lamb needs tf-models-official, which is {INSTALL}")
    with pytest.raises(UserError, match=message):
        tiny.run(do_train=True, task_name="sst-2", model_dir=model.path, optimizer="lamb", **flags)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match=message):
        optimization.make_optimizer("lamb", 1e-3)


def test_its_checkpoints(missing, model, tmp_path):
    with pytest.raises(UserError, match=f"--output_format=tf_models needs .*{re.escape(INSTALL)}"):
        convert.convert(model, tmp_path / "out", "tf_models")
    with pytest.raises(UserError, match=f"out/ckpt: writing a .*{re.escape(INSTALL)}"):
        tf_models.write(tmp_path / "out" / "ckpt", model.config, model.arrays)
    assert not (tmp_path / "out").exists()


def test_tpu(missing):
    message = f"--distribution_strategy=tpu needs .*{re.escape(INSTALL)}"
    with pytest.raises(UserError, match=message):
        distribution.make_strategy("tpu")


@pytest.mark.parametrize(
    ("module", "name"),
    [("finetune", "official-64-float32"), ("pretraining", "official-packed-float32")],
)
def test_the_control_of_benchmarks(missing, module, name):
    worker = importlib.import_module(f"benchmarks.{module}.worker")
    with pytest.raises(UserError, match=f"variant {name} needs .*{re.escape(INSTALL)}"):
        worker.Variant.parse(name)
    name = name.replace("official", "ours")
    assert worker.Variant.parse(name).system == "ours"
