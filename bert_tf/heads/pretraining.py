"""Google BERT's pre-training heads: masked language model and next sentence."""

import tensorflow as tf
import tf_keras as keras

from bert_tf.encoder import dense as dense_lib


class MaskedLMHead(keras.layers.Layer):
    """Logits over the vocabulary at chosen positions: LayerNorm(act(x W + b)) E' + output_bias.

    E is the encoder's word embedding table (tied). Variables: `cls/predictions/transform/dense`,
    `cls/predictions/transform/LayerNorm` and `cls/predictions/output_bias`.

    Args:
      config: `BertConfig`.
      embedding_table: the encoder's `get_embedding_table()`, [vocab_size, width]; the transform is
        of that width, too.
      real_tokens: rows of the table that are tokens; those after them, padding to a size that the
        device likes, are never predicted and have no gradient. None: all of them.
    """

    def __init__(self, config, embedding_table, real_tokens=None, name="masked_lm"):
        super().__init__(name=name, dtype="float32")
        self.padding = config.vocab_size - (real_tokens or config.vocab_size)
        scope = "cls/predictions/transform"
        self.embedding_table = embedding_table
        self.transform = dense_lib.Dense(
            config.hidden_size,
            config.embedding_width,
            f"{scope}/dense",
            config.initializer_range,
            dtype="float32",
        )
        self.activation = dense_lib.activation(config.hidden_act)
        self.norm = dense_lib.LayerNorm(
            config.embedding_width, f"{scope}/LayerNorm", config.layer_norm_eps, dtype="float32"
        )
        with tf.name_scope("cls/predictions/"):
            self.output_bias = self.add_weight(
                name="output_bias", shape=[config.vocab_size], initializer="zeros"
            )

    def call(self, sequence_output, positions=None):
        """Predicts tokens.

        Args:
          sequence_output: float [batch, seq, hidden].
          positions: int32 [batch, predictions], the positions to predict; all when None.

        Returns:
          float32 logits [batch, predictions or seq, vocab_size]; -1e9 for padding of the table.
        """
        if positions is not None:
            sequence_output = tf.gather(sequence_output, positions, batch_dims=1)
        hidden = self.norm(self.activation(self.transform(sequence_output)))
        bias = tf.convert_to_tensor(self.output_bias)
        if self.padding:
            never = tf.fill([self.padding], -1e9)
            bias = tf.concat([bias[: -self.padding], never], 0)
        return dense_lib.affine(hidden, tf.transpose(self.embedding_table), bias)


class NextSentenceHead(keras.layers.Layer):
    """Logits [batch, 2] of pooled [batch, hidden]; class 1 is a random second segment.

    Variables: `cls/seq_relationship/output_weights` [2, hidden] and `output_bias` [2].
    """

    def __init__(self, config, name="next_sentence"):
        super().__init__(name=name, dtype="float32")
        with tf.name_scope("cls/seq_relationship/"):
            self.output_weights = self.add_weight(
                name="output_weights",
                shape=[2, config.hidden_size],
                initializer=keras.initializers.TruncatedNormal(stddev=config.initializer_range),
            )
            self.output_bias = self.add_weight(name="output_bias", shape=[2], initializer="zeros")

    def call(self, pooled):
        """Returns float32 logits [batch, 2]."""
        return tf.matmul(pooled, self.output_weights, transpose_b=True) + self.output_bias
