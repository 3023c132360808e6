"""Masks removed: what the original program made of the same checkpoint, and what it could not."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints import google, names, shapes
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.errors import UserError
from bert_tf.heads import ClassifierHead
from bert_tf.pruning import comparison, removal
from bert_tf.pruning.removal import remove_masks
from tests import tiny

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
THRESHOLDS = ["0", "0.3", "0.5"]
QUERY = "bert/encoder/layer_0/attention/self/query"


@pytest.fixture(scope="module")
def masked():
    """(config, arrays) of the golden masked model, its classifier cut to two labels."""
    model = load_model(FIXTURES / "flop")
    arrays = dict(model.arrays)
    arrays["output_weights"] = arrays["output_weights"][:2]
    arrays["output_bias"] = arrays["output_bias"][:2]
    return model.config, arrays


@pytest.fixture(scope="module")
def inputs():
    golden = np.load(FIXTURES / "google_bert" / "golden.npz")
    return {
        "input_word_ids": tf.constant(golden["input_ids"], tf.int32),
        "input_mask": tf.constant(golden["input_mask"], tf.int32),
        "input_type_ids": tf.constant(golden["segment_ids"], tf.int32),
    }


def outputs(config, arrays, inputs):
    """(pooled outputs, logits) of a model."""
    encoder = BertEncoder(config, dense_factory=kernels.factory(config, arrays))
    classifier = ClassifierHead(len(arrays["output_bias"]), config.hidden_size)
    assign_arrays(encoder.trainable_variables + classifier.trainable_variables, arrays, "model")
    pooled = encoder(inputs)["pooled_output"]
    return pooled.numpy(), classifier(pooled).numpy()


def with_gates(arrays, **log_alpha):
    """The arrays with the gates of some scopes' last names set to a constant."""
    changed = dict(arrays)
    for name in arrays:
        part = name.removesuffix("_g/log_alpha").rsplit("/", 1)[-1]
        if name.endswith("_g/log_alpha") and part in log_alpha:
            changed[name] = np.full_like(arrays[name], log_alpha[part])
    return changed


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_equal_to_the_originals_result(masked, inputs, threshold):
    folder = FIXTURES / "flop_sync" / f"pruned_thr{threshold}"
    result = remove_masks(*masked, threshold=float(threshold), merge_dense=False)
    assert removal.info_text(result.info).encode() == (folder / "info.txt").read_bytes()
    expected_config = json.loads((folder / "bert_config.json").read_text())
    assert expected_config.items() <= result.config.to_dict().items()
    expected = google.read_checkpoint(folder)
    assert set(result.arrays) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(result.arrays[name], array, rtol=0, atol=1e-6, err_msg=name)
    pooled, logits = outputs(result.config, result.arrays, inputs)
    with np.load(FIXTURES / "flop_sync" / "pruned_golden.npz") as golden:
        np.testing.assert_allclose(logits, golden[f"logits_thr{threshold}"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(pooled, golden[f"pooled_thr{threshold}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("evaluation", ["clipped", "hard"])
def test_the_compact_model_is_the_masked_one(masked, inputs, evaluation):
    config, arrays = masked
    config = config.replace(extra={**config.extra, "mask_evaluation": evaluation})
    result = remove_masks(config, arrays)
    assert result.evaluation == evaluation
    assert "mask_evaluation" not in result.config.to_dict()
    expected = outputs(config, arrays, inputs)
    found = outputs(result.config, result.arrays, inputs)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-5)
    other = remove_masks(config, arrays, evaluation="clipped" if evaluation == "hard" else "hard")
    assert abs(outputs(other.config, other.arrays, inputs)[1] - expected[1]).max() > 1e-3


def test_merging_keeps_the_outputs_and_makes_it_smaller(masked, inputs):
    apart, merged = remove_masks(*masked, merge_dense=False), remove_masks(*masked)
    np.testing.assert_allclose(
        outputs(merged.config, merged.arrays, inputs)[1],
        outputs(apart.config, apart.arrays, inputs)[1],
        rtol=0,
        atol=1e-5,
    )
    # Every kernel of this model is above break-even: what comes out is a plain dense model.
    assert not merged.config.pruned_layers_dim
    assert {f"{QUERY}/kernel", f"{QUERY}/bias"} <= set(merged.arrays)
    assert merged.info["dense_pruned_params"] == merged.info["dense_origin_params"] == 12672
    assert merged.info["dense_pruned_params"] < apart.info["dense_pruned_params"]


@pytest.mark.parametrize("merge_dense", [True, False])
@pytest.mark.parametrize(("base", "total"), [("dense", 12672), ("factorized", 26112)])
@pytest.mark.parametrize("target", [0.52, 0.9])
def test_a_target_is_met(masked, target, base, total, merge_dense):
    result = remove_masks(
        *masked, target_sparsity=target, sparsity_base=base, merge_dense=merge_dense
    )
    kernel_parameters = sum(
        array.size
        for name, array in result.arrays.items()
        if name.endswith("kernel") and name.startswith("bert/encoder")
    )
    assert kernel_parameters == result.info["dense_pruned_params"]
    assert (1 - target) * total - 64 < kernel_parameters <= (1 - target) * total
    shapes.check_shapes(result.config, result.arrays, "result")


def test_rank_0_is_a_legal_result(masked, inputs, tmp_path):
    config, arrays = masked
    arrays = with_gates(arrays, query=-9, dense=-9)
    result = remove_masks(config, arrays)
    assert result.config.pruned_layers_dim[f"{QUERY}_p/kernel"] == 0
    save_model_folder(tmp_path, result.config, result.arrays)
    again = load_model(tmp_path)
    assert again.arrays[f"{QUERY}_p/kernel"].shape == (24, 0)
    np.testing.assert_allclose(
        outputs(again.config, again.arrays, inputs)[1],
        outputs(config, arrays, inputs)[1],
        rtol=0,
        atol=1e-5,
    )
    nothing = remove_masks(*masked, threshold=1.0)
    assert nothing.info["dense_pruned_params"] == 0
    assert np.isfinite(outputs(nothing.config, nothing.arrays, inputs)[1]).all()


def test_kernels_that_were_never_factorised_stay_as_they_are(masked, inputs):
    config, arrays = masked
    arrays = dict(arrays)
    p, q = arrays.pop(f"{QUERY}_p/kernel"), arrays.pop(f"{QUERY}_q/kernel")
    arrays[f"{QUERY}/kernel"] = p @ q
    arrays[f"{QUERY}/bias"] = arrays.pop(f"{QUERY}_q/bias")
    del arrays[f"{QUERY}_g/log_alpha"]
    result = remove_masks(config, arrays, target_sparsity=0.5)
    assert result.arrays[f"{QUERY}/kernel"] is arrays[f"{QUERY}/kernel"]
    assert f"{QUERY}_p/kernel" not in result.config.pruned_layers_dim
    assert 6336 - 64 < result.info["dense_pruned_params"] <= 6336


def test_training_state_and_heads(masked):
    config, arrays = masked
    more = {"lambda_1": np.ones(1), "lambda_2": np.ones(1), "other/head": np.ones(3)}
    result = remove_masks(config, {**arrays, **more})
    assert "other/head" in result.arrays and "bert/pooler/dense/kernel" in result.arrays
    assert not {"lambda_1", "lambda_2"} & set(result.arrays)
    assert not any("log_alpha" in name for name in result.arrays)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, r"--threshold=1\.5: expected a number in \[0, 1\]"),
        ({"threshold": float("nan")}, "--threshold=nan"),
        ({"target_sparsity": -0.1}, r"--target_sparsity=-0\.1: expected a number in \[0, 1\]"),
        ({"target_sparsity": 0.05, "sparsity_base": "factorized"}, r"sparsity is 0\.\d+ already"),
        ({"evaluation": "soft"}, "'soft', expected one of clipped, hard"),
    ],
)
def test_wrong_values(masked, arguments, message):
    with pytest.raises(UserError, match=message):
        remove_masks(*masked, **arguments)


def test_models_without_masks_are_refused(masked):
    config, arrays = masked
    factorised = {n: a for n, a in arrays.items() if "log_alpha" not in n}
    with pytest.raises(UserError, match=r"is factorised but has no masks .*: train masks with"):
        remove_masks(config, factorised)
    dense = {n: a for n, a in factorised.items() if "_p/" not in n and "_q/" not in n}
    with pytest.raises(UserError, match=r"its kernels are dense .*: factorise it with factorize"):
        remove_masks(config, dense)
    half = {n: a for n, a in arrays.items() if n != f"{QUERY}_g/log_alpha"}
    with pytest.raises(UserError, match=f"expected {QUERY}_g/log_alpha"):
        remove_masks(config, half)


def test_comparison_sees_what_changed(masked):
    config, arrays = masked
    store = comparison.random_store(config)
    assert len(store) == 64 and store.lengths.max() <= config.max_position_embeddings

    def compare(first, second):
        with tiny.eagerly():
            return comparison.compare((config, first), (config, second), store)

    same = compare(arrays, arrays)
    assert (same.what, same.largest, same.mean, same.changed) == ("logits", 0, 0, 0)
    turned = {**arrays, **{n: -arrays[n] for n in ("output_weights", "output_bias")}}
    other = compare(arrays, turned)
    assert other.changed == 1 and other.largest > other.mean > 0
    assert "100.00% of the predictions change, on 64 examples" in other.text()
    bare = {n: a for n, a in arrays.items() if not n.startswith("output_")}
    pooled = compare(bare, bare)
    assert (pooled.what, pooled.changed) == ("pooled outputs", None)
    bare = {n: a for n, a in bare.items() if "pooler" not in n}  # its weights would be random
    assert compare(bare, bare).largest == 0


def test_every_kernel_has_a_row(masked):
    config, arrays = masked
    rows = remove_masks(config, arrays, threshold=0.5).rows
    assert [row.name for row in rows] == list(names.dense_scopes(config))
