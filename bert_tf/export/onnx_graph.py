"""A BERT model as an ONNX graph, written from its arrays (no TensorFlow).

The nodes are in the form that ONNX Runtime fuses (bias and GELU, residual and LayerNorm) and that
OpenVINO reads; a factor pair stays two products. Shapes: B batch, T tokens, H hidden, N heads, D
head size.
"""

import dataclasses
import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bert_tf.errors import UserError
from bert_tf.export.source import INPUTS

OPSETS = (17, 18, 19, 20, 21, 22)
"""LayerNormalization came with 17; the newest that ONNX Runtime and OpenVINO both read."""
MASK = -10000.0  # Google's constant for padding, as the encoder has it
_GELU_OPSET = 20
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
    shapes: list = dataclasses.field(default_factory=list)

    def shape(self, name, shape):
        """Says what shape an output has where a reader of the graph could not find out."""
        self.shapes.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

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
        graph = helper.make_graph(self.nodes, "bert", ids, found, constants, value_info=self.shapes)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="bert-tf"
        )
        onnx.checker.check_model(model)
        return model


class BertGraph:
    """Writes the nodes of a model.

    Args:
      config: `BertConfig`.
      arrays: {Google name: float32 array} without gates.
      opset: version of ONNX's operators, one of `OPSETS`.
      embedding_precision: `float32`, or `int8`: each row of the word table with a scale of its own.
    """

    def __init__(self, config, arrays, opset=_GELU_OPSET, embedding_precision="float32"):
        if opset not in OPSETS:
            raise UserError(
                f"--opset={opset}: expected {OPSETS[0]} to {OPSETS[-1]}, which ONNX Runtime and"
                " OpenVINO read"
            )
        self.config = config
        self.arrays = arrays
        self.embedding_precision = embedding_precision
        self.graph = Graph(opset)

    def encoder(self, first_token_only):
        """Adds embeddings and layers.

        Args:
          first_token_only: let the last layer compute the first token only: [B, 1, H].

        Returns:
          Name of the output, [B, T or 1, H].
        """
        config, add = self.config, self.graph.add
        hidden = self._embeddings()
        bias = self._mask_bias()
        for index in range(config.num_hidden_layers):
            last = index == config.num_hidden_layers - 1
            hidden = self._layer(index, hidden, bias, first_token_only and last)
        if config.norm_position == "pre":
            hidden = self._norm(hidden, "bert/encoder/LayerNorm")
        return add("Identity", [hidden], "sequence_output")

    def pooled(self, hidden):
        """Adds the pooler on [B, 1, H] or [B, T, H]; returns the name of [B, H]."""
        graph = self.graph
        first = graph.add(
            "Gather", [hidden, graph.constant("first", np.int64(0))], "first_token", axis=1
        )
        return graph.add("Tanh", [self._dense(first, "bert/pooler/dense")], "pooled_output")

    def classifier(self, pooled):
        """Adds logits [B, labels] of [B, H]; returns their name."""
        graph, arrays = self.graph, self.arrays
        weights = graph.constant("output_weights", arrays["output_weights"].T)
        product = graph.add("MatMul", [pooled, weights], "classifier")
        bias = graph.constant("output_bias", arrays["output_bias"])
        return graph.add("Add", [product, bias], "logits")

    def masked_lm(self, hidden):
        """Adds logits [B, T, vocabulary] of [B, T, H]; returns their name."""
        graph, scope = self.graph, "cls/predictions/transform"
        hidden = self._activation(self._dense(hidden, f"{scope}/dense"), f"{scope}/activation")
        hidden = self._norm(hidden, f"{scope}/LayerNorm")
        if self.embedding_precision == "int8":  # runtimes do this once, when they read the file
            rows, scales = self._int8_table()
            rows = graph.add("Cast", [rows], "table/float", to=TensorProto.FLOAT)
            table = graph.add("Mul", [rows, scales], "table/scaled")
        else:
            table = self._table("word_embeddings")
        table = graph.add("Transpose", [table], "table", perm=[1, 0])
        product = graph.add("MatMul", [hidden, table], "predictions")
        bias = self._constant("cls/predictions/output_bias")
        return graph.add("Add", [product, bias], "logits")

    def _constant(self, name):
        return self.graph.constant(name, self.arrays[name].astype(np.float32))

    def _table(self, name):
        return self._constant(f"bert/embeddings/{name}")

    def _int8_table(self):
        """Names of the word table's int8 rows and of their scales."""
        name = "bert/embeddings/word_embeddings"
        rows, scales = int8_rows(self.arrays[name])
        constant = self.graph.constant
        return constant(f"{name}/int8", rows), constant(f"{name}/scales", scales)

    def _embeddings(self):
        add, numbers = self.graph.add, self.graph.numbers
        words = self._words()
        types = add("Gather", [self._table("token_type_embeddings"), "token_type_ids"], "types")
        shape = add("Shape", ["input_ids"], "shape")
        length = add("Slice", [shape, numbers(1), numbers(2)], "length")
        rows = [self._table("position_embeddings"), numbers(0), length, numbers(0)]
        positions = add("Slice", rows, "positions")
        hidden = add("Add", [add("Add", [words, types], "words+types"), positions], "embedded")
        # Else the length of the sum is unknown, and with it whether residuals may be fused.
        self.graph.shape(hidden, ["batch", "length", self.config.hidden_size])
        return self._norm(hidden, "bert/embeddings/LayerNorm")

    def _words(self):
        """[B, T, H]: rows of the word table."""
        add = self.graph.add
        if self.embedding_precision == "float32":
            return add("Gather", [self._table("word_embeddings"), "input_ids"], "words")
        rows, scales = self._int8_table()
        words = add("Gather", [rows, "input_ids"], "words/int8")
        words = add("Cast", [words], "words/float", to=TensorProto.FLOAT)
        return add("Mul", [words, add("Gather", [scales, "input_ids"], "words/scales")], "words")

    def _mask_bias(self):
        """[B, 1, 1, T]: 0 for tokens, -10000 for padding."""
        add = self.graph.add
        mask = add("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        padding = add("Sub", [self.graph.scalar(1.0), mask], "padding")
        bias = add("Mul", [padding, self.graph.scalar(MASK)], "padding_bias")
        return add("Unsqueeze", [bias, self.graph.numbers(1, 2)], "mask_bias")

    def _layer(self, index, hidden, bias, first_token_only):
        config, scope = self.config, f"bert/encoder/layer_{index}"
        add, pre_norm = self.graph.add, self.config.norm_position == "pre"
        inputs = hidden
        if pre_norm:
            inputs = self._norm(hidden, f"{scope}/attention/output/LayerNorm")
        queries, residual = inputs, hidden
        if first_token_only:
            queries = self._first(inputs, f"{scope}/first")
            residual = self._first(hidden, f"{scope}/residual") if pre_norm else queries
        context = self._attention(index, queries, inputs, bias)
        update = self._dense(context, f"{scope}/attention/output/dense")
        hidden = add("Add", [update, residual], f"{scope}/attention/sum")
        if not pre_norm:
            hidden = self._norm(hidden, f"{scope}/attention/output/LayerNorm")
        inputs = self._norm(hidden, f"{scope}/output/LayerNorm") if pre_norm else hidden
        wide = self._dense(inputs, f"{scope}/intermediate/dense")
        wide = self._activation(wide, f"{scope}/intermediate/activation")
        if config.gated_ffn:
            gate = self._dense(inputs, f"{scope}/intermediate/gate")
            wide = add("Mul", [wide, gate], f"{scope}/intermediate/gated")
        update = self._dense(wide, f"{scope}/output/dense")
        hidden = add("Add", [update, hidden], f"{scope}/output/sum")
        return hidden if pre_norm else self._norm(hidden, f"{scope}/output/LayerNorm")

    def _first(self, hidden, name):
        """[B, T, H] -> [B, 1, H]."""
        numbers = self.graph.numbers
        return self.graph.add("Slice", [hidden, numbers(0), numbers(1), numbers(1)], name)

    def _attention(self, index, queries, inputs, bias):
        """[B, Q, H] over [B, T, H] -> [B, Q, N * D]."""
        add, numbers = self.graph.add, self.graph.numbers
        scope = f"bert/encoder/layer_{index}/attention/self"
        heads, size = self.config.units_of(index)[0], self.config.head_size

        def split(x, part, order):
            whole = add("Reshape", [x, numbers(0, 0, heads, size)], f"{scope}/{part}/heads")
            return add("Transpose", [whole], f"{scope}/{part}/by_head", perm=order)

        scale = 1 / math.sqrt(size)  # in the weights: a pass over the scores less
        query = split(self._dense(queries, f"{scope}/query", scale), "query", [0, 2, 1, 3])
        key = split(self._dense(inputs, f"{scope}/key"), "key", [0, 2, 3, 1])
        value = split(self._dense(inputs, f"{scope}/value"), "value", [0, 2, 1, 3])
        scores = add("MatMul", [query, key], f"{scope}/scores")
        scores = add("Add", [scores, bias], f"{scope}/masked_scores")
        probabilities = add("Softmax", [scores], f"{scope}/probabilities", axis=-1)
        context = add("MatMul", [probabilities, value], f"{scope}/context")
        context = add("Transpose", [context], f"{scope}/by_token", perm=[0, 2, 1, 3])
        return add("Reshape", [context, numbers(0, 0, heads * size)], f"{scope}/joined")

    def _dense(self, x, scope, scale=1.0):
        """x times the kernel, dense or factorised, plus the bias if there is one."""
        graph, arrays = self.graph, self.arrays
        last, bias = f"{scope}/kernel", f"{scope}/bias"
        if last not in arrays:
            first, last, bias = f"{scope}_p/kernel", f"{scope}_q/kernel", f"{scope}_q/bias"
            p, q = arrays[first], arrays[last]
            if not p.shape[1]:  # of rank 0 the bias is left: a product that runtimes know how to do
                p, q = np.zeros([len(p), 1], np.float32), np.zeros([1, q.shape[1]], np.float32)
            x = graph.add("MatMul", [x, graph.constant(first, p)], f"{scope}/p")
        else:
            q = arrays[last]
        x = graph.add("MatMul", [x, graph.constant(last, _scaled(q, scale))], f"{scope}/product")
        if bias not in arrays:
            return x
        values = graph.constant(bias, _scaled(arrays[bias], scale))
        return graph.add("Add", [x, values], f"{scope}/biased")

    def _norm(self, x, scope):
        scaled = [self._constant(f"{scope}/{part}") for part in ("gamma", "beta")]
        return self.graph.add(
            "LayerNormalization", [x, *scaled], scope, axis=-1, epsilon=self.config.layer_norm_eps
        )

    def _activation(self, x, name):
        graph, kind = self.graph, self.config.hidden_act
        if kind == "linear":
            return x
        if kind in ("relu", "tanh"):
            return graph.add(kind.title(), [x], name)
        if graph.opset >= _GELU_OPSET:
            form = "tanh" if kind == "gelu" else "none"
            return graph.add("Gelu", [x], name, approximate=form)
        return self._gelu(x, name) if kind == "gelu" else self._gelu_erf(x, name)

    def _gelu_erf(self, x, name):
        """x / 2 (1 + erf(x / sqrt 2)), in the order of operators that runtimes know."""
        add, scalar = self.graph.add, self.graph.scalar
        erf = add("Erf", [add("Div", [x, scalar(math.sqrt(2))], f"{name}/div")], f"{name}/erf")
        product = add("Mul", [x, add("Add", [erf, scalar(1.0)], f"{name}/add")], f"{name}/mul")
        return add("Mul", [product, scalar(0.5)], name)

    def _gelu(self, x, name):
        """x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
        add, scalar = self.graph.add, self.graph.scalar
        cube = add(
            "Mul", [add("Pow", [x, scalar(3.0)], f"{name}/cube"), scalar(0.044715)], f"{name}/c"
        )
        inner = add(
            "Mul",
            [add("Add", [x, cube], f"{name}/sum"), scalar(math.sqrt(2 / math.pi))],
            f"{name}/i",
        )
        slope = add("Add", [add("Tanh", [inner], f"{name}/tanh"), scalar(1.0)], f"{name}/slope")
        return add("Mul", [add("Mul", [x, scalar(0.5)], f"{name}/half"), slope], name)


def int8_rows(table):
    """Returns (int8 [rows, H], float32 scales [rows, 1]) of a float table [rows, H]."""
    scales = np.abs(table).max(1, keepdims=True) / 127
    scales[scales == 0] = 1.0
    return np.rint(table / scales).astype(np.int8), scales.astype(np.float32)


def _scaled(array, scale):
    array = array.astype(np.float32)
    return array if scale == 1.0 else array * np.float32(scale)
