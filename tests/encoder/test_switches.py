"""Layers without biases and with gated feed-forward, from pre-training to a compact model."""

import numpy as np
import pytest
import tensorflow as tf

import factorize
import remove_mask
from bert_tf.checkpoints import huggingface, names, tf_models
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.errors import UserError
from bert_tf.freezing.summary import layer_flops
from tests import needs, tiny

IDS = np.random.default_rng(0).integers(1, 25, (4, 9)).astype(np.int32)
BARE = {"use_bias": False, "gated_ffn": True}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture
def load(tmp_path):
    """Returns the (config, arrays) of a tiny model whose kernels are large enough to matter."""

    def make(**changes):
        loaded = load_model(tiny.make_model(tmp_path / "model", **changes))
        large = {n: 3 * a if n.endswith("kernel") else a for n, a in loaded.arrays.items()}
        return loaded.config, large

    return make


def outputs(config, arrays, **how):
    encoder = BertEncoder(config, dense_factory=kernels.factory(config, arrays))
    assign_arrays(encoder.weights, arrays, "test")
    hidden = encoder.embed(tf.constant(IDS))
    return encoder.transform(hidden, **how)[0].numpy()


def test_no_biases_are_biases_of_zero(load, tmp_path):
    config, arrays = load(use_bias=False, num_hidden_layers=2)
    biases = {name for name in arrays if name.endswith("/bias")}
    assert biases == {"bert/pooler/dense/bias"}
    huggingface.write(tmp_path / "hf", config, arrays)
    with_zeros, found, _ = huggingface.read(tmp_path / "hf")
    assert with_zeros.use_bias and "bert/encoder/layer_1/output/dense/bias" in found
    np.testing.assert_allclose(outputs(config, arrays), outputs(with_zeros, found), atol=1e-6)


@needs.tf_models
def test_no_biases_are_biases_of_zero_in_tf_models(load, tmp_path):
    config, arrays = load(use_bias=False, num_hidden_layers=2)
    with_zeros = config.replace(use_bias=True)
    tf_models.write(tmp_path / "official" / "ckpt", config, arrays)
    _, found, _ = tf_models.read(tmp_path / "official" / "ckpt", with_zeros)
    np.testing.assert_allclose(outputs(config, arrays), outputs(with_zeros, found), atol=1e-6)


def test_the_gate_scales_the_activations(load):
    config, arrays = load(gated_ffn=True, hidden_act="relu", hidden_dropout_prob=0.0)
    encoder = BertEncoder(config)
    assign_arrays(encoder.weights, arrays, "test")
    layer = encoder.encoder_layers[0]
    x = np.random.default_rng(1).normal(size=(2, 5, 16)).astype(np.float32)
    norm, seen = layer.ffn_norm, {}
    layer.ffn_norm = lambda inputs: seen.setdefault("sum", norm(inputs))
    attended = {}
    attention_norm = layer.attention_norm
    layer.attention_norm = lambda inputs: attended.setdefault("h", attention_norm(inputs))
    layer(x, None)
    scope, h = "bert/encoder/layer_0", attended["h"].numpy()
    wide = np.maximum(h @ arrays[f"{scope}/intermediate/dense/kernel"], 0)
    wide *= h @ arrays[f"{scope}/intermediate/gate/kernel"]
    expected = norm(h + wide @ arrays[f"{scope}/output/dense/kernel"]).numpy()
    np.testing.assert_allclose(seen["sum"], expected, atol=1e-5)


def test_a_gate_counts_as_a_kernel(load):
    plain, gated = load()[0], load(gated_ffn=True)[0]
    assert set(names.dense_scopes(gated)) - set(names.dense_scopes(plain)) == {
        "bert/encoder/layer_0/intermediate/gate"
    }
    flops = [layer_flops(BertEncoder(c).encoder_layers[0], 10) for c in (plain, gated)]
    assert flops[1] - flops[0] == 2 * 10 * 16 * 32


def test_half_the_width_is_the_network_of_the_first_neurons(load):
    config, arrays = load(**BARE)
    cut = dict(arrays)
    for scope in names.dense_scopes(config):
        if "/self/" in scope or "/intermediate/" in scope:
            cut[f"{scope}/kernel"] = arrays[f"{scope}/kernel"].copy()
            cut[f"{scope}/kernel"][:, arrays[f"{scope}/kernel"].shape[1] // 2 :] = 0
    np.testing.assert_allclose(outputs(config, arrays, width=0.5), outputs(config, cut), atol=1e-5)


def test_other_formats_have_no_place_for_gates(load, tmp_path):
    config, arrays = load(gated_ffn=True)
    for write in (huggingface.write, tf_models.write):
        with pytest.raises(UserError, match="gated feed-forward"):
            write(tmp_path / "out", config, arrays)


@pytest.mark.parametrize("wrong", [{"use_bias": 0}, {"gated_ffn": "yes"}])
def test_switches_are_true_or_false(load, wrong):
    with pytest.raises(UserError, match="must be true or false"):
        load()[0].replace(**wrong)


def test_from_text_to_a_compact_model(tmp_path):
    """Pre-train, fine-tune, factorise, train masks, remove them, cut by data: as programs do."""
    rows, data = tiny.make_rows(tmp_path / "rows"), tiny.make_sst2(tmp_path / "data")
    tiny.pretrain(
        data_dir=rows, output_dir=tmp_path / "pretrained", num_train_steps=2, num_warmup_steps=1,
        num_hidden_layers=2, intermediate_size=None, max_position_embeddings=32,
        norm_position="pre", **BARE,
    )  # fmt: skip
    config = load_model(tmp_path / "pretrained").config
    assert config.gated_ffn and not config.use_bias
    assert config.intermediate_size == 40  # 8/3 of 16, in eights: as many parameters as 4 x 16
    common = dict(
        do_train=True, task_name="sst-2", data_dir=data, max_seq_length=16, num_train_epochs=1.0,
        do_eval=True,
    )  # fmt: skip
    tiny.run(
        model_dir=tmp_path / "pretrained", output_dir=tmp_path / "tuned", freeze_layers=1, **common
    )

    def split(name, **flags):
        values = {"model_dir": str(tmp_path / "tuned"), "output_dir": str(tmp_path / name), **flags}
        factorize.main(factorize.Options(given=frozenset(values), **values))
        return load_model(tmp_path / name)

    whole = split("factorised", method="svd")
    assert not any(n.endswith("_q/bias") for n in whole.arrays)
    tuned = load_model(tmp_path / "tuned")
    np.testing.assert_allclose(
        outputs(whole.config, whole.arrays), outputs(tuned.config, tuned.arrays), atol=1e-5
    )
    tiny.run(
        model_dir=tmp_path / "factorised", output_dir=tmp_path / "masked", target_sparsity=0.5,
        **common,
    )  # fmt: skip
    remove_mask.main(
        remove_mask.Options(
            given=frozenset(), model_dir=str(tmp_path / "masked"), target_sparsity=0.5,
            output_folder_dir=str(tmp_path / "compact"),
        )
    )  # fmt: skip
    compact = load_model(tmp_path / "compact")
    assert "bert/encoder/layer_1/intermediate/gate_p/kernel" in compact.config.pruned_layers_dim
    assert np.isfinite(outputs(compact.config, compact.arrays)).all()
    cut = split(
        "cut", method="two_sided", data_dir=str(data), calibration_examples=20, target_sparsity=0.5
    )
    assert np.isfinite(outputs(cut.config, cut.arrays)).all()
