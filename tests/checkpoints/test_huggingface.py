import json
import sys
import types

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from bert_tf.checkpoints import google, huggingface
from bert_tf.errors import UserError


@pytest.fixture
def folder(tmp_path, config, arrays):
    """The tiny model as a Hugging Face folder."""
    huggingface.write(tmp_path / "hf", config, arrays, do_lower_case=True)
    return tmp_path / "hf"


def tensors_of(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def rewrite(folder, tensors):
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


def change_config(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


def test_google_to_huggingface_to_google_is_bit_exact(tmp_path, folder, config, arrays, same):
    found_config, found, left = huggingface.read(folder)
    google.write_checkpoint(tmp_path / "back", found)
    same(google.read_checkpoint(tmp_path / "back"), arrays)
    assert left == {}
    assert found_config.replace(extra={}) == config
    assert found_config.extra["do_lower_case"] is True


def test_what_is_written_is_what_transformers_expects(tmp_path, config, arrays):
    vocab = tmp_path / "v.txt"
    vocab.write_text("[PAD]\n[CLS]\n")
    task = {"labels": ["no", "maybe", "yes"]}
    huggingface.write(tmp_path / "hf", config, arrays, vocab, task, do_lower_case=False)
    with safetensors.safe_open(tmp_path / "hf" / "model.safetensors", "numpy") as f:
        assert f.metadata() == {"format": "pt"}
        query = f.get_tensor("bert.encoder.layer.2.attention.self.query.weight")
        norm = f.get_tensor("bert.encoder.layer.2.output.LayerNorm.weight")
        head = f.get_tensor("classifier.weight")
    np.testing.assert_array_equal(
        query, arrays["bert/encoder/layer_2/attention/self/query/kernel"].T
    )
    np.testing.assert_array_equal(norm, arrays["bert/encoder/layer_2/output/LayerNorm/gamma"])
    np.testing.assert_array_equal(head, arrays["output_weights"])
    theirs = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert theirs["model_type"] == "bert"
    assert theirs["architectures"] == ["BertForSequenceClassification"]
    assert theirs["hidden_act"] == "gelu_new"
    assert theirs["id2label"] == {"0": "no", "1": "maybe", "2": "yes"}
    assert (tmp_path / "hf" / "vocab.txt").read_text() == "[PAD]\n[CLS]\n"
    tokenizer = json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())
    assert tokenizer["do_lower_case"] is False
    assert huggingface.read_config(tmp_path / "hf").extra["id2label"] == theirs["id2label"]


def test_bare_names_and_old_norm_names(folder, arrays, same):
    renamed = {"embeddings.position_ids": np.arange(20)[None]}
    for name, value in tensors_of(folder).items():
        name = name.removeprefix("bert.").replace("LayerNorm.weight", "LayerNorm.gamma")
        renamed[name.replace("LayerNorm.bias", "LayerNorm.beta")] = value
    rewrite(folder, renamed)
    _, found, left = huggingface.read(folder)
    same(found, arrays)
    assert left == {}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_becomes_float32(folder, arrays, dtype):
    dtype = tf.as_dtype(dtype).as_numpy_dtype
    rewrite(folder, {n: v.astype(dtype) for n, v in tensors_of(folder).items()})
    _, found, _ = huggingface.read(folder)
    for name, value in arrays.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value.astype(dtype).astype(np.float32))


def shard(folder, suffix=".safetensors"):
    """Splits the weights over two files with an index."""
    tensors = tensors_of(folder)
    (folder / "model.safetensors").unlink()
    weight_map = {name: f"model-{i % 2}{suffix}" for i, name in enumerate(sorted(tensors))}
    for file in set(weight_map.values()):
        part = {n: v for n, v in tensors.items() if weight_map[n] == file}
        safetensors.numpy.save_file(part, folder / file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards(folder, arrays, same):
    shard(folder)
    same(huggingface.read(folder)[1], arrays)
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(UserError, match=r"model-1.safetensors: the weight file is missing"):
        huggingface.read(folder)


def test_a_shard_index_may_not_point_elsewhere(folder):
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(UserError, match="weight_map must map tensor names to files of this folder"):
        huggingface.read(folder)


def test_pytorch_weights_without_torch(folder, monkeypatch):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pytorch_model.bin: .*pip install torch"):
        huggingface.read(folder)


def test_pytorch_weights_are_loaded_without_running_code(folder, arrays, same, monkeypatch):
    class Tensor:
        def __init__(self, value):
            self.value = value

        def float(self):
            return self

        def numpy(self):
            return self.value

    def load(path, map_location, weights_only):
        assert map_location == "cpu" and weights_only
        return {n: Tensor(v) for n, v in safetensors.numpy.load_file(path).items()}

    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load))
    same(huggingface.read(folder)[1], arrays)
    nested = types.SimpleNamespace(load=lambda *_, **__: {"model": {}, "optimizer": {}, "step": 3})
    monkeypatch.setitem(sys.modules, "torch", nested)
    with pytest.raises(UserError, match="holds model, optimizer, step that are no tensors, expect"):
        huggingface.read(folder)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load))
    (folder / "pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"pytorch_model.bin: truncated or damaged"):
        huggingface.read(folder)


def test_an_untied_masked_lm_head_is_left(folder, arrays, same):
    tensors = tensors_of(folder)
    table = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.decoder.weight"] = table.copy()
    rewrite(folder, tensors)
    assert huggingface.read(folder)[2] == {
        "cls.predictions.decoder.weight": "tied to the word embeddings"
    }
    tensors["cls.predictions.decoder.weight"] = table + 1
    rewrite(folder, tensors)
    _, found, left = huggingface.read(folder)
    same(found, {n: a for n, a in arrays.items() if not n.startswith("cls/predictions/")})
    assert set(left) == {n for n in tensors if n.startswith("cls.predictions.")}
    assert set(left.values()) == {
        "masked-LM head, not taken: its decoder differs from the word embeddings"
    }


def test_question_answering_head_and_missing_pooler(tmp_path, config, arrays, same):
    for name in [n for n in arrays if n.startswith(("bert/pooler", "output_", "cls/"))]:
        del arrays[name]
    arrays["cls/squad/output_weights"] = np.ones([2, 24], np.float32)
    arrays["cls/squad/output_bias"] = np.zeros([2], np.float32)
    huggingface.write(tmp_path / "qa", config, arrays)
    assert "qa_outputs.weight" in tensors_of(tmp_path / "qa")
    same(huggingface.read(tmp_path / "qa")[1], arrays)


def test_tensors_without_a_place_are_left_and_named(folder, arrays, same):
    rewrite(folder, {**tensors_of(folder), "crf.transitions": np.zeros([2, 2], np.float32)})
    _, found, left = huggingface.read(folder)
    same(found, arrays)
    assert list(left) == ["crf.transitions"]


@pytest.mark.parametrize(
    ("theirs", "ours"), [("gelu", "gelu_erf"), ("gelu_pytorch_tanh", "gelu"), ("relu", "relu")]
)
def test_activations(folder, theirs, ours):
    change_config(folder, hidden_act=theirs)
    assert huggingface.read_config(folder).hidden_act == ours


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "roberta"},
            "model_type must be one of 'bert', .* found 'roberta': this is",
        ),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type must be"),
        ({"is_decoder": True}, "is_decoder must be False"),
        ({"hidden_act": "silu"}, "hidden_act must be one of .* found 'silu'"),
        ({"num_attention_heads": 5}, "hidden_size 24 must be a multiple"),
        ({"vocab_size": 98}, r"word_embeddings has shape \[97, 24\], .* says \[98, 24\]"),
        ({"num_hidden_layers": 4}, "layer_3/.* is missing"),
    ],
)
def test_models_that_are_refused(folder, changes, message):
    change_config(folder, **changes)
    with pytest.raises(UserError, match=message) as e:
        huggingface.read(folder)
    assert str(folder) in str(e.value)


def test_damaged_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model.safetensors: truncated or damaged"):
        huggingface.read(folder)
    weights.unlink()
    with pytest.raises(UserError, match=r"no weights: looked for model.safetensors"):
        huggingface.read(folder)


def test_what_the_format_cannot_hold(tmp_path, factorized, config, arrays):
    with pytest.raises(UserError, match="cannot hold a factorised or compact model"):
        huggingface.write(tmp_path, *factorized)
    with pytest.raises(UserError, match="cannot hold a pre-LN model"):
        huggingface.write(tmp_path, config.replace(norm_position="pre"), arrays)


@pytest.mark.slow
def test_minilm_round_trip(minilm, tmp_path):
    config, arrays, left = huggingface.read(minilm)
    assert len(arrays) == 103 and left == {}
    assert config.hidden_act == "gelu_erf" and config.extra == {"do_lower_case": True}
    huggingface.write(tmp_path, config, arrays)
    original = tensors_of(minilm)
    for name, value in tensors_of(tmp_path).items():
        np.testing.assert_array_equal(value, original[name.removeprefix("bert.")])
