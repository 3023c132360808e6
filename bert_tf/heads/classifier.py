"""Google BERT's sentence classification head."""

import tensorflow as tf
import tf_keras as keras

from bert_tf.encoder.dropout import Dropout


def example_losses(labels, logits, regression=False):
    """Returns float32 losses [batch]: cross-entropy of int labels, or squared error.

    Args:
      labels: int [batch], or float [batch] with `regression`.
      logits: float32 [batch, num_outputs].
      regression: squared error on the first output instead of cross-entropy.

    Raises:
      ValueError: the labels are no vector: [batch, 1] would be compared with all outputs.
    """
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank not in (1, None):
        raise ValueError(f"labels of shape {labels.shape}: expected [batch]")
    if regression:
        return tf.square(tf.cast(labels, tf.float32) - logits[:, 0])
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def softened_losses(wanted, logits, temperature, regression=False):
    """Returns float32 losses [...] that draw a student's logits to a teacher's.

    T^2 times the cross-entropy of the softened class probabilities, or the squared error.

    Args:
      wanted, logits: float32 [..., num_outputs], the teacher's and the student's.
      temperature: T.
      regression: squared error of the first output instead.
    """
    if regression:
        return tf.square(wanted[..., 0] - logits[..., 0])
    softened = tf.nn.softmax(wanted / temperature)
    losses = tf.nn.softmax_cross_entropy_with_logits(softened, logits / temperature)
    return temperature**2 * losses


class ClassifierHead(keras.layers.Layer):
    """logits = dropout(pooled) output_weights' + output_bias, in float32.

    Args:
      num_outputs: labels, or 1 for regression.
      hidden_size: width of the pooled output.
      dropout: rate in training (Google hard-wires 0.1).
      initializer_range: standard deviation of the truncated normal initialisation.
    """

    def __init__(
        self, num_outputs, hidden_size, dropout=0.1, initializer_range=0.02, name="classifier"
    ):
        super().__init__(name=name, dtype="float32")
        self.num_outputs = num_outputs
        self.hidden_size = hidden_size
        self.initializer_range = initializer_range
        with tf.name_scope(""):
            self.output_weights = self.add_weight(
                name="output_weights",
                shape=[num_outputs, hidden_size],
                initializer=keras.initializers.TruncatedNormal(stddev=initializer_range),
            )
            self.output_bias = self.add_weight(
                name="output_bias", shape=[num_outputs], initializer="zeros"
            )
        self.dropout = Dropout(dropout, "classifier/dropout", dtype="float32")

    def call(self, pooled, training=None):
        """Returns float32 logits [batch, num_outputs] of pooled [batch, hidden]."""
        pooled = self.dropout(pooled, training=training)
        return tf.matmul(pooled, self.output_weights, transpose_b=True) + self.output_bias

    def get_config(self):
        return {
            "name": self.name,
            "num_outputs": self.num_outputs,
            "hidden_size": self.hidden_size,
            "dropout": self.dropout.rate,
            "initializer_range": self.initializer_range,
        }
