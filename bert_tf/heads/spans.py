"""Google BERT's head of spans: where an answer begins, and where it ends."""

import tensorflow as tf
import tf_keras as keras


class SpanHead(keras.layers.Layer):
    """logits = hidden output_weights' + output_bias of each token, in float32.

    The bias is Google's and is not trained: a number added to all tokens changes neither the loss
    nor an answer, and Adam would make whole steps of the rounding that its gradient consists of.

    Args:
      hidden_size: width of the encoder's output.
      initializer_range: standard deviation of the truncated normal initialisation.
    """

    num_outputs = 2  # start and end

    def __init__(self, hidden_size, initializer_range=0.02, name="spans"):
        super().__init__(name=name, dtype="float32")
        self.hidden_size = hidden_size
        self.initializer_range = initializer_range
        with tf.name_scope(""):
            self.output_weights = self.add_weight(
                name="cls/squad/output_weights",
                shape=[self.num_outputs, hidden_size],
                initializer=keras.initializers.TruncatedNormal(stddev=initializer_range),
            )
            self.output_bias = self.add_weight(
                name="cls/squad/output_bias",
                shape=[self.num_outputs],
                initializer="zeros",
                trainable=False,
            )

    def call(self, sequence):
        """Returns float32 logits [batch, seq, 2] of sequence [batch, seq, hidden]."""
        return tf.matmul(sequence, self.output_weights, transpose_b=True) + self.output_bias

    def get_config(self):
        return {
            "name": self.name,
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
        }


def span_losses(labels, logits):
    """Returns float32 losses [batch]: the mean of the cross-entropies of start and end.

    Args:
      labels: int32 [batch, 2], the positions of start and end.
      logits: float32 [batch, seq, 2].
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.transpose(logits, [0, 2, 1]))
    return tf.reduce_mean(losses, -1)


def softened_span_losses(wanted, found, temperature):
    """Returns float32 losses [batch]: T^2 times the mean cross-entropy to softened positions.

    Args:
      wanted, found: float32 logits [batch, seq, 2], a teacher's and a student's.
      temperature: T.
    """
    wanted, found = (tf.transpose(x, [0, 2, 1]) / temperature for x in (wanted, found))
    losses = tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(wanted), found)
    return temperature**2 * tf.reduce_mean(losses, -1)
