"""ONNX: one file that ONNX Runtime runs, and OpenVINO reads."""

import contextlib
import logging
import pathlib

import numpy as np

from bert_tf.export.onnx_bert import DEFAULT_OPSET, BertGraph
from bert_tf.export.onnx_smoothing import smooth
from bert_tf.packages import require
from bert_tf.serving.session import inference_session

FILE = "model.onnx"


def write(source, folder, options):
    """Writes `model.onnx`.

    Args:
      source: `ExportSource`.
      folder: where to (`pathlib.Path`).
      options: `opset`, `precision` (float32 or int8: weights int8 by column, activations at run
        time), `embedding_precision` (float32 or int8, each row with a scale of its own), `keep`
        (scopes that stay float32).

    Raises:
      UserError: onnx is not installed, or the opset is not one that the runtimes read.
    """
    require("onnx", f"--format={options.format}")
    path = pathlib.Path(folder) / FILE
    model = graph_of(source, options.opset, options.embedding_precision)
    if options.precision == "int8":
        require("onnxruntime", "--precision=int8")
        products = kernel_nodes(model, quantized_scopes(source, options.keep))
        smooth(model, products, source)
        path.write_bytes(model.SerializeToString())
        quantize(path, products)
    else:
        path.write_bytes(model.SerializeToString())


def graph_of(source, opset=DEFAULT_OPSET, embedding_precision="float32"):
    """Returns the `onnx.ModelProto` of an `ExportSource`."""
    graph = BertGraph(source.config, source.arrays, opset, embedding_precision)
    classifies = source.kind in ("classification", "regression")
    hidden = graph.encoder(first_token_only=classifies)
    if classifies:
        graph.classifier(graph.pooled(hidden))
    elif source.kind == "masked_lm":
        graph.masked_lm(hidden)
    else:
        graph.sequence(hidden)
        if source.has_pooler:
            graph.pooled(graph.first(hidden))
    names = {0: "batch", 1: "length"}
    return graph.graph.model(
        {
            name: [names[i] if size is None else size for i, size in enumerate(shape)]
            for name, shape in source.outputs.items()
        }
    )


def quantized_scopes(source, keep):
    """Returns the scopes (list) that int8 is for: layers and pooler, but those in `keep`."""
    return [scope for scope in source.kernel_scopes if scope not in keep]


def quantize(path, products):
    """Makes the kernels of products int8 in place, by ONNX Runtime's own tool.

    One scale for each column of a weight. Weights have 7 bits: with 8, processors without VNNI
    overflow, and the file would compute other things there than where it was checked.

    Args:
      path: of the model.
      products: names (list) of their nodes.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = [
        *products,
        *(f"{name}_MatMul" for name in products),
    ]  # what the tool calls the product of a Gemm
    with without_advice():
        quantize_dynamic(
            path,
            path,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )


@contextlib.contextmanager
def without_advice():
    """Context: a tool keeps to itself what it would rather have, and what it leaves as it is."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def kernel_nodes(model, scopes):
    """Returns the names of the products of an `onnx.ModelProto` that are of these kernels alone."""
    scopes = set(scopes)
    return [
        x.name for x in model.graph.node if x.doc_string and set(x.doc_string.split()) <= scopes
    ]


def runner(folder, threads=None):
    """Returns a callable that runs what `write` has written, by ONNX Runtime.

    Args:
      folder: of `model.onnx`.
      threads: of one call; as many as there are cores if None.

    Returns:
      Callable ({input name: int64 [batch, length]}) -> {output name: float32 array}.

    Raises:
      UserError: onnxruntime is not installed.
    """
    require("onnxruntime", "--format=onnx")
    session = inference_session(str(pathlib.Path(folder) / FILE), threads)
    names = [output.name for output in session.get_outputs()]

    def run(inputs):
        values = session.run(names, {name: np.asarray(x, np.int64) for name, x in inputs.items()})
        return dict(zip(names, values, strict=True))

    return run
