"""Inputs of int8 products evened out, so that one scale does for all their columns.

A few columns of a LayerNorm's output are many times as large as the others, and ONNX Runtime gives
all that goes into a product one scale of 8 bits. SmoothQuant (Xiao et al., 2023, with alpha 1/2)
moves half of that difference into the weights: x W = (x / s) (s W). Which columns are large is the
model's doing, not the text's: random tokens tell.
"""

import collections

import numpy as np
from onnx import helper, numpy_helper

from bert_tf.export.source import random_inputs
from bert_tf.serving.session import inference_session

_SHAPE = (8, 64)  # of the random tokens
_LEAST = 0.05  # of the mean of all columns: what a column counts as at least


def smooth(model, products, source):
    """Evens out the inputs of products in place; what the model computes stays.

    The division of a LayerNorm's output is a node more. That of what the first factor of a pair
    gives is in the factor.

    Args:
      model: `onnx.ModelProto`.
      products: names (list) of the `Gemm` and `MatMul` nodes that will be int8.
      source: `ExportSource` of the model.
    """
    if not products:
        return
    nodes = {node.name: node for node in model.graph.node}
    makers = {output: node for node in model.graph.node for output in node.output}
    by_input = collections.defaultdict(list)
    for name in products:
        by_input[nodes[name].input[0]].append(nodes[name])
    ranges = _ranges(model, list(by_input), source)
    weights = _Weights(model)
    for x, users in by_input.items():
        kernels = [weights[node.input[1]] for node in users]
        scale = _scale(ranges[x], np.max([np.abs(kernel).max(1) for kernel in kernels], 0))
        if not _fold(weights, makers, x, 1 / scale):
            _divide(model, x, users, 1 / scale)
        for node, kernel in zip(users, kernels, strict=True):
            weights[node.input[1]] = kernel * scale[:, None]
    weights.write()


class _Weights:
    """The constants of a model as arrays, read and changed by name."""

    def __init__(self, model):
        self._tensors = {x.name: x for x in model.graph.initializer}
        self._changed = {}

    def __getitem__(self, name):
        if name not in self._changed:
            return numpy_helper.to_array(self._tensors[name])
        return self._changed[name]

    def __setitem__(self, name, value):
        self._changed[name] = value.astype(np.float32)

    def write(self):
        """Puts what was changed into the model."""
        for name, value in self._changed.items():
            self._tensors[name].CopyFrom(numpy_helper.from_array(value, name))


def _ranges(model, names, source):
    """{name: largest absolute value of each column} of these values on random tokens."""
    probe = type(model)()
    probe.CopyFrom(model)
    known = {output.name for output in probe.graph.output}
    for name in set(names) - known:
        probe.graph.output.append(helper.make_empty_tensor_value_info(name))
    shape = (_SHAPE[0], min(_SHAPE[1], source.max_seq_length))
    inputs = random_inputs(source.config, shape)
    session = inference_session(probe.SerializeToString())
    values = session.run(names, inputs)
    return {name: np.abs(x).max(0) for name, x in zip(names, values, strict=True)}


def _scale(ranges, weights):
    """s of each column: the geometric mean of both is the same in all columns afterwards."""
    # What random tokens leave at zero, texts may not: no column grows without bound.
    ranges, weights = (np.maximum(x, _LEAST * x.mean() + 1e-12) for x in (ranges, weights))
    found = np.sqrt(ranges / weights)
    return found / np.exp(np.log(found).mean())


def _divide(model, x, users, factors):
    """Gives `users` the value `x` times `factors`."""
    name = f"{x}/evened"
    constant = numpy_helper.from_array(factors.astype(np.float32), f"{name}/factors")
    model.graph.initializer.append(constant)
    node = helper.make_node("Mul", [x, constant.name], [name], name)
    model.graph.node.insert([x.name for x in model.graph.node].index(users[0].name), node)
    for user in users:
        user.input[0] = name


def _fold(weights, makers, x, factors):
    """Puts `factors` into the first factor of a pair that gives `x`; says whether there is one."""
    maker, columns = makers[x], slice(None)
    if maker.op_type == "Split":
        sizes = weights[maker.input[1]]
        place = list(maker.output).index(x)
        columns = slice(sizes[:place].sum(), sizes[: place + 1].sum())
        maker = makers[maker.input[0]]
    if maker.op_type != "MatMul" or not maker.input[1].endswith("_p/kernel"):
        return False
    kernel = weights[maker.input[1]].copy()
    kernel[:, columns] *= factors
    weights[maker.input[1]] = kernel
    return True
