"""A model as OpenVINO's files computes what it computes in TensorFlow."""

import types

import numpy as np
import pytest

from bert_tf.export import openvino_model
from bert_tf.export.computation import model_runner
from bert_tf.export.source import random_inputs
from tests.export import models
from tests.export.test_onnx_model import FLAGS, assert_same

pytest.importorskip("openvino")


def export(source, folder, **flags):
    options = types.SimpleNamespace(**{**FLAGS, "format": "openvino", **flags})
    openvino_model.write(source, folder, options)
    return openvino_model.runner(folder, threads=1)


@pytest.mark.parametrize("switches", models.SWITCHES)
def test_every_switch_of_the_configuration(tmp_path, switches):
    source = models.make(switches, ranks=(3, 0, 2))
    assert_same(source, export(source, tmp_path), atol=1e-4)


@pytest.mark.parametrize("head", models.HEADS)
def test_every_head(tmp_path, head):
    source = models.make("pre_norm", head)
    assert_same(source, export(source, tmp_path), atol=1e-4)


def test_half_precision_is_half_the_size_and_near(tmp_path):
    source = models.make()
    sizes, found = {}, {}
    inputs = random_inputs(source.config, (3, 11))
    for precision in ("float32", "float16"):
        folder = tmp_path / precision
        folder.mkdir()
        found[precision] = export(source, folder, precision=precision)(inputs)["logits"]
        sizes[precision] = (folder / "model.bin").stat().st_size
    assert sizes["float16"] < 0.6 * sizes["float32"]
    wanted = model_runner(source)(inputs)["logits"]
    np.testing.assert_allclose(found["float16"], wanted, atol=0.02)


def test_int8_weights_are_near_and_smaller(tmp_path):
    pytest.importorskip("nncf")
    source = models.make()
    inputs = random_inputs(source.config, (3, 11))
    wanted = model_runner(source)(inputs)["logits"]
    sizes = {}
    for precision in ("float32", "int8"):
        folder = tmp_path / precision
        folder.mkdir()
        found = export(source, folder, precision=precision, embedding_precision=precision)(inputs)
        sizes[precision] = (folder / "model.bin").stat().st_size
    assert sizes["int8"] < 0.6 * sizes["float32"]
    assert 0 < np.abs(found["logits"] - wanted).max() < 0.2 * np.abs(wanted).max()
