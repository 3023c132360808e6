"""SpanModel: encoder, head of spans, and the loss of their ends."""

import tensorflow as tf

from bert_tf.checkpoints.model_folder import POOLER
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.finetuning.model import TaskModel
from bert_tf.heads import SpanHead, softened_span_losses, span_losses

NO_TOKEN = -1e9
"""The logit of padding: no answer ends there, however long the batch that a text is in."""


class SpanModel(TaskModel):
    """BERT with a head that finds where an answer begins and ends, trained by compile/fit.

    Its logits are [batch, seq, 2], `NO_TOKEN` at padding; its labels [batch, 2], two positions.

    Args:
      config: `BertConfig`.
      seed: integer seed of the dropout masks, see `UpdatedModel`.
      encoder: a `BertEncoder` to use; built from `config` when None.
      keeps_pooler: whether the pooler, which nothing here trains or uses, belongs to the model.

    Example:
      >>> model = SpanModel(config)
      >>> model.compile(optimizer=make_optimizer("adamw", schedule))
      >>> model.fit(dataset)  # of ({input_word_ids, input_mask, input_type_ids}, positions)
    """

    reads_first_token = False

    def __init__(self, config, seed=0, encoder=None, keeps_pooler=True):
        super().__init__(config, seed, encoder, "span_model")
        self.encoder.pooler.trainable = False  # it has no gradient
        self.classifier = SpanHead(config.hidden_size, config.initializer_range)
        self._keeps_pooler = keeps_pooler

    @property
    def model_weights(self):
        """The variables of encoder and head, frozen or not; the pooler if it is to be kept."""
        found = super().model_weights
        return found if self._keeps_pooler else [v for v in found if not _is_pooler(v)]

    def forward(self, inputs, training=None, **part):
        """As `TaskModel.forward`; no logit of padding counts."""
        logits, states = super().forward(inputs, training, **part)
        real = tf.cast(inputs["input_mask"], tf.bool)[:, :, None]
        return tf.where(real, logits, NO_TOKEN), states

    def head_outputs(self, sequence, training):
        return self.classifier(sequence)

    def example_losses(self, labels, logits):
        """Returns float32 losses [batch], see `heads.span_losses`."""
        return span_losses(labels, logits)

    def softened_losses(self, wanted, logits, temperature):
        """Returns float32 losses [batch], see `heads.softened_span_losses`."""
        return softened_span_losses(wanted, logits, temperature)


def build_model(config, arrays, seed=0):
    """Returns a `SpanModel`, its kernels of the forms of a model's arrays.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array} of the model, which are not assigned; None for dense kernels.
      seed: see `SpanModel`.
    """
    return SpanModel(
        config,
        seed=seed,
        encoder=BertEncoder(config, dense_factory=kernels.factory(config, arrays)),
        keeps_pooler=arrays is None or POOLER in arrays,
    )


def _is_pooler(variable):
    return variable.name.startswith("bert/pooler/")
