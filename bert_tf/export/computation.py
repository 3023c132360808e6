"""What a model computes, in TensorFlow, for artefacts that are traced and for the check of all."""

import tensorflow as tf

from bert_tf.checkpoints.report import assign_arrays
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.export.source import INPUTS
from bert_tf.heads import ClassifierHead, MaskedLMHead


def model_runner(source):
    """Returns a callable that runs an `ExportSource` in TensorFlow, as the runners of formats do.

    Returns:
      Callable ({input name: int64 [batch, length]}) -> {output name: float32 array}.
    """
    module = Computation(source)
    ids = tf.TensorSpec([None, None], tf.int32)
    function = tf.function(module, input_signature=[ids] * len(INPUTS))

    def run(values):
        found = function(*(tf.constant(values[x], tf.int32) for x in INPUTS))
        return {name: value.numpy() for name, value in found.items()}

    return run


class Computation:
    """What a model computes, to be traced: (ids, mask, types: int32 [B, T]) -> {name: float32}.

    Args:
      source: `ExportSource`.

    Attributes:
      variables: its weights.
    """

    def __init__(self, source):
        config, arrays = source.config, source.arrays
        self._source = source
        self._encoder = BertEncoder(config, dense_factory=kernels.factory(config, arrays))
        self._encoder({"input_word_ids": tf.zeros([1, 1], tf.int32)})
        self._head, taken = None, ("bert/",)
        if "output_weights" in arrays:
            self._head = ClassifierHead(len(arrays["output_bias"]), config.hidden_size)
            self._head(tf.zeros([1, config.hidden_size]))
            taken = ("bert/", "output_")
        elif source.kind == "masked_lm":
            self._head = MaskedLMHead(config, self._encoder.get_embedding_table())
            self._head(tf.zeros([1, 1, config.hidden_size]))
            taken = ("bert/", "cls/predictions/")
        variables = [*self._encoder.weights, *(self._head.weights if self._head else ())]
        unique = {id(variable): variable for variable in variables}  # the table is tied
        self.variables = list(unique.values())
        values = {name: x for name, x in arrays.items() if name.startswith(taken)}
        assign_arrays(self.variables, values, source.model.source)

    def __call__(self, ids, mask, types):
        kind, encoder = self._source.kind, self._encoder
        classifies = kind in ("classification", "regression")
        hidden, _ = encoder.transform(
            encoder.embed(ids, types), mask, training=False, first_token_only=classifies
        )
        if classifies:
            return {"logits": self._head(encoder.pool(hidden), training=False)}
        if kind == "masked_lm":
            return {"logits": self._head(hidden)}
        pooled = {"pooled_output": encoder.pool(hidden)} if self._source.has_pooler else {}
        return {"sequence_output": hidden, **pooled}
