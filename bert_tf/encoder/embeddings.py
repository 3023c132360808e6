"""Word, position and token type embeddings."""

import tensorflow as tf
import tf_keras as keras

from bert_tf.encoder.dense import LayerNorm
from bert_tf.encoder.dropout import Dropout


class Embeddings(keras.layers.Layer):
    """LayerNorm(word + position + token type), then dropout; float32 whatever the precision.

    (Casting the gathered rows, not the table, keeps half precision from rewriting it every step.)

    Args:
      config: `BertConfig`.
      scope: variable scope.
    """

    def __init__(self, config, scope="bert/embeddings", **kwargs):
        super().__init__(name="embeddings", dtype="float32", **kwargs)
        self.config = config
        with tf.name_scope(scope + "/"):
            self.word_embeddings, self.token_type_embeddings, self.position_embeddings = (
                self.add_weight(
                    name=name,
                    shape=[rows, config.hidden_size],
                    initializer=keras.initializers.TruncatedNormal(stddev=config.initializer_range),
                )
                for name, rows in (
                    ("word_embeddings", config.vocab_size),
                    ("token_type_embeddings", config.type_vocab_size),
                    ("position_embeddings", config.max_position_embeddings),
                )
            )
        self.norm = LayerNorm(
            config.hidden_size, f"{scope}/LayerNorm", config.layer_norm_eps, dtype="float32"
        )
        self.dropout = Dropout(config.hidden_dropout_prob, f"{scope}/dropout", dtype="float32")

    def call(self, word_ids, type_ids, training=None):
        """Embeds int32 word_ids and type_ids, both [batch, seq]: float32 [batch, seq, hidden]."""
        length = tf.shape(word_ids)[1]
        # Through a tensor: gathering from the variable itself would copy the table at each update.
        hidden = tf.gather(tf.convert_to_tensor(self.word_embeddings), word_ids)
        hidden += tf.gather(tf.convert_to_tensor(self.token_type_embeddings), type_ids)
        hidden += self.position_embeddings[:length]
        return self.dropout(self.norm(hidden), training=training)
