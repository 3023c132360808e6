"""Masks above a frozen prefix: its gates stay, it is counted, and it may be read from a cache."""

import json

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.pruning import factorization
from tests import tiny

FLAGS = {
    "do_train": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 2.0,
    "learning_rate": 1e-3,
    "save_checkpoints_steps": 2,
    "target_sparsity": 0.3,
    "alpha_learning_rate": 100.0,
    "learning_rate_warmup": 5,
    "target_sparsity_warmup": 2,
    "freeze_layers": 1,
    "log_steps": 1,
}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly(), tiny.without_pictures():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("frozen_masks")
    dense = load_model(tiny.make_model(root / "dense", num_hidden_layers=2))
    config, arrays, _ = factorization.factorize(dense.config, dense.arrays)
    save_model_folder(root / "factorized", config, arrays, dense.vocab_file, dense.task)
    flags = {**FLAGS, "model_dir": root / "factorized", "data_dir": tiny.make_sst2(root / "sst2")}
    tiny.run(**flags, output_dir=root / "whole")
    return root, flags


def test_gates_of_frozen_layers_stay_and_count(folders):
    root, _ = folders
    arrays = tiny.arrays_of(root / "whole")
    gates = {name: value for name, value in arrays.items() if name.endswith("log_alpha")}
    frozen = [name for name in gates if "/layer_0/" in name]
    assert len(frozen) == len(gates) / 2 > 0
    for name, value in gates.items():
        assert np.all(value == 5.0) == (name in frozen), name
    # Closed gates of one layer of two are all that there is to remove.
    scalars, _ = tiny.read_events(root / "whole")
    assert scalars["target_sparsity"][-1][1] == pytest.approx(0.3)
    sparsity = [value for _, value in scalars["expected_sparsity"]]
    assert sparsity[-1] > sparsity[0]
    results = json.loads((root / "whole" / "results.json").read_text())
    assert results["freezing"]["frozen_layers"] == 1


def test_a_killed_run_ends_as_the_unbroken_one(folders, tmp_path):
    root, flags = folders
    tiny.check_resume(flags, tmp_path, at=7, unbroken=root / "whole")


def test_what_is_frozen_may_come_from_a_cache(folders, tmp_path):
    root, flags = folders
    tiny.run(**flags, output_dir=tmp_path, activation_cache="memory")
    found = tiny.arrays_of(tmp_path)
    for name, value in tiny.arrays_of(root / "whole").items():
        np.testing.assert_allclose(found[name], value, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze_layers": 2}, "--freeze_layers leaves no layer whose masks could be trained"),
        (
            {"freeze_layers": 0, "freeze_policy": "autofreeze"},
            "--freeze_policy=autofreeze cannot go with mask training",
        ),
    ],
)
def test_what_leaves_nothing_to_the_masks_is_refused(folders, tmp_path, changes, message):
    _, flags = folders
    with pytest.raises(UserError, match=message):
        tiny.run(**{**flags, **changes}, output_dir=tmp_path)
