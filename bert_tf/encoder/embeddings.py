"""Word, position and, where a model has them, token type embeddings."""

import tensorflow as tf
import tf_keras as keras

from bert_tf.checkpoints.names import PROJECTION
from bert_tf.encoder.dense import Dense, LayerNorm
from bert_tf.encoder.dropout import Dropout


class Embeddings(keras.layers.Layer):
    """LayerNorm(word + position + token type), then dropout; float32 whatever the precision.

    Embeddings of another width than the hidden states are projected to it.

    (Casting the gathered rows, not the table, keeps half precision from rewriting it every step.)

    Args:
      config: `BertConfig`.
      scope: variable scope.
    """

    def __init__(self, config, scope="bert/embeddings", **kwargs):
        super().__init__(name="embeddings", dtype="float32", **kwargs)
        self.config = config
        width, deviation = config.embedding_width, config.initializer_range
        with tf.name_scope(scope + "/"):
            self.word_embeddings, self.token_type_embeddings, self.position_embeddings = (
                self.add_weight(
                    name=name,
                    shape=[rows, width],
                    initializer=keras.initializers.TruncatedNormal(stddev=deviation),
                )
                if rows
                else None
                for name, rows in (
                    ("word_embeddings", config.vocab_size),
                    ("token_type_embeddings", config.type_vocab_size),
                    ("position_embeddings", config.max_position_embeddings),
                )
            )
        self.norm = LayerNorm(width, f"{scope}/LayerNorm", config.layer_norm_eps, dtype="float32")
        self.dropout = Dropout(config.hidden_dropout_prob, f"{scope}/dropout", dtype="float32")
        self.projection = None
        if config.projects_embeddings:
            self.projection = Dense(
                width, config.hidden_size, PROJECTION, deviation, dtype="float32"
            )

    def call(self, word_ids, type_ids, training=None):
        """Embeds int32 word_ids and type_ids, both [batch, seq]: float32 [batch, seq, hidden].

        A model without token types does not look at the type_ids.
        """
        length = tf.shape(word_ids)[1]
        # Through a tensor: gathering from the variable itself would copy the table at each update.
        hidden = tf.gather(tf.convert_to_tensor(self.word_embeddings), word_ids)
        if self.token_type_embeddings is not None:
            hidden += tf.gather(tf.convert_to_tensor(self.token_type_embeddings), type_ids)
        hidden += self.position_embeddings[:length]
        hidden = self.dropout(self.norm(hidden), training=training)
        return hidden if self.projection is None else self.projection(hidden)
