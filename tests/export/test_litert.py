"""A LiteRT file computes what the model computes, by operators that every LiteRT has."""

import importlib.util
import types

import numpy as np
import pytest

from bert_tf.errors import UserError
from bert_tf.export import litert
from bert_tf.export.computation import model_runner
from bert_tf.export.source import INPUTS, random_inputs
from tests.export import models

pytest.importorskip("ai_edge_litert")
FLAGS = {"precision": "float32", "embedding_precision": "float32", "keep": (), "lengths": ()}
RANKS = (3, 0, 1, 5, 4, 2)
TABLE = "bert/embeddings/word_embeddings"


@pytest.fixture
def wide(monkeypatch):
    """Makes `models` make kernels of more than 1,024 numbers: the converter leaves smaller ones."""
    monkeypatch.setitem(models.SHAPE, "hidden_size", 64)
    monkeypatch.setitem(models.SHAPE, "intermediate_size", 96)
    monkeypatch.setitem(models.SHAPE, "num_hidden_layers", 1)
    head = {"output_weights": (3, 64), "output_bias": (3,)}
    monkeypatch.setitem(models.HEADS, "classification", head)


def export(one, folder, **flags):
    """Writes an artefact; returns what runs it."""
    litert.write(one, folder, types.SimpleNamespace(**{**FLAGS, **flags}))
    assert b"Flex" not in (folder / litert.FILE).read_bytes()  # operators of TensorFlow
    return litert.runner(folder, threads=1)


def tensors(folder):
    """[(shape, dtype)] of the arrays and activations in the file."""
    from ai_edge_litert.interpreter import Interpreter

    found = Interpreter(str(folder / litert.FILE)).get_tensor_details()
    return [(tuple(x["shape"]), x["dtype"]) for x in found]


def largest_difference(one, run, shapes=((1, 1), (3, 11), (2, 40), (3, 11))):
    """Of all outputs, at what is no padding."""
    largest, model = 0.0, model_runner(one)
    for shape in shapes:
        inputs = random_inputs(one.config, shape)
        mask = inputs["attention_mask"].astype(bool)
        wanted, found = model(inputs), run(inputs)
        assert set(found) == set(one.outputs)
        for name, value in wanted.items():
            assert found[name].dtype == np.float32
            assert found[name].shape == value.shape
            counts = mask if value.ndim == 3 else slice(None)
            largest = max(largest, np.abs(found[name] - value)[counts].max())
    return largest


@pytest.mark.parametrize("switches", models.SWITCHES)
def test_every_switch_of_the_configuration(tmp_path, switches):
    one = models.make(switches)
    assert largest_difference(one, export(one, tmp_path)) < 1e-5


@pytest.mark.parametrize("head", models.HEADS)
def test_every_head_on_factor_pairs_which_stay_pairs(tmp_path, head):
    one = models.make("hugging_face", head, ranks=RANKS)
    assert largest_difference(one, export(one, tmp_path)) < 1e-5
    shapes = {shape for shape, _ in tensors(tmp_path)}
    assert {(3, 16), (16, 3), (5, 16), (16, 5)} <= shapes


def test_an_encoder_without_a_pooler(tmp_path):
    one = models.make("google", "encoder", pooler=False)
    assert largest_difference(one, export(one, tmp_path)) < 1e-5


@pytest.mark.parametrize("head", ["classification", "encoder"])
def test_fixed_lengths_are_signatures_that_inputs_are_padded_to(tmp_path, head):
    from ai_edge_litert.interpreter import Interpreter

    one = models.make("hugging_face", head)
    run = export(one, tmp_path, lengths=(8, 24))
    assert largest_difference(one, run, [(1, 1), (3, 8), (2, 17), (1, 24)]) < 1e-5
    found = Interpreter(str(tmp_path / litert.FILE)).get_signature_list()
    assert set(found) == {"length_8", "length_24"}
    assert all(set(x["inputs"]) == set(INPUTS) for x in found.values())
    with pytest.raises(UserError, match="an input of 25 tokens, expected 24 at most"):
        run(random_inputs(one.config, (1, 25)))


def test_lengths_share_their_weights(tmp_path, wide):
    one = models.make(head="classification")
    sizes = []
    for lengths in ((8,), (8, 16, 24)):
        export(one, tmp_path, lengths=lengths)
        sizes.append((tmp_path / litert.FILE).stat().st_size)
    weights = 4 * sum(x.size for name, x in one.arrays.items() if "encoder" in name)
    assert sizes[1] - sizes[0] < weights / 2


@pytest.mark.parametrize(("precision", "kind"), [("int8", np.int8), ("float16", np.float16)])
def test_reduced_kernels_are_near_and_the_table_is_exact(tmp_path, wide, precision, kind):
    one = models.make("hugging_face")
    run = export(one, tmp_path, precision=precision)
    assert 0 < largest_difference(one, run) < 0.3
    found = tensors(tmp_path)
    assert ((96, 64), kind) in found
    assert ((50, 64), np.int32) in found  # bits of float32: the converter takes them as they are
    assert not {((50, 64), np.float32), ((50, 64), np.int8)} & set(found)


@pytest.mark.parametrize("precision", ["float32", "int8", "float16"])
def test_an_int8_table_is_as_near_as_its_scales(tmp_path, wide, precision):
    one = models.make("hugging_face")
    table = one.arrays[TABLE]
    table[7] = 0  # a token that was never trained has no scale
    scales = np.maximum(np.abs(table).max(1, keepdims=True), 1e-30) / 127
    run = export(one, tmp_path, precision=precision, embedding_precision="int8")
    assert ((50, 64), np.int8) in tensors(tmp_path)
    one.model.arrays[TABLE] = np.rint(table / scales) * scales
    assert largest_difference(one, run) < (1e-5 if precision == "float32" else 0.3)


def test_int8_of_a_masked_language_model_with_its_table(tmp_path):
    one = models.make("hugging_face", "masked_lm")
    run = export(one, tmp_path, precision="int8", embedding_precision="int8", lengths=(24,))
    assert 0 < largest_difference(one, run, [(2, 11)]) < 0.3
    with pytest.raises(UserError, match="--embedding_precision=int8: litert multiplies"):
        export(one, tmp_path, embedding_precision="int8")


@pytest.mark.parametrize("lengths", [(), (40,)])
def test_kernels_that_are_kept_are_exact(tmp_path, wide, lengths):
    one = models.make("hugging_face", ranks=(20, 0, 17))
    kept = one.kernel_scopes
    run = export(one, tmp_path, precision="int8", keep=kept, lengths=lengths)
    assert largest_difference(one, run) < 1e-5
    run = export(one, tmp_path, precision="int8", keep=kept[:1], lengths=lengths)
    assert 0 < largest_difference(one, run) < 0.3
    found = tensors(tmp_path)
    assert {((64, 20), np.int32), ((20, 64), np.int32)} <= set(found)
    assert {((64, 17), np.int8), ((96, 64), np.int8)} <= set(found)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"--format=litert needs ai-edge-litert.*pip install"):
        litert.write(models.make(), tmp_path, types.SimpleNamespace(**FLAGS))
    with pytest.raises(UserError, match="--format=litert needs ai-edge-litert"):
        litert.runner(tmp_path)
