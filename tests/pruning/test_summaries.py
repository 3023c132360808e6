"""TensorBoard of run_classifier with masks: the event files of a real run, read back."""

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.pruning.factorization import factorize
from bert_tf.pruning.removal import remove_masks
from bert_tf.training import state
from tests import tiny

STEPS = 10
POINTS = [2, 4, 6, 8, 10]
FLAGS = {
    "do_train": True,
    "do_eval": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 2.0,
    "learning_rate": 1e-3,
    "save_checkpoints_steps": 6,
    "log_steps": 2,
}
MASKS = {
    "target_sparsity": 0.5,
    "alpha_learning_rate": 100.0,
    "lambda_learning_rate": 400.0,
    "learning_rate_warmup": 2,
    "regularization_scale": 1e-3,
}
TRAINING = {
    "loss", "l2_regularization_loss", "lagrangian_loss", "expected_sparsity", "target_sparsity",
    "lambda_1", "lambda_2", "model_lr", "alpha_lr", "lambda_lr", "sparsity_if_removed",
}  # fmt: skip
EVALUATION = {"eval_accuracy", "precision", "recall", "f1_score", "loss"}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, its factorisation, and their data."""
    root = tmp_path_factory.mktemp("summaries")
    source = load_model(tiny.make_model(root / "dense"))
    config, arrays, _ = factorize(source.config, source.arrays)
    save_model_folder(root / "factorized", config, arrays, source.vocab_file)
    return {"root": root, "data_dir": tiny.make_sst2(root / "sst2")}


def train(folders, name, start="factorized", **flags):
    output = folders["root"] / name
    values = {**FLAGS, **flags, "model_dir": folders["root"] / start}
    tiny.run(**values, data_dir=folders["data_dir"], output_dir=output)
    return output


@pytest.fixture(scope="module")
def trained(folders):
    return train(folders, "trained", **MASKS)


def events(folder):
    accumulator = event_accumulator.EventAccumulator(str(folder), {"tensors": 0})
    accumulator.Reload()
    return accumulator


def test_every_documented_scalar_is_there_and_finite(trained):
    for folder, documented, steps in (
        (trained, TRAINING, POINTS),
        (trained / "eval", EVALUATION, [6, 10]),
    ):
        scalars, _ = tiny.read_events(folder)
        assert documented <= set(scalars)
        for tag in documented:
            assert [step for step, _ in scalars[tag]] == steps, tag
            assert np.isfinite([value for _, value in scalars[tag]]).all(), tag


def test_sparsity_if_removed_is_that_of_the_compact_model(trained):
    masked = load_model(trained)
    rows = remove_masks(masked.config, masked.arrays).rows
    kept = sum(row.parameters for row in rows) / sum(row.dense_parameters for row in rows)
    step, value = tiny.read_events(trained)[0]["sparsity_if_removed"][-1]
    assert (step, value) == (STEPS, pytest.approx(1 - kept, abs=1e-6))
    assert value > 0.1


def test_histograms_hold_each_masks_values(trained):
    found = events(trained)
    gates = {k: v for k, v in tiny.arrays_of(trained).items() if k.endswith("_g/log_alpha")}
    assert len(gates) == 6
    for name, log_alpha in gates.items():
        points = found.Tensors(f"log_alpha/{name.removesuffix('_g/log_alpha')}")
        assert [p.step for p in points] == POINTS
        left, right, counts = tf.make_ndarray(points[-1].tensor_proto).T
        assert counts.sum() == len(log_alpha)
        np.testing.assert_allclose([left.min(), right.max()], [log_alpha.min(), log_alpha.max()])


def test_images_of_the_ranks_decode_and_change(trained):
    points = events(trained).Tensors("ranks")
    assert [p.step for p in points] == POINTS
    pictures = []
    for point in points:
        width, height, png = tf.make_ndarray(point.tensor_proto)
        pictures.append(tf.io.decode_png(png).numpy())
        assert pictures[-1].shape == (int(height), int(width), 3)
        assert np.ptp(pictures[-1]) > 100
    assert (pictures[0] != pictures[-1]).any()


def test_the_flags_of_mask_training_are_described(trained):
    found = events(trained)
    table = tf.make_ndarray(found.Tensors("Hyperparameters")[0].tensor_proto).item().decode()
    content = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    in_force = {  # by default what the model or the length of the run says
        "target_sparsity_warmup": STEPS // 3,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    }
    for name, value in {**MASKS, **in_force}.items():
        assert f"| {name} | {value} |" in table
        assert start.hparams[name].number_value == value
    for name, value in {"sparsity_base": "dense", "mask_evaluation": "clipped"}.items():
        assert f"| {name} | {value} |" in table
        assert start.hparams[name].string_value == value


def test_a_resumed_run_goes_on_where_it_was_killed(folders, trained, monkeypatch):
    class Killed(Exception):
        pass

    save = state.RunState.save

    def save_and_die(self, step):
        save(self, step)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(state.RunState, "save", save_and_die)
        with pytest.raises(Killed):
            train(folders, "resumed", **MASKS)
    resumed = train(folders, "resumed", **MASKS)
    expected = tiny.read_events(trained)[0]["sparsity_if_removed"]
    assert tiny.read_events(resumed)[0]["sparsity_if_removed"] == expected
    assert [p.step for p in events(resumed).Tensors("ranks")] == [step for step, _ in expected]


def test_the_end_is_written_whatever_the_rhythm(folders):
    flags = {"num_train_epochs": 1.0, "log_steps": 3, "steps_per_execution": 2}
    output = train(folders, "short", **MASKS, **flags)
    steps = [step for step, _ in tiny.read_events(output)[0]["sparsity_if_removed"]]
    assert steps == [4, 5]
    assert [p.step for p in events(output).Tensors("ranks")] == steps


def test_a_kernel_without_a_mask_counts_as_dense(folders):
    """Masks again on a model that has dense kernels beside the factorised ones."""
    source = load_model(folders["root"] / "factorized")
    scope = "bert/encoder/layer_0/output/dense"
    arrays = dict(source.arrays)
    factors = [arrays.pop(f"{scope}_{x}/kernel") for x in "pq"]
    arrays[f"{scope}/kernel"] = factors[0] @ factors[1]
    arrays[f"{scope}/bias"] = arrays.pop(f"{scope}_q/bias")
    ranks = {k: v.shape[1] for k, v in arrays.items() if k.endswith("_p/kernel")}
    config = source.config.replace(pruned_layers_dim=ranks)
    save_model_folder(folders["root"] / "compact", config, arrays, source.vocab_file)
    flags = {"factorized": False, "num_train_epochs": 0.4}
    output = train(folders, "again", start="compact", **MASKS, **flags)
    assert [p.step for p in events(output).Tensors("ranks")] == [2]
    assert f"log_alpha/{scope}" not in tiny.read_events(output)[1]


def test_a_run_without_masks_has_none_of_it(folders):
    output = train(folders, "plain", start="dense", num_train_epochs=0.4)
    scalars, others = tiny.read_events(output)
    assert "loss" in scalars and "sparsity_if_removed" not in scalars
    assert not any(tag == "ranks" or tag.startswith("log_alpha/") for tag in others)
