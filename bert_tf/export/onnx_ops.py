"""What BERT is made of, as ONNX nodes: kernels, LayerNorm, activations, embedding tables.

Inputs are matrices [rows, units], so that a kernel with its bias is one Gemm and a factor pair two
products: 0.6 of the time, in ONNX Runtime, of three-dimensional ones, which it fuses into its slow
SkipLayerNormalization.
"""

import math

import numpy as np
from onnx import TensorProto

_GELU_OPSET = 20
_TABLE = "bert/embeddings/word_embeddings"


class Ops:
    """Adds the nodes of a model's parts to its graph.

    Args:
      graph: `Graph`.
      config: `BertConfig`.
      arrays: {Google name: float32 array} without gates.
      embedding_precision: `float32`, or `int8`: each row of the tables of words and positions
        with a scale of its own.
    """

    def __init__(self, graph, config, arrays, embedding_precision="float32"):
        self.graph = graph
        self.config = config
        self.arrays = arrays
        self.embedding_precision = embedding_precision

    def constant(self, name):
        """Adds an array of the model under its own name."""
        return self.graph.constant(name, self.arrays[name].astype(np.float32))

    def words(self):
        """Rows of the word table, [batch, length, hidden]."""
        return self._rows(_TABLE, "words", lambda x, name: self._gather(x, "input_ids", name))

    def positions(self, length):
        """The first rows of the position table, [length, hidden]; `length` is a vector of one."""
        numbers, add = self.graph.numbers, self.graph.add

        def first(x, name):
            return add("Slice", [x, numbers(0), length, numbers(0)], name)

        return self._rows("bert/embeddings/position_embeddings", "positions", first)

    def types(self):
        """Rows of the token type table, [batch, length, hidden]."""
        table = self.constant("bert/embeddings/token_type_embeddings")
        return self._gather(table, "token_type_ids", "types")

    def float_table(self):
        """The word table [vocabulary, hidden]."""
        # Runtimes compute it once, when they read the file.
        return self._rows(_TABLE, "table", lambda x, name: x)

    def _gather(self, table, ids, name):
        return self.graph.add("Gather", [table, ids], name)

    def _rows(self, table, name, choose):
        """What `choose` (name of an array, name of the result) takes of a table, as float32."""
        if self.embedding_precision == "float32":
            return choose(self.constant(table), name)
        add, (rows, scales) = self.graph.add, int8_rows(self.arrays[table])
        rows = self.graph.constant(f"{table}/int8", rows)
        scales = self.graph.constant(f"{table}/scales", scales)
        rows = add("Cast", [choose(rows, f"{name}/int8")], f"{name}/float", to=TensorProto.FLOAT)
        return add("Mul", [rows, choose(scales, f"{name}/scales")], f"{name}/scaled")

    def dense(self, x, scope, scale=1.0):
        """x [rows, units] times a kernel, dense or factorised, plus its bias; all times `scale`."""
        if not self.is_factorised(scope):
            return self._affine(x, scope, scale)
        p = self.graph.constant(f"{scope}_p/kernel", self._factors(scope)[0])
        reduced = self.graph.add("MatMul", [x, p], f"{scope}/p", doc_string=scope)
        return self._affine(reduced, scope, scale)

    def together(self, x, scopes, scales):
        """The list of `dense` of several kernels of one input, their first factors one product.

        They are thin: several cost a runtime as much each as all together.
        """
        if not all(map(self.is_factorised, scopes)):
            return [self.dense(x, *one) for one in zip(scopes, scales, strict=True)]
        factors = [self._factors(scope)[0] for scope in scopes]
        name = f"{scopes[0]}+{len(scopes) - 1}"
        joined = self.graph.constant(f"{name}_p/kernel", np.concatenate(factors, 1))
        x = self.graph.add("MatMul", [x, joined], f"{name}/p", doc_string=" ".join(scopes))
        ranks = self.graph.numbers(*(p.shape[1] for p in factors))
        parts = self.graph.add("Split", [x, ranks], f"{name}/parts", outputs=len(scopes), axis=1)
        return [self._affine(*one) for one in zip(parts, scopes, scales, strict=True)]

    def is_factorised(self, scope):
        """Whether the kernel is a pair."""
        return f"{scope}/kernel" not in self.arrays

    def norm(self, x, scope):
        """LayerNorm over the last axis."""
        scaled = [self.constant(f"{scope}/{part}") for part in ("gamma", "beta")]
        epsilon = self.config.layer_norm_eps
        return self.graph.add("LayerNormalization", [x, *scaled], scope, axis=-1, epsilon=epsilon)

    def activation(self, x, name, kind):
        """The elementwise function that a configuration calls `kind`."""
        graph = self.graph
        if kind == "linear":
            return graph.add("Identity", [x], name)
        if kind in ("relu", "tanh"):
            return graph.add(kind.title(), [x], name)
        if graph.opset >= _GELU_OPSET:
            form = "tanh" if kind == "gelu" else "none"
            return graph.add("Gelu", [x], name, approximate=form)
        return self._gelu(x, name) if kind == "gelu" else self._gelu_erf(x, name)

    def _affine(self, x, scope, scale):
        """x times the last or only factor of a kernel, plus the bias if there is one."""
        graph, kernel, bias = self.graph, f"{scope}/kernel", f"{scope}/bias"
        weights = self.arrays.get(kernel)
        if weights is None:
            kernel, bias = f"{scope}_q/kernel", f"{scope}_q/bias"
            weights = self._factors(scope)[1]
        weights = graph.constant(kernel, _scaled(weights, scale))
        if bias not in self.arrays:
            return graph.add("MatMul", [x, weights], f"{scope}/product", doc_string=scope)
        values = graph.constant(bias, _scaled(self.arrays[bias], scale))
        return graph.add("Gemm", [x, weights, values], f"{scope}/product", doc_string=scope)

    def _factors(self, scope):
        """The two factors; those of rank 0 as zeros of rank 1, which every runtime multiplies."""
        p, q = (self.arrays[f"{scope}_{part}/kernel"].astype(np.float32) for part in "pq")
        if p.shape[1]:
            return p, q
        return np.zeros([len(p), 1], np.float32), np.zeros([1, q.shape[1]], np.float32)

    def _gelu_erf(self, x, name):
        """x / 2 (1 + erf(x / sqrt 2)), in the order of operators that runtimes know."""
        add, scalar = self.graph.add, self.graph.scalar
        erf = add("Erf", [add("Div", [x, scalar(math.sqrt(2))], f"{name}/div")], f"{name}/erf")
        product = add("Mul", [x, add("Add", [erf, scalar(1.0)], f"{name}/add")], f"{name}/mul")
        return add("Mul", [product, scalar(0.5)], name)

    def _gelu(self, x, name):
        """x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
        add, scalar = self.graph.add, self.graph.scalar
        cube = add("Pow", [x, scalar(3.0)], f"{name}/cube")
        cube = add("Mul", [cube, scalar(0.044715)], f"{name}/scaled_cube")
        inner = add("Add", [x, cube], f"{name}/sum")
        inner = add("Mul", [inner, scalar(math.sqrt(2 / math.pi))], f"{name}/inner")
        slope = add("Add", [add("Tanh", [inner], f"{name}/tanh"), scalar(1.0)], f"{name}/slope")
        return add("Mul", [add("Mul", [x, scalar(0.5)], f"{name}/half"), slope], name)


def int8_rows(table):
    """Returns (int8 [rows, hidden], float32 scales [rows, 1]) of a float table [rows, hidden]."""
    scales = np.abs(table).max(1, keepdims=True) / 127
    scales[scales == 0] = 1.0
    return np.rint(table / scales).astype(np.int8), scales.astype(np.float32)


def _scaled(array, scale):
    array = array.astype(np.float32)
    return array if scale == 1.0 else array * np.float32(scale)
