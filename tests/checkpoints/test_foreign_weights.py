"""Weights as other programs save them: prefixes, pruned heads, TensorFlow's names, untied heads."""

import json

import h5py
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.checkpoints import google, huggingface, huggingface_names, pruned_heads
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.encoder import BertEncoder
from bert_tf.errors import UserError

DECODER = "cls.predictions.decoder.weight"
TABLE = "bert.embeddings.word_embeddings.weight"


@pytest.fixture
def folder(tmp_path, config, arrays):
    """The tiny model as a Hugging Face folder."""
    huggingface.write(tmp_path / "hf", config, arrays, do_lower_case=True)
    return tmp_path / "hf"


def tensors_of(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def rewrite(folder, tensors, **metadata):
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", metadata=metadata or None)


def change_config(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("prefix", ["module.", "model.", "a.b.module.", "bert_model.", "encoder."])
def test_a_prefix_is_taken_away_and_reported(folder, arrays, same, prefix, bare):
    tensors = tensors_of(folder)
    if bare:
        tensors = {name.removeprefix("bert."): value for name, value in tensors.items()}
    rewrite(folder, {prefix + name: value for name, value in tensors.items()})
    model = load_model(folder)
    same(model.arrays, arrays)
    assert model.left == {}
    count = len(tensors)
    said = f"{count} of {count} names began with {prefix}, which was taken away"
    assert model.remarks == [said]
    variables = BertEncoder(model.config).trainable_variables
    report = assign_arrays(variables, model.arrays, "m", left=model.left, remarks=model.remarks)
    assert f"note: {said}" in report.table()


def test_what_is_outside_the_prefix_is_left(folder, arrays, same):
    tensors = {f"model.{name}": value for name, value in tensors_of(folder).items()}
    rewrite(folder, {**tensors, "loss.weight": np.ones([3], np.float32)})
    _, found, left = huggingface.read(folder)
    same(found, arrays)
    assert list(left) == ["loss.weight"]


def test_right_names_have_no_prefix(folder, arrays, same):
    tensors = {n: v for n, v in tensors_of(folder).items() if n.startswith("bert.")}
    rewrite(folder, tensors)  # bert. is common to all of them
    model = load_model(folder)
    same(model.arrays, {n: v for n, v in arrays.items() if n.startswith("bert/")})
    assert model.remarks == []


def test_several_models_in_one_file_are_refused(folder):
    tensors = tensors_of(folder)
    rewrite(folder, {f"{p}.{n}": v for p in ("student", "teacher") for n, v in tensors.items()})
    with pytest.raises(UserError, match=r"several models, .* begin with student\., teacher\.: exp"):
        load_model(folder)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def norm(x, tensors, scope):
    x = x - x.mean(-1, keepdims=True)
    x /= np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
    return x * tensors[f"{scope}.LayerNorm.weight"] + tensors[f"{scope}.LayerNorm.bias"]


def plain_encoder(tensors, ids, head_size, layers):
    """Hidden states [batch, seq, hidden] of Hugging Face's tensors, with as many heads as are left.

    Written after the BERT paper; nothing of the package is used.
    """

    def dense(x, scope):
        return x @ tensors[f"{scope}.weight"].T + tensors[f"{scope}.bias"]

    at = "bert.embeddings"
    x = tensors[f"{at}.word_embeddings.weight"][ids]
    x = x + tensors[f"{at}.position_embeddings.weight"][: ids.shape[1]]
    x = norm(x + tensors[f"{at}.token_type_embeddings.weight"][0], tensors, at)
    for i in range(layers):
        scope = f"bert.encoder.layer.{i}"
        query, key, value = (
            dense(x, f"{scope}.attention.self.{part}") for part in ("query", "key", "value")
        )
        heads = []
        for start in range(0, query.shape[-1], head_size):
            one = slice(start, start + head_size)
            scores = query[..., one] @ key[..., one].transpose(0, 2, 1) / np.sqrt(head_size)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(shares / shares.sum(-1, keepdims=True) @ value[..., one])
        context = np.concatenate(heads, -1) if heads else query
        attended = dense(context, f"{scope}.attention.output.dense") + x
        x = norm(attended, tensors, f"{scope}.attention.output")
        wide = gelu(dense(x, f"{scope}.intermediate.dense"))
        x = norm(dense(wide, f"{scope}.output.dense") + x, tensors, f"{scope}.output")
    return x


def prune(tensors, pruned, head_size):
    """What prune_heads leaves of the tensors."""
    tensors = dict(tensors)
    for layer, heads in pruned.items():
        scope = f"bert.encoder.layer.{layer}.attention"
        width = len(tensors[f"{scope}.self.query.bias"])
        kept = ~np.isin(np.arange(width) // head_size, heads)
        for part in ("query", "key", "value"):
            for leaf in ("weight", "bias"):
                name = f"{scope}.self.{part}.{leaf}"
                tensors[name] = np.ascontiguousarray(tensors[name][kept])
        name = f"{scope}.output.dense.weight"
        tensors[name] = np.ascontiguousarray(tensors[name][:, kept])
    return tensors


@pytest.mark.parametrize("pruned", [{}, {"0": [1]}, {"0": [0, 3], "2": [2]}, {"1": [3, 1, 0, 2]}])
def test_pruned_heads_compute_what_they_did(folder, config, pruned):
    size = config.head_size
    tensors = prune(tensors_of(folder), pruned, size)
    rewrite(folder, tensors)
    change_config(folder, pruned_heads=pruned)
    model = load_model(folder)
    count = sum(map(len, pruned.values()))
    assert [f"pruned_heads: {count} " in remark for remark in model.remarks] == [True] * bool(count)
    encoder = BertEncoder(model.config)
    assign_arrays(encoder.trainable_variables, model.arrays, "m")
    ids = np.random.default_rng(0).integers(config.vocab_size, size=[2, 7])
    mine, _ = encoder.transform(encoder.embed(ids.astype(np.int32)), np.ones([2, 7], np.int32))
    expected = plain_encoder({n: v.astype(np.float64) for n, v in tensors.items()}, ids, size, 3)
    np.testing.assert_allclose(mine.numpy(), expected, atol=2e-5)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.dictionaries(st.integers(0, 2), st.sets(st.integers(0, 3)), max_size=3))
def test_restored_heads_are_zeros_and_the_others_as_they_were(config, golden_arrays, pruned):
    tensors, _ = huggingface_names.from_google(golden_arrays)
    cut = prune(tensors, {layer: list(heads) for layer, heads in pruned.items()}, config.head_size)
    narrow, _, _ = huggingface_names.to_google(cut, config, "m")
    listed = {str(layer): sorted(heads) for layer, heads in pruned.items()}
    found, _ = pruned_heads.restore(config, narrow, listed, "m")
    for name, value in golden_arrays.items():
        expected = value.copy()
        for layer, heads in pruned.items():
            gone = np.isin(np.arange(24) // config.head_size, list(heads))
            if f"layer_{layer}/attention/self" in name:
                expected[..., gone] = 0
            if f"layer_{layer}/attention/output/dense/kernel" in name:
                expected[gone] = 0
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize(
    ("pruned", "message"),
    [
        ({"0": [1]}, r"query/kernel has shape \[24, 24\], but pruned_heads of config.json leaves it"
                     r" 18 of 24 along axis 1: the weights and config.json were not saved toge"),
        ({"7": [1]}, r"pruned_heads of config.json is {'7': \[1\]}, expected numbers of heads"),
        ({"0": [1.5]}, "pruned_heads of config.json"),
        ({"0": [4]}, "expected numbers of heads below 4 by layer, of 3 layers"),
        ({"0": "x"}, "pruned_heads of config.json"),
        ([1], "pruned_heads of config.json"),
    ],
)  # fmt: skip
def test_pruned_heads_that_do_not_fit(folder, pruned, message):
    change_config(folder, pruned_heads=pruned)
    with pytest.raises(UserError, match=message):
        load_model(folder)


def tensorflow_tensors(arrays, scope):
    """{TensorFlow's name: array} as the TF classes save a model, `scope` before all of them."""
    tensors = {}
    for name, value in arrays.items():
        if name in ("output_weights", "output_bias"):
            leaf = "kernel" if name == "output_weights" else "bias"
            tensors[f"classifier/{leaf}:0"] = value.T if leaf == "kernel" else value
            continue
        name = name.replace("layer_", "layer_._")
        if name.startswith("cls/seq"):
            leaf = "kernel" if name.endswith("output_weights") else "bias"
            value = value.T if leaf == "kernel" else value
            name = f"nsp___cls/seq_relationship/{leaf}"
        elif name.startswith("cls/"):
            name = "mlm___" + name.replace("output_bias", "bias")
        elif name.endswith("_embeddings"):
            name += "/weight" if "word" in name else "/embeddings"
        tensors[f"{scope}{name}:0"] = np.ascontiguousarray(value)
    return tensors


@pytest.fixture
def all_heads(arrays):
    rng = np.random.default_rng(3)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    scope = "cls/predictions/transform"
    return {
        **arrays,
        f"{scope}/dense/kernel": normal(24, 24), f"{scope}/dense/bias": normal(24),
        f"{scope}/LayerNorm/gamma": normal(24), f"{scope}/LayerNorm/beta": normal(24),
        "cls/predictions/output_bias": normal(97),
        "cls/seq_relationship/output_weights": normal(2, 24),
        "cls/seq_relationship/output_bias": normal(2),
    }  # fmt: skip


@pytest.mark.parametrize("scope", ["", "tf_bert_for_sequence_classification/"])
def test_safetensors_of_tensorflow_classes(folder, all_heads, same, scope):
    tensors = tensorflow_tensors(all_heads, scope)
    rewrite(folder, {n: np.ascontiguousarray(v) for n, v in tensors.items()}, format="tf")
    _, found, left = huggingface.read(folder)
    same(found, all_heads)
    assert left == {}


def test_hdf5_of_tensorflow_classes(folder, all_heads, same):
    (folder / "model.safetensors").unlink()
    with h5py.File(folder / "tf_model.h5", "w") as file:
        for name, value in tensorflow_tensors(all_heads, "").items():
            file[f"{name.split('/')[0]}/tf_bert_for_pre_training_2/{name}"] = value
    model = load_model(folder)
    same(model.arrays, all_heads)
    assert model.left == {}
    with h5py.File(folder / "tf_model.h5", "a") as file:
        file["bert/other/bert/pooler/dense/bias:0"] = np.zeros(24, np.float32)
    with pytest.raises(UserError, match=r"tf_model.h5: holds two tensors for bert.pooler.dense.b"):
        load_model(folder)
    (folder / "tf_model.h5").write_bytes(b"not one")
    with pytest.raises(UserError, match=r"tf_model.h5: truncated or damaged HDF5 file"):
        load_model(folder)


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False}])
def test_a_decoder_that_is_not_the_word_embeddings(folder, all_heads, tmp_path, changes):
    tensors, _ = huggingface_names.from_google(all_heads)
    same_table = {**tensors, DECODER: tensors[TABLE].copy()}
    rewrite(folder, same_table)
    change_config(folder, **changes)
    assert set(huggingface.read(folder)[1]) == set(all_heads)  # equal: nothing is lost
    without = {n for n in all_heads if not n.startswith("cls/predictions/")}
    for broken in (
        {DECODER: tensors[TABLE] + 0.01},
        {DECODER: tensors[TABLE][:-1]},
        {DECODER: tensors[TABLE], "cls.predictions.decoder.bias": np.ones(97, np.float32)},
    ):
        rewrite(folder, {**tensors, **broken})
        _, found, left = huggingface.read(folder)
        assert set(found) == without
        assert {"cls.predictions.bias", "cls.predictions.transform.dense.weight"} < set(left)
        assert all(
            reason.startswith("masked-LM head, not taken: its dec") for reason in left.values()
        )


def test_an_untied_decoder_that_is_not_there(folder, all_heads):
    rewrite(folder, huggingface_names.from_google(all_heads)[0])
    change_config(folder, tie_word_embeddings=False)
    _, found, left = huggingface.read(folder)
    assert not any(name.startswith("cls/predictions/") for name in found)
    assert "its decoder is missing" in left["cls.predictions.bias"]


def test_the_decoders_bias_is_the_heads(folder, all_heads, same):
    tensors, _ = huggingface_names.from_google(all_heads)
    tensors["cls.predictions.decoder.bias"] = tensors.pop("cls.predictions.bias")
    rewrite(folder, tensors)
    same(huggingface.read(folder)[1], all_heads)


def test_a_missing_variable_says_what_is_there_instead(folder, arrays, tmp_path, config):
    tensors = tensors_of(folder)
    tensors["bert.encoder.layer.0.output.densee.weight"] = tensors.pop(
        "bert.encoder.layer.0.output.dense.weight"
    )
    rewrite(folder, tensors)
    message = r"output/dense/kernel .* is missing; the nearest names found: bert.encoder.*densee.we"
    with pytest.raises(UserError, match=message):
        load_model(folder)
    arrays["bert/embeddings/word_embedding"] = arrays.pop("bert/embeddings/word_embeddings")
    google.write_checkpoint(tmp_path / "g" / "bert_model.ckpt", arrays)
    config.save(tmp_path / "g" / "bert_config.json")
    with pytest.raises(
        UserError, match=r"the nearest names found: bert/embeddings/word_embedding$"
    ):
        load_model(tmp_path / "g")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bert.pooler.dense.weight": np.ones([24, 24], np.int8)}, "of type int8, expected float"),
        ({"bert.encoder.layer.0.output.dense.lora_A.weight": np.ones([2, 24], np.float32)},
         "lora_A.weight belongs to an adapter"),
        ({"bert.pooler.dense.kernel": np.ones([24, 24], np.float32)}, "is a name of Flax"),
    ],
)  # fmt: skip
def test_tensors_that_are_not_a_plain_model(folder, change, message):
    rewrite(folder, {**tensors_of(folder), **change})
    with pytest.raises(UserError, match=message):
        load_model(folder)


def test_folders_that_hold_no_weights(folder, tmp_path):
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    rewrite(folder, {})
    with pytest.raises(UserError, match=r"model.safetensors: holds no tensors"):
        load_model(folder)
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    with pytest.raises(UserError, match=r"model.safetensors: is a Git LFS pointer.*git lfs pull"):
        load_model(folder)
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
    weights.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(UserError, match=r"a type that .*float8.*expected F32, F16 or BF16"):
        load_model(folder)
    weights.write_bytes(content)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"adapter_config.json: the folder holds an adapter"):
        load_model(folder)
    (folder / "adapter_config.json").unlink()
    change_config(folder, quantization_config={"load_in_8bit": True})
    with pytest.raises(UserError, match=r"quantization_config: the weights are quantised"):
        load_model(folder)


def test_missing_shards_are_counted(folder):
    weights = folder / "model.safetensors"
    weights.rename(folder / "model-00001-of-00003.safetensors")
    names = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    index = {"weight_map": {str(i): name for i, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    message = r"00002-of-00003.safetensors: .* is missing, and in all 2 of the 3 that .*index.json"
    with pytest.raises(UserError, match=message):
        load_model(folder)


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00001"])
def test_a_pointer_in_the_place_of_a_checkpoint(google_folder, ending):
    path = google_folder / f"bert_model.ckpt.{ending}"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match=rf"{ending}: is a Git LFS pointer"):
        load_model(google_folder)


def test_a_layer_beside_the_encoder_is_not_its_own(folder, arrays, same):
    """A bare pooler or encoder of somebody's class, beside BERT under `bert.`."""
    tensors = tensors_of(folder)
    names = ("bert.pooler.dense.weight", "bert.encoder.layer.0.output.dense.weight")
    others = {name.removeprefix("bert."): tensors[name] + 1 for name in names}
    rewrite(folder, {**tensors, **others})
    _, found, left = huggingface.read(folder)
    same(found, arrays)
    assert set(left) == set(others)


def test_two_tensors_for_one_place_are_refused(folder):
    tensors = tensors_of(folder)
    theirs = "bert.embeddings.LayerNorm"
    rewrite(folder, {**tensors, f"{theirs}.gamma": tensors[f"{theirs}.weight"] + 1})
    with pytest.raises(UserError, match=rf"two tensors for {theirs}\.weight, .*: expected one: s"):
        load_model(folder)


def test_json_files_may_begin_with_a_byte_order_mark(folder, arrays, same):
    path = folder / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    same(load_model(folder).arrays, arrays)
