"""A model as an ONNX file computes what it computes in TensorFlow."""

import types

import numpy as np
import pytest

from bert_tf.errors import UserError
from bert_tf.export import fragile, onnx_model
from bert_tf.export.computation import model_runner
from bert_tf.export.source import random_inputs
from tests.export import models

pytest.importorskip("onnxruntime")
FLAGS = {
    "format": "onnx",
    "precision": "float32",
    "embedding_precision": "float32",
    "keep": (),
    "opset": 20,
    "calibration": (),
}


def export(source, folder, **flags):
    """Writes an artefact; returns what runs it."""
    onnx_model.write(source, folder, types.SimpleNamespace(**{**FLAGS, **flags}))
    return onnx_model.runner(folder, threads=1)


def assert_same(source, run, atol=1e-5):
    """Asserts that `run` computes the model's outputs for tokens, whatever is at padding."""
    expected = model_runner(source)
    for shape in ((1, 1), (3, 11), (2, 40)):
        inputs = random_inputs(source.config, shape)
        mask = inputs["attention_mask"].astype(bool)
        wanted, found = expected(inputs), run(inputs)
        assert list(found) == list(source.outputs)
        for name, value in wanted.items():
            assert found[name].dtype == np.float32
            assert found[name].shape == value.shape
            counts = mask if source.outputs[name][:2] == (None, None) else slice(None)
            np.testing.assert_allclose(found[name][counts], value[counts], atol=atol, rtol=1e-5)


@pytest.mark.parametrize("opset", [17, 20, 22])
@pytest.mark.parametrize("switches", models.SWITCHES)
def test_every_switch_of_the_configuration(tmp_path, switches, opset):
    source = models.make(switches)
    assert_same(source, export(source, tmp_path, opset=opset))


@pytest.mark.parametrize("pooler", [True, False])
@pytest.mark.parametrize("head", models.HEADS)
def test_every_head(tmp_path, head, pooler):
    if not pooler and head in ("classification", "regression"):
        pytest.skip("a classifier stands on its pooler")
    source = models.make("pre_norm", head, pooler=pooler)
    assert_same(source, export(source, tmp_path))


def test_factor_pairs_stay_pairs(tmp_path):
    import onnx

    source = models.make("hugging_face", ranks=(3, 0, 1, 5, 4, 2))
    assert_same(source, export(source, tmp_path))
    shapes = {x.name: tuple(x.dims) for x in onnx.load(tmp_path / "model.onnx").graph.initializer}
    scope = "bert/encoder/layer_0"
    assert shapes[f"{scope}/attention/self/query_q/kernel"] == (3, 16)
    assert shapes[f"{scope}/attention/self/query+2_p/kernel"] == (16, 3 + 1 + 1)  # 0 is 1 of zeros
    assert shapes[f"{scope}/output/dense_p/kernel"] == (24, 2)
    assert shapes[f"{scope}/output/dense_q/kernel"] == (2, 16)


@pytest.mark.parametrize("head", ["classification", "masked_lm"])
def test_an_int8_table_is_as_near_as_its_scales(tmp_path, head):
    source = models.make(head=head)
    names = [f"bert/embeddings/{name}_embeddings" for name in ("word", "position")]
    scales = {x: np.abs(source.arrays[x]).max(1, keepdims=True) / 127 for x in names}
    rounded = {x: np.rint(source.arrays[x] / scales[x]) * scales[x] for x in names}
    run = export(source, tmp_path, embedding_precision="int8")
    source.model.arrays.update(rounded)
    assert_same(source, run)


def test_int8_kernels_are_near_and_what_is_kept_is_exact(tmp_path):
    import onnx

    source = models.make()
    kept = "bert/encoder/layer_1/output/dense"
    inputs = random_inputs(source.config, (3, 11))
    wanted = model_runner(source)(inputs)["logits"]
    found = export(source, tmp_path, precision="int8", keep=(kept,))(inputs)["logits"]
    assert 0 < np.abs(found - wanted).max() < 0.3 * np.abs(wanted).max()
    kinds = {x.name: x.data_type for x in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert kinds[f"{kept}/kernel"] == onnx.TensorProto.FLOAT
    quantized = "bert/encoder/layer_0/output/dense/kernel_quantized"
    assert kinds[quantized] == onnx.TensorProto.INT8


@pytest.mark.parametrize("opset", [1, 16, 23, 99])
def test_an_opset_that_no_runtime_reads_is_refused(tmp_path, opset):
    with pytest.raises(UserError, match=f"--opset={opset}: expected 17 to 22"):
        export(models.make(), tmp_path, opset=opset)


def test_the_kernel_that_int8_harms_most_is_named():
    source = models.make("hugging_face", ranks=(3,))
    inputs = random_inputs(source.config, (3, 11))
    bad = "bert/encoder/layer_1/intermediate/dense"
    kernel = source.arrays[f"{bad}/kernel"]
    kernel[0] *= 1000  # beside it the others of a column round to nothing
    source.arrays["bert/encoder/layer_0/output/LayerNorm/gamma"][0] = 0
    source.arrays["bert/encoder/layer_0/output/LayerNorm/beta"][0] = 0
    source.arrays["bert/encoder/layer_1/attention/output/LayerNorm/gamma"][0] = 0
    source.arrays["bert/encoder/layer_1/attention/output/LayerNorm/beta"][0] = 0
    assert fragile.worst(source, inputs)[0] == bad
    assert bad not in fragile.worst(source, inputs, keep=(bad,))
