"""Which kernels int8 harms most, each by itself: what a refusal names for --keep."""

import importlib.util

import numpy as np

from bert_tf.serving.session import inference_session

SHOWN = 3


def worst(source, inputs, keep=(), count=SHOWN):
    """Returns the names (list) of the kernels with the largest relative error, the worst first.

    Each is computed on what the float32 model gives it, once in float32 and once with activations
    of 8 bits and weights of 7 by column; so an error counts where it begins.

    Args:
      source: `ExportSource`.
      inputs: {name: int64 [batch, length]}, a batch of rows.
      keep: scopes that stay float32.
      count: how many names.
    """
    if any(importlib.util.find_spec(x) is None for x in ("onnx", "onnxruntime")):
        return []
    tokens = inputs["attention_mask"].astype(bool).reshape(-1)
    errors = {
        scope: _error(x[tokens] if len(x) == len(tokens) else x, weights)
        for scope, (x, weights) in _products(source, inputs, keep).items()
    }
    return sorted(errors, key=errors.get, reverse=True)[:count]


def _products(source, inputs, keep):
    """{scope: (what its last product multiplies, float32 [rows, units]; the weights)}."""
    from onnx import helper

    from bert_tf.export import onnx_model

    model = onnx_model.graph_of(source)
    scopes = set(onnx_model.quantized_scopes(source, keep))
    weights = {x.name: x for x in model.graph.initializer}
    found = {
        node.doc_string: node.input[:2]
        for node in model.graph.node
        if node.name.endswith("/product") and node.doc_string in scopes
    }
    for name in {x for x, _ in found.values()} - {x.name for x in model.graph.output}:
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    session = inference_session(model.SerializeToString())
    names = sorted({x for x, _ in found.values()})
    values = dict(zip(names, session.run(names, inputs), strict=True))
    return {scope: (values[x], _array(weights[kernel])) for scope, (x, kernel) in found.items()}


def _array(tensor):
    from onnx import numpy_helper

    return numpy_helper.to_array(tensor)


def _error(x, weights):
    """Norm of the error of x times weights in int8, as a share of the product's."""
    step = (max(x.max(), 0) - min(x.min(), 0)) / 255 or 1.0
    scales = np.abs(weights).max(0) / 63
    scales[scales == 0] = 1.0
    exact = x @ weights
    rounded = (np.rint(x / step) * step) @ (np.rint(weights / scales) * scales)
    return float(np.linalg.norm(rounded - exact) / max(np.linalg.norm(exact), 1e-12))
