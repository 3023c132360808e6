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
        (weights by column, computing in float32; needs nncf).

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
            model = _compressed(model, graph, source, options)
        half = options.precision == "float16"
        openvino.save_model(model, pathlib.Path(folder) / FILE, compress_to_fp16=half)


def _compressed(model, graph, source, options):
    """The model with int8 weights."""
    import nncf

    scopes = onnx_model.quantized_scopes(source, options.keep)
    wanted = set(onnx_model.kernel_nodes(graph, scopes))
    others = [x.get_friendly_name() for x in model.get_ops() if x.get_type_name() == "MatMul"]
    others = [x for x in others if x.removesuffix("/WithoutBiases") not in wanted]  # of a Gemm
    return nncf.compress_weights(
        model,
        mode=nncf.CompressWeightsMode.INT8_SYM,
        ignored_scope=nncf.IgnoredScope(names=others),
    )


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
