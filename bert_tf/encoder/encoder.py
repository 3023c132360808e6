"""BertEncoder: embeddings, layers and pooler, with the places for the five levers."""

import tensorflow as tf
import tf_keras as keras

from bert_tf.config import BertConfig
from bert_tf.encoder.dense import Dense, LayerNorm, activation
from bert_tf.encoder.embeddings import Embeddings
from bert_tf.encoder.layer import EncoderLayer


class BertEncoder(keras.layers.Layer):
    """BERT's encoder (Devlin et al., 2019), post-LN or pre-LN.

    By its configuration it is ELECTRA's (narrow embeddings) or DistilBERT's (no token types), too.

    Its variables carry Google BERT's checkpoint names, and its inputs and outputs are those of
    tf-models-official's encoders, so that its heads (`BertClassifier`, `BertPretrainerV2`,
    `BertSpanLabeler`, `BertTokenClassifier`) sit on it unchanged.

    The levers: `dense_factory` chooses what the kernels are made of; `gradient_start` where
    training begins; `transform(layers=...)` where computing begins and which layers run;
    `transform(width=...)` how many heads and neurons run. The clock is a callback, outside.

    Args:
      config: `BertConfig`, or the dict of its `to_dict`.
      dense_factory: callable with `Dense`'s constructor, used for the kernels of each layer.
        To save the encoder with Keras, register it with `keras.saving.register_keras_serializable`.
      gradient_start: None trains everything; 0 freezes the embeddings; k > 0 freezes the
        embeddings and the first k layers. What is frozen runs without dropout and gradient.

    Example:
      >>> encoder = BertEncoder(BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2,
      ...                                  num_attention_heads=2, intermediate_size=16))
      >>> outputs = encoder({"input_word_ids": tf.ones([3, 5], tf.int32)})
      >>> outputs["sequence_output"].shape, outputs["pooled_output"].shape
      (TensorShape([3, 5, 8]), TensorShape([3, 8]))
    """

    def __init__(self, config, dense_factory=None, gradient_start=None, **kwargs):
        super().__init__(name=kwargs.pop("name", "bert"), **kwargs)
        self.config = BertConfig.from_dict(config) if isinstance(config, dict) else config
        self.dense_factory = dense_factory
        self.gradient_start = gradient_start
        hidden = self.config.hidden_size
        self.embeddings = Embeddings(self.config)
        self.encoder_layers = [
            EncoderLayer(self.config.of_layer(i), f"bert/encoder/layer_{i}", dense_factory or Dense)
            for i in range(self.config.num_hidden_layers)
        ]
        self.final_norm = None
        if self.config.norm_position == "pre":
            self.final_norm = LayerNorm(
                hidden, "bert/encoder/LayerNorm", self.config.layer_norm_eps
            )
        self.pooler = Dense(
            hidden, hidden, "bert/pooler/dense", self.config.initializer_range, name="pooler"
        )
        self.pooler_activation = activation(self.config.pooler_act)
        if gradient_start is not None:
            self.freeze(gradient_start or -1)
        self.inputs = {
            name: keras.Input([None], dtype=tf.int32, name=name)
            for name in ("input_word_ids", "input_mask", "input_type_ids")
        }

    def freeze(self, num_layers):
        """Sets where training begins; a model's step that is traced already does not change.

        `bert_tf.freezing.freeze` is the way to freeze a model that is compiled or training.

        Args:
          num_layers: 0 trains everything; -1 freezes the embeddings; n > 0 the embeddings and the
            first n layers.

        Raises:
          ValueError: the encoder has fewer layers.
        """
        most = len(self.encoder_layers)
        if not -1 <= num_layers <= most:
            raise ValueError(f"cannot freeze {num_layers} layers: expected -1 to {most}")
        self.gradient_start = max(num_layers, 0) if num_layers else None
        self.embeddings.trainable = not num_layers
        for index, layer in enumerate(self.encoder_layers):
            layer.trainable = index >= num_layers

    def embed(self, word_ids, type_ids=None, training=None):
        """Returns the embedding output.

        Args:
          word_ids: int32 [batch, seq].
          type_ids: int32 [batch, seq]; zeros when None. A model without token types ignores them.
          training: whether dropout is on; off when the embeddings are frozen.

        Returns:
          float [batch, seq, hidden] in the compute dtype.
        """
        frozen = self.gradient_start is not None
        if type_ids is None:
            type_ids = tf.zeros_like(word_ids)
        hidden = self.embeddings(word_ids, type_ids, training=training and not frozen)
        hidden = tf.cast(hidden, self.compute_dtype)
        return tf.stop_gradient(hidden) if frozen else hidden

    def transform(
        self,
        hidden,
        mask=None,
        layers=None,
        width=1.0,
        training=None,
        first_token_only=False,
        positions=None,
    ):
        """Runs encoder layers.

        Args:
          hidden: float [batch, seq, hidden], from `embed` or from a cache of some layer's output.
          mask: int or float [batch, seq], 1 for real tokens; all ones when None.
          layers: indices of the layers to run, in order; all when None. `range(k, L)` starts above
            a cached boundary; a subset is a shallower network.
          width: share of heads and neurons that run (DynaBERT's prefix slicing), in (0, 1]; or a
            tuple of (heads, neurons), one for each of `layers`.
          training: whether dropout is on (never in frozen layers).
          first_token_only: let the last layer compute the first token only, which is all that a
            pooler needs: the same result for five sixths of a layer less work.
          positions: int32 [batch, n], let the last layer compute these tokens only, which is all
            that a masked-LM head needs; None for all.

        Returns:
          (sequence_output [batch, seq or 1 or n, hidden], encoder_outputs: the output of each layer
          run, float [batch, seq, hidden], before the final LayerNorm of pre-LN).
        """
        layers = list(range(len(self.encoder_layers)) if layers is None else layers)
        mask_bias = None if mask is None else self._mask_bias(mask)
        frozen = self.gradient_start or 0
        outputs = []
        for place, index in enumerate(layers):
            last = place == len(layers) - 1
            hidden = self.encoder_layers[index](
                hidden,
                mask_bias,
                width=width[place] if isinstance(width, tuple) else width,
                training=training and index >= frozen,
                first_token_only=first_token_only and last,
                positions=positions if last else None,
            )
            if index < frozen:
                hidden = tf.stop_gradient(hidden)
            outputs.append(hidden)
        return (self.final_norm(hidden) if self.final_norm else hidden), outputs

    def pool(self, hidden):
        """act(dense(first token)), act is tanh in BERT: [batch, seq, hidden] -> [batch, hidden]."""
        return self.pooler_activation(self.pooler(hidden[:, 0]))

    def call(self, inputs, training=None):
        """Runs the whole encoder.

        Args:
          inputs: dict of int32 [batch, seq]: `input_word_ids`, and optionally `input_mask` (ones)
            and `input_type_ids` (zeros).
          training: whether dropout is on.

        Returns:
          dict: sequence_output [batch, seq, hidden], pooled_output [batch, hidden],
          encoder_outputs (list, the output of each layer).
        """
        hidden = self.embed(inputs["input_word_ids"], inputs.get("input_type_ids"), training)
        sequence, outputs = self.transform(hidden, inputs.get("input_mask"), training=training)
        return {
            "sequence_output": sequence,
            "pooled_output": self.pool(sequence),
            "encoder_outputs": outputs,
        }

    def get_embedding_table(self):
        """Returns the word embedding variable [vocab_size, config.embedding_width]."""
        return self.embeddings.word_embeddings

    def get_config(self):
        return {
            "name": self.name,
            "config": self.config.to_dict(),
            "dense_factory": self.dense_factory
            and keras.saving.get_registered_name(self.dense_factory),
            "gradient_start": self.gradient_start,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        factory = config.pop("dense_factory")
        return cls(dense_factory=factory and keras.saving.get_registered_object(factory), **config)

    def _mask_bias(self, mask):
        """0 for real keys, -10000 for padding (Google's constant): float32 [batch, 1, 1, seq]."""
        return (1.0 - tf.cast(mask, tf.float32))[:, None, None, :] * -10000.0
