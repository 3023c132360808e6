"""Nodes and constants of an ONNX graph, as they are added (no TensorFlow)."""

import dataclasses

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bert_tf.export.source import INPUTS

OPSETS = (17, 18, 19, 20, 21, 22)
"""LayerNormalization came with 17; the newest that ONNX Runtime and OpenVINO both read."""
_IR_VERSION = 10


@dataclasses.dataclass
class Graph:
    """Nodes and constants as they are added.

    Attributes:
      opset: version of ONNX's operators.
      nodes, constants: of the graph so far.
    """

    opset: int
    nodes: list = dataclasses.field(default_factory=list)
    constants: dict = dataclasses.field(default_factory=dict)

    def add(self, kind, inputs, name, outputs=1, **attributes):
        """Adds a node of `kind`; returns its output, or a list of several, named after `name`."""
        names = [name] if outputs == 1 else [f"{name}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name, **attributes))
        return name if outputs == 1 else names

    def constant(self, name, value):
        """Adds a constant array, once; returns its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def numbers(self, *values):
        """A constant int64 vector."""
        return self.constant(f"numbers{list(values)}", np.array(values, np.int64))

    def scalar(self, value):
        """A constant float32 scalar."""
        return self.constant(f"scalar[{value:.9g}]", np.array(value, np.float32))

    def model(self, outputs):
        """Returns the `onnx.ModelProto` with these outputs.

        Args:
          outputs: {name: (shape: list of int and of names of dimensions)}, float32.
        """
        ids = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
            for name in INPUTS
        ]
        found = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ]
        constants = list(self.constants.values())
        graph = helper.make_graph(self.nodes, "bert", ids, found, constants)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="bert-tf"
        )
        onnx.checker.check_model(model)
        return model
