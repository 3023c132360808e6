"""One Transformer layer: self-attention and feed-forward, post-LN or pre-LN.

Shapes: B batch, T tokens, Q queries (T, or 1 for the first token only), H hidden, N heads, D head
size (N * D is H but in a sub-network), F feed-forward.
"""

import math

import tensorflow as tf
import tf_keras as keras

from bert_tf.encoder import dense as dense_lib
from bert_tf.encoder.dropout import Dropout
from bert_tf.encoder.subnetwork import kept_units


class EncoderLayer(keras.layers.Layer):
    """One encoder layer of BERT (Devlin et al., 2019), or its pre-LN form.

    post-LN: h = LN1(x + Attention(x)), y = LN2(h + FFN(h)).
    pre-LN:  h = x + Attention(LN1(x)), y = h + FFN(LN2(h)).
    LN1 is `attention/output/LayerNorm`, LN2 is `output/LayerNorm` in both; FFN has a gate, and the
    kernels have biases, where the configuration says so.

    Args:
      config: `BertConfig` of the layer, see `BertConfig.of_layer`.
      scope: variable scope, such as `bert/encoder/layer_0`.
      dense_factory: callable with the constructor of `Dense`, for all kernels.

    Attributes:
      kernels: the dense layers, six or, with a gate, seven.
    """

    def __init__(self, config, scope, dense_factory=dense_lib.Dense, **kwargs):
        super().__init__(name=kwargs.pop("name", scope.rsplit("/", 1)[-1]), **kwargs)
        self.config = config
        hidden, wide = config.hidden_size, config.intermediate_size
        attention = config.num_attention_heads * config.head_size

        def dense(d_in, d_out, place):
            return dense_factory(
                d_in,
                d_out,
                scope=f"{scope}/{place}",
                initializer_range=config.initializer_range,
                use_bias=config.use_bias,
            )

        def norm(place):
            return dense_lib.LayerNorm(hidden, f"{scope}/{place}", config.layer_norm_eps)

        def dropout(rate, place):
            return Dropout(rate, f"{scope}/{place}/dropout")

        self.query = dense(hidden, attention, "attention/self/query")
        self.key = dense(hidden, attention, "attention/self/key")
        self.value = dense(hidden, attention, "attention/self/value")
        self.attention_dropout = dropout(config.attention_probs_dropout_prob, "attention/self")
        self.attention_output = dense(attention, hidden, "attention/output/dense")
        self.attention_output_dropout = dropout(config.hidden_dropout_prob, "attention/output")
        self.attention_norm = norm("attention/output/LayerNorm")
        self.intermediate = dense(hidden, wide, "intermediate/dense")
        self.activation = dense_lib.activation(config.hidden_act)
        self.gate = dense(hidden, wide, "intermediate/gate") if config.gated_ffn else None
        self.ffn_output = dense(wide, hidden, "output/dense")
        self.ffn_output_dropout = dropout(config.hidden_dropout_prob, "output")
        self.ffn_norm = norm("output/LayerNorm")

    @property
    def kernels(self):
        """The layer's dense layers, in the order of computation."""
        gate = [] if self.gate is None else [self.gate]
        return [
            self.query, self.key, self.value, self.attention_output, self.intermediate, *gate,
            self.ffn_output,
        ]  # fmt: skip

    def call(
        self, hidden, mask_bias, width=1.0, training=None, first_token_only=False, positions=None
    ):
        """Runs the layer.

        Args:
          hidden: float [B, T, H].
          mask_bias: float32 [B, 1, 1, T], added to the attention scores; None adds nothing.
          width: run the first round(N * width) heads and the same share of the F neurons; or
            (heads, neurons), how many of each.
          training: whether dropout is on.
          first_token_only: compute the first token's output only (Q = 1). The result equals the
            first row of the full one; the dense layers cost 1/T of the work except key and value.
          positions: int32 [B, Q], compute these tokens' outputs only; None for all.

        Returns:
          float [B, Q, H].
        """
        heads, neurons = self._units(width)
        pre_norm = self.config.norm_position == "pre"

        inputs = self.attention_norm(hidden) if pre_norm else hidden
        queries = _chosen(inputs, first_token_only, positions)
        residual = _rows(_chosen(hidden, first_token_only, positions))
        context = self._attend(queries, inputs, mask_bias, heads, training)  # [B * Q, heads * D]
        update = self.attention_output(context, in_units=self._attention_units(heads))
        hidden = residual + self.attention_output_dropout(update, training=training)
        if not pre_norm:
            hidden = self.attention_norm(hidden)

        inputs = self.ffn_norm(hidden) if pre_norm else hidden
        wide = self.activation(self.intermediate(inputs, out_units=neurons))  # [B * Q, F]
        if self.gate is not None:
            wide = wide * self.gate(inputs, out_units=neurons)
        update = self.ffn_output(wide, in_units=neurons)
        hidden = hidden + self.ffn_output_dropout(update, training=training)
        hidden = hidden if pre_norm else self.ffn_norm(hidden)
        return tf.reshape(hidden, tf.shape(queries))

    def _units(self, width):
        """(heads, neurons or None for all) that run."""
        most = (self.config.num_attention_heads, self.config.intermediate_size)
        heads, neurons = width if isinstance(width, tuple) else kept_units(*most, width)
        return heads, None if neurons == most[1] else neurons

    def _attention_units(self, heads):
        """Columns of the heads that run in the queries' kernel; None for all."""
        return None if heads == self.config.num_attention_heads else heads * self.config.head_size

    def _attend(self, queries, inputs, mask_bias, heads, training):
        """Multi-head attention of queries [B, Q, H] over inputs [B, T, H]: [B * Q, heads * D]."""
        size = self.config.head_size
        units = self._attention_units(heads)
        batch, length = tf.shape(inputs)[0], tf.shape(inputs)[1]

        # No -1 for the length: it is not known from an empty batch, a short batch's last share.
        def split(x, length):  # [B * T, heads * D] -> [B, heads, T, D]
            return tf.transpose(tf.reshape(x, [batch, length, heads, size]), [0, 2, 1, 3])

        query = split(self.query(_rows(queries), out_units=units), tf.shape(queries)[1])
        key = split(self.key(_rows(inputs), out_units=units), length)
        value = split(self.value(_rows(inputs), out_units=units), length)
        scores = tf.matmul(query * (1 / math.sqrt(size)), key, transpose_b=True)  # [B, N, Q, T]
        scores = tf.cast(scores, tf.float32)
        probabilities = tf.nn.softmax(scores if mask_bias is None else scores + mask_bias)
        probabilities = tf.cast(probabilities, self.compute_dtype)
        probabilities = self.attention_dropout(probabilities, training=training)
        context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])  # [B, Q, N, D]
        return tf.reshape(context, [-1, heads * size])


def _chosen(x, first_token_only, positions):
    """[B, T, H] -> [B, Q, H]: the tokens whose outputs are computed."""
    if positions is not None:
        return tf.gather(x, positions, batch_dims=1)
    return x[:, :1] if first_token_only else x


def _rows(x):
    """[B, T, H] -> [B * T, H]: a reshape between two ops would keep TensorFlow from fusing them."""
    return tf.reshape(x, [-1, x.shape[-1]])
