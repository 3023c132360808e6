"""Evening out inputs of int8 products changes what int8 loses, and nothing else."""

import types

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from bert_tf.export import onnx_model, onnx_smoothing
from bert_tf.export.computation import model_runner
from bert_tf.export.source import random_inputs
from bert_tf.serving.session import inference_session
from tests.export import models

INT8 = types.SimpleNamespace(
    format="onnx", precision="int8", embedding_precision="float32", opset=20, keep=()
)


def smoothed(source, keep=()):
    """The float32 graph with even inputs, as a callable."""
    graph = onnx_model.graph_of(source)
    scopes = onnx_model.quantized_scopes(source, keep)
    onnx_smoothing.smooth(graph, onnx_model.kernel_nodes(graph, scopes), source)
    session = inference_session(graph.SerializeToString(), 1)
    names = [x.name for x in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize("switches", models.SWITCHES)
@pytest.mark.parametrize("ranks", [(), (3, 2, 1, 5, 4, 2)], ids=["dense", "pairs"])
def test_the_model_stays(switches, ranks):
    source = models.make(switches, ranks=ranks)
    inputs = random_inputs(source.config, (3, 11), 1)
    wanted = model_runner(source)(inputs)["logits"]
    np.testing.assert_allclose(smoothed(source)(inputs)["logits"], wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("keep", ["query", "value", "intermediate"])
def test_a_kernel_that_stays_float32_beside_others(keep):
    source = models.make("hugging_face", ranks=(3, 2, 4))
    kept = [scope for scope in source.kernel_scopes if keep in scope]
    inputs = random_inputs(source.config, (3, 11), 1)
    wanted = model_runner(source)(inputs)["logits"]
    np.testing.assert_allclose(smoothed(source, kept)(inputs)["logits"], wanted, atol=1e-4)


def test_columns_far_larger_than_others_cost_less(tmp_path, monkeypatch):
    source = models.make("hugging_face")
    for layer in range(2):
        scope = f"bert/encoder/layer_{layer}"
        source.arrays[f"{scope}/attention/output/LayerNorm/gamma"][3] = 60
        source.arrays[f"{scope}/intermediate/dense/kernel"][3] /= 60
    inputs = random_inputs(source.config, (4, 30), 1)
    wanted = model_runner(source)(inputs)["logits"]
    errors = {}
    for name, smooth in {"even": onnx_smoothing.smooth, "as it is": lambda *_: None}.items():
        monkeypatch.setattr(onnx_model, "smooth", smooth)
        (tmp_path / name).mkdir()
        onnx_model.write(source, tmp_path / name, INT8)
        found = onnx_model.runner(tmp_path / name, 1)(inputs)["logits"]
        errors[name] = np.sqrt(np.square(found - wanted).mean())
    assert errors["even"] < 0.7 * errors["as it is"]
