"""OpenVINO: its own two files, made from the ONNX graph."""

import pathlib
import tempfile

import numpy as np

from bert_tf.export import onnx_model
from bert_tf.packages import require

FILE = "model.xml"  # beside it model.bin


def write(source, folder, options):
    """Writes `model.xml` and `model.bin`.

    Args:
      source: `ExportSource`.
      folder: where to (`pathlib.Path`).
      options: as those of `onnx_model.write`; `precision` is float32, float16 (stored so) or int8
        (weights by column; needs nncf). `calibration` holds rows {input: int64 [1, length]}: int8
        kernels then have int8 inputs, too, in the ranges found on these rows; empty, they have not.

    Raises:
      UserError: openvino, or for int8 nncf, is not installed, or the opset is not one it reads.
    """
    require("openvino", "--format=openvino")
    if options.precision == "int8":
        require("nncf", "--format=openvino --precision=int8")
    import openvino

    graph = onnx_model.graph_of(source, options.opset, options.embedding_precision)
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / onnx_model.FILE
        path.write_bytes(graph.SerializeToString())
        model = openvino.convert_model(path)
        if options.precision == "int8":
            scopes = onnx_model.quantized_scopes(source, options.keep)
            products = set(onnx_model.kernel_nodes(graph, scopes))
            rows = options.calibration
            model = _calibrated(model, products, rows) if rows else _compressed(model, products)
        half = options.precision == "float16"
        openvino.save_model(model, pathlib.Path(folder) / FILE, compress_to_fp16=half)


def _compressed(model, products):
    """The model with int8 weights in these products of the ONNX graph."""
    import nncf

    # The tables' precision is a flag of its own.
    weighted = ("MatMul", "Gather")
    others = [x for x in _others(model, products) if x.get_type_name() in weighted]
    with onnx_model.without_advice():
        return nncf.compress_weights(
            model,
            mode=nncf.CompressWeightsMode.INT8_SYM,
            ignored_scope=nncf.IgnoredScope(names=[x.get_friendly_name() for x in others]),
        )


def _calibrated(model, products, rows):
    """The model with int8 weights and inputs in these products of the ONNX graph.

    Weights have 7 bits, for the reason that `onnx_model.quantize` gives.
    """
    import nncf

    others = _others(model, products)
    settings = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
    with onnx_model.without_advice():
        return nncf.quantize(
            model,
            nncf.Dataset(rows),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(rows),
            ignored_scope=nncf.IgnoredScope(names=[x.get_friendly_name() for x in others]),
            advanced_parameters=settings,
        )


def _others(model, products):
    """The operations (list) of an OpenVINO model but these products, constants and ends."""

    def is_other(node):
        name = node.get_friendly_name().removesuffix("/WithoutBiases")  # of a Gemm
        return node.get_type_name() != "MatMul" or name not in products

    ends = ("Constant", "Parameter", "Result")
    return [x for x in model.get_ops() if is_other(x) and x.get_type_name() not in ends]


def runner(folder, threads=None):
    """Returns a callable that runs what `write` has written, see `onnx_model.runner`."""
    require("openvino", "--format=openvino")
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    settings["INFERENCE_PRECISION_HINT"] = "f32"  # it would compute in bfloat16 where it can
    model = openvino.Core().compile_model(pathlib.Path(folder) / FILE, "CPU", settings)
    names = [next(iter(output.names)) for output in model.outputs]

    def run(inputs):
        found = model({name: np.asarray(x, np.int64) for name, x in inputs.items()})
        return {name: found[i].copy() for i, name in enumerate(names)}

    return run
