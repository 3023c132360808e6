"""Products of matrices by ONNX Runtime, to be timed."""

import itertools

import numpy as np


def onnxruntime_product(rows, *widths):
    """Returns a callable () -> array: a batch [rows, widths[0]] times the chain of matrices.

    Args:
      rows: of the batch.
      *widths: units before, between and after the matrices.

    Raises:
      ImportError: onnx or onnxruntime is not installed.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    names = [f"y{i}" for i in range(len(widths))]
    nodes, matrices = [], []
    for i, shape in enumerate(itertools.pairwise(widths)):
        matrix = rng.standard_normal(shape, np.float32)
        matrices.append(numpy_helper.from_array(matrix, f"matrix{i}"))
        nodes.append(helper.make_node("MatMul", [names[i], f"matrix{i}"], [names[i + 1]]))
    ends = [
        helper.make_tensor_value_info(names[i], TensorProto.FLOAT, [rows, widths[i]])
        for i in (0, -1)
    ]
    graph = helper.make_graph(nodes, "products", ends[:1], ends[1:], matrices)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = {names[0]: rng.standard_normal((rows, widths[0]), np.float32)}

    def chain():
        return session.run(None, inputs)[0]

    chain()
    return chain
