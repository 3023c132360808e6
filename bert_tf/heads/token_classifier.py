"""A classifier at every token, under the names of the sentence classifier."""

import tensorflow as tf

from bert_tf.encoder import dense as dense_lib
from bert_tf.heads.classifier import ClassifierHead


def token_losses(labels, logits):
    """Returns float32 [batch], the sum of the cross-entropies of each example's labelled tokens.

    Args:
      labels: int [batch, seq]; negative for a token that has none.
      logits: float32 [batch, seq, num_outputs].
    """
    labels = tf.convert_to_tensor(labels)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
    return tf.reduce_sum(tf.where(labels >= 0, losses, 0.0), -1)


class TokenClassifierHead(ClassifierHead):
    """logits = dropout(sequence) output_weights' + output_bias at every token, in float32."""

    def call(self, sequence, training=None):
        """Returns float32 logits [batch, seq, num_outputs] of sequence [batch, seq, hidden]."""
        sequence = self.dropout(sequence, training=training)
        return dense_lib.affine(sequence, tf.transpose(self.output_weights), self.output_bias)
