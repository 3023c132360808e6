"""A teacher beside the other levers, in runs as run_classifier.py makes them."""

import numpy as np
import pytest

from tests import tiny


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distillation")
    common = {
        "do_train": True,
        "task_name": "sst-2",
        "data_dir": tiny.make_sst2(folder / "sst2"),
        "max_seq_length": 16,
        "train_batch_size": 8,
        "num_train_epochs": 2.0,
        "learning_rate": 1e-3,
        "save_checkpoints_steps": 2,
        "log_steps": 1,
    }
    model = tiny.make_model(folder / "model", num_hidden_layers=2)
    tiny.run(**common, model_dir=model, output_dir=folder / "teacher", seed=1)
    return {**common, "model_dir": model, "teacher_model_dir": folder / "teacher"}


def test_a_teacher_beside_cached_activations(flags, tmp_path):
    flags = {**flags, "freeze_policy": "schedule", "freeze_schedule": "0.3:1"}
    tiny.run(**flags, output_dir=tmp_path / "computed")
    tiny.run(**flags, output_dir=tmp_path / "cached", activation_cache="disk")
    flags["activation_cache"] = "disk"
    # What a kill leaves of the cache is computed in other batches, so that sums round otherwise.
    tiny.check_resume(flags, tmp_path, at=7, unbroken=tmp_path / "cached", atol=1e-5)
    found = tiny.arrays_of(tmp_path / "cached")
    for name, value in tiny.arrays_of(tmp_path / "computed").items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
