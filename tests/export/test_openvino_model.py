"""A model as OpenVINO's files computes what it computes in TensorFlow."""

import types

import numpy as np
import pytest

from bert_tf.errors import UserError
from bert_tf.export import openvino_model
from bert_tf.export.computation import model_runner
from bert_tf.export.source import random_inputs
from tests import tiny
from tests.export import models
from tests.export.test_onnx_model import FLAGS, assert_same
from tests.test_export_model import TASK, call

pytest.importorskip("openvino")
CALIBRATED = {"format": "openvino", "precision": "int8", "calibration_examples": 5}


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


def rows_of(source, count=8):
    """Rows to calibrate on."""
    return [random_inputs(source.config, (1, 1 + 2 * i), seed=i) for i in range(count)]


def quantized_inputs(folder):
    """How many activations the model in `folder` rounds to int8."""
    import openvino

    nodes = openvino.Core().read_model(folder / "model.xml").get_ops()
    return sum(node.get_type_name() == "FakeQuantize" for node in nodes)


@pytest.mark.parametrize("switches", ["pre_norm", "gated", "uneven"])
def test_calibrated_activations_are_near(tmp_path, switches):
    pytest.importorskip("nncf")
    source = models.make(switches, ranks=(3, 0, 2))
    run = export(source, tmp_path, precision="int8", calibration=rows_of(source))
    inputs = random_inputs(source.config, (3, 11))
    found, wanted = run(inputs)["logits"], model_runner(source)(inputs)["logits"]
    assert 1e-4 < np.abs(found - wanted).max() < 0.5 * np.abs(wanted).max()
    assert quantized_inputs(tmp_path) >= 4 * source.config.num_hidden_layers


def test_calibration_leaves_kept_kernels_and_all_that_is_none_exact(tmp_path):
    pytest.importorskip("nncf")
    source = models.make(head="encoder")
    keep = [scope for scope in source.kernel_scopes if "pooler" not in scope]
    rows, inputs = rows_of(source), random_inputs(source.config, (2, 9), seed=9)
    found = export(source, tmp_path, precision="int8", keep=keep, calibration=rows)(inputs)
    wanted = model_runner(source)(inputs)
    counts = inputs["attention_mask"].astype(bool)
    for name in ("sequence_output", "pooled_output"):
        of = counts if name == "sequence_output" else slice(None)
        error = np.abs(found[name] - wanted[name])[of].max()
        assert (error < 1e-4) == (name == "sequence_output"), name
    assert quantized_inputs(tmp_path) == 1


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Flags of a model and its task: 40 training rows."""
    folder = tmp_path_factory.mktemp("task")
    model = tiny.make_classifier(folder / "m", ["0", "1"], TASK, num_hidden_layers=2)
    data = tiny.make_sst2(folder / "sst2")
    return {"model_dir": model, "data_dir": data, "max_metric_loss": 100.0}


@pytest.mark.parametrize(("asked", "table"), [(5, "float32"), (10**6, "int8")])
def test_the_description_says_on_how_many_rows(task, tmp_path, asked, table):
    pytest.importorskip("nncf")
    flags = {**CALIBRATED, "calibration_examples": asked, "embedding_precision": table}
    about = call(**task, **flags, output_dir=tmp_path)["openvino"]
    rows = min(asked, len((task["data_dir"] / "train.tsv").read_text("utf-8").splitlines()) - 1)
    assert about["calibration"] == {"rows": rows, "split": "train"}
    assert f"calibrated on {rows} training rows" in (tmp_path / "README.md").read_text("utf-8")
    assert 0 < about["check"]["max_difference"] < 4  # of logits up to 8, of random weights
    assert quantized_inputs(tmp_path) > 0


def test_calibration_is_of_openvino_alone(task, tmp_path):
    pytest.importorskip("nncf")
    flags = {**CALIBRATED, "format": "onnx,openvino"}
    about = call(**task, **flags, output_dir=tmp_path)
    assert [name for name in about if "calibration" in about[name]] == ["openvino"]
    alone = call(**task, format="onnx", precision="int8", output_dir=tmp_path / "alone")["onnx"]
    model = "model.onnx"
    assert about["onnx"]["files"][model]["sha256"] == alone["files"][model]["sha256"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"precision": "float32"}, "has no effect without --precision=int8"),
        ({"format": "onnx"}, "has no effect without --format=openvino"),
        (
            {"data_dir": None, "max_metric_loss": 0.5},
            "has no effect without --dataset or --data_dir, or",
        ),
        ({"calibration_examples": 0}, "--calibration_examples=0: expected 1 or more"),
    ],
)
def test_calibration_without_effect_is_refused(task, tmp_path, flags, message):
    given = {k: v for k, v in {**task, **CALIBRATED, **flags}.items() if v is not None}
    if "data_dir" not in given:
        del given["max_metric_loss"]
    with pytest.raises(UserError, match=message):
        call(**given, output_dir=tmp_path)


def test_calibration_without_training_rows_is_refused(task, tmp_path):
    data = tiny.make_sst2(tmp_path / "sst2")
    (data / "train.tsv").unlink()
    with pytest.raises(UserError, match=r"--calibration_examples: no training rows.*train\.tsv"):
        call(**{**task, **CALIBRATED, "data_dir": data}, output_dir=tmp_path / "out")
