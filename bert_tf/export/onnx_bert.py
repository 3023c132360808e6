"""A BERT model as an ONNX graph, written from its arrays (no TensorFlow).

Shapes: B batch, T tokens, H hidden, N heads, D head size. Hidden states are matrices [B * T, H].
"""

import math

import numpy as np
from onnx import TensorProto

from bert_tf.checkpoints.names import PROJECTION
from bert_tf.errors import UserError
from bert_tf.export.onnx_graph import OPSETS, Graph
from bert_tf.export.onnx_ops import Ops

MASK = -10000.0  # Google's constant for padding, as the encoder has it
DEFAULT_OPSET = 20  # the first with a GELU


class BertGraph:
    """Writes the nodes of a model.

    Args:
      config: `BertConfig`.
      arrays: {Google name: float32 array} without gates.
      opset: version of ONNX's operators, one of `OPSETS`.
      embedding_precision: see `Ops`.

    Attributes:
      graph: `Graph` that they are added to.
    """

    def __init__(self, config, arrays, opset=DEFAULT_OPSET, embedding_precision="float32"):
        if opset not in OPSETS:
            raise UserError(
                f"--opset={opset}: expected {OPSETS[0]} to {OPSETS[-1]}, which ONNX Runtime and"
                " OpenVINO read"
            )
        self.config = config
        self.graph = Graph(opset)
        self._ops = Ops(self.graph, config, arrays, embedding_precision)
        self._shapes = {}  # {(first token only, sizes): name of the shape}

    def encoder(self, first_token_only):
        """Adds embeddings and layers.

        Args:
          first_token_only: let the last layer compute the first token only.

        Returns:
          Name of the output, [B * T, H], or [B, H] of the first tokens.
        """
        config = self.config
        hidden = self._embeddings()
        bias = self._mask_bias()
        for index in range(config.num_hidden_layers):
            last = index == config.num_hidden_layers - 1
            hidden = self._layer(index, hidden, bias, first_token_only and last)
        if config.norm_position == "pre":
            hidden = self._ops.norm(hidden, "bert/encoder/LayerNorm")
        return hidden

    def sequence(self, hidden):
        """Adds the output `sequence_output`, [B, T, H] of [B * T, H]."""
        shape = self._shape(self.config.hidden_size)
        return self.graph.add("Reshape", [hidden, shape], "sequence_output")

    def first(self, hidden, name="first_tokens"):
        """Adds [B, H] of [B * T, H]; returns its name."""
        add, shape = self.graph.add, self._shape(self.config.hidden_size)
        by_token = add("Reshape", [hidden, shape], f"{name}/by_token")
        return add("Gather", [by_token, self.graph.constant("zero", np.int64(0))], name, axis=1)

    def pooled(self, first):
        """Adds the pooler on the first tokens [B, H]; returns the name of [B, H]."""
        pooled = self._ops.dense(first, "bert/pooler/dense")
        return self._ops.activation(pooled, "pooled_output", self.config.pooler_act)

    def classifier(self, pooled):
        """Adds logits [B, labels] of [B, H]; returns their name."""
        parts = [self._ops.constant(name) for name in ("output_weights", "output_bias")]
        return self.graph.add("Gemm", [pooled, *parts], "logits", transB=1)

    def masked_lm(self, hidden):
        """Adds logits [B, T, vocabulary] of [B * T, H]; returns their name."""
        ops, add, scope = self._ops, self.graph.add, "cls/predictions/transform"
        hidden = ops.dense(hidden, f"{scope}/dense")
        hidden = ops.activation(hidden, f"{scope}/activation", self.config.hidden_act)
        hidden = ops.norm(hidden, f"{scope}/LayerNorm")
        parts = [hidden, ops.float_table(), ops.constant("cls/predictions/output_bias")]
        logits = add("Gemm", parts, "predictions", transB=1)
        return add("Reshape", [logits, self._shape(self.config.vocab_size)], "logits")

    def _embeddings(self):
        """[B * T, H]."""
        add, numbers, ops = self.graph.add, self.graph.numbers, self._ops
        length = add("Slice", [self._batch_and_length(), numbers(1), numbers(2)], "length")
        hidden = ops.words()
        if self.config.type_vocab_size:
            hidden = add("Add", [hidden, ops.types()], "words+types")
        hidden = add("Add", [hidden, ops.positions(length)], "embedded")
        hidden = add("Reshape", [hidden, numbers(-1, self.config.embedding_width)], "rows")
        hidden = ops.norm(hidden, "bert/embeddings/LayerNorm")
        return ops.dense(hidden, PROJECTION) if self.config.projects_embeddings else hidden

    def _batch_and_length(self):
        if "inputs" not in self._shapes:
            self._shapes["inputs"] = self.graph.add("Shape", ["input_ids"], "batch_and_length")
        return self._shapes["inputs"]

    def _shape(self, *sizes, first_token_only=False):
        """The shape [B, T or 1, *sizes]."""
        key = (first_token_only, *sizes)
        if key not in self._shapes:
            add, numbers, inputs = self.graph.add, self.graph.numbers, [self._batch_and_length()]
            name = f"shape{list(sizes)}{'/first' if first_token_only else ''}"
            if first_token_only:
                batch = [*inputs, numbers(0), numbers(1)]
                inputs = [add("Slice", batch, f"{name}/batch"), numbers(1)]
            self._shapes[key] = add("Concat", [*inputs, numbers(*sizes)], name, axis=0)
        return self._shapes[key]

    def _mask_bias(self):
        """[B, 1, 1, T]: 0 for tokens, -10000 for padding."""
        add = self.graph.add
        mask = add("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        padding = add("Sub", [self.graph.scalar(1.0), mask], "padding")
        bias = add("Mul", [padding, self.graph.scalar(MASK)], "padding_bias")
        return add("Unsqueeze", [bias, self.graph.numbers(1, 2)], "mask_bias")

    def _layer(self, index, hidden, bias, first_token_only):
        """[B * T, H] -> [B * T, H], or [B, H] of the first tokens."""
        ops, add, scope = self._ops, self.graph.add, f"bert/encoder/layer_{index}"
        pre_norm, norm = self.config.norm_position == "pre", f"{scope}/attention/output/LayerNorm"
        inputs = ops.norm(hidden, norm) if pre_norm else hidden
        queries, residual = inputs, hidden
        if first_token_only:
            queries = self.first(inputs, f"{scope}/queries")
            residual = self.first(hidden, f"{scope}/residual") if pre_norm else queries
        context = self._attention(index, queries, inputs, bias)
        update = ops.dense(context, f"{scope}/attention/output/dense")
        hidden = add("Add", [update, residual], f"{scope}/attention/sum")
        hidden = hidden if pre_norm else ops.norm(hidden, norm)
        norm = f"{scope}/output/LayerNorm"
        inputs = ops.norm(hidden, norm) if pre_norm else hidden
        hidden = add("Add", [self._feed_forward(inputs, scope), hidden], f"{scope}/output/sum")
        return hidden if pre_norm else ops.norm(hidden, norm)

    def _feed_forward(self, inputs, scope):
        ops = self._ops
        wide = ops.dense(inputs, f"{scope}/intermediate/dense")
        wide = ops.activation(wide, f"{scope}/intermediate/activation", self.config.hidden_act)
        if self.config.gated_ffn:
            gate = ops.dense(inputs, f"{scope}/intermediate/gate")
            wide = self.graph.add("Mul", [wide, gate], f"{scope}/intermediate/gated")
        return ops.dense(wide, f"{scope}/output/dense")

    def _attention(self, index, queries, inputs, bias):
        """Rows of queries over [B * T, H]: as many rows, of N * D."""
        add, scope = self.graph.add, f"bert/encoder/layer_{index}/attention/self"
        heads, size = self.config.units_of(index)[0], self.config.head_size

        def split(x, part, order):
            shape = self._shape(heads, size, first_token_only=part == "query" and queries != inputs)
            x = add("Reshape", [x, shape], f"{scope}/{part}/heads")
            return add("Transpose", [x], f"{scope}/{part}/by_head", perm=order)

        query, key, value = self._projections(scope, queries, inputs, 1 / math.sqrt(size))
        query, key = split(query, "query", [0, 2, 1, 3]), split(key, "key", [0, 2, 3, 1])
        value = split(value, "value", [0, 2, 1, 3])
        scores = add("MatMul", [query, key], f"{scope}/scores")
        scores = add("Add", [scores, bias], f"{scope}/masked_scores")
        probabilities = add("Softmax", [scores], f"{scope}/probabilities", axis=-1)
        context = add("MatMul", [probabilities, value], f"{scope}/context")
        context = add("Transpose", [context], f"{scope}/by_token", perm=[0, 2, 1, 3])
        return add("Reshape", [context, self.graph.numbers(-1, heads * size)], f"{scope}/joined")

    def _projections(self, scope, queries, inputs, scale):
        """[query, key, value]; the scale of the scores is in the query's weights."""
        scopes = [f"{scope}/{part}" for part in ("query", "key", "value")]
        if queries == inputs:
            return self._ops.together(inputs, scopes, [scale, 1.0, 1.0])
        rest = self._ops.together(inputs, scopes[1:], [1.0, 1.0])
        return [self._ops.dense(queries, scopes[0], scale), *rest]
