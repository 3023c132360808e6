"""TokenClassifier: encoder, a head at every token, and the loss of the labelled ones."""

import tensorflow as tf

from bert_tf.encoder import BertEncoder, kernels
from bert_tf.finetuning.model import TaskModel
from bert_tf.heads import TokenClassifierHead, token_losses


class TokenClassifier(TaskModel):
    """BERT with a classifier of tokens, trained by compile/fit.

    Its logits are [batch, seq, num_outputs], labels int [batch, seq], negative for tokens that
    have none. The loss is the mean over the labelled tokens of a batch. The encoder's pooler is no
    part of the model.

    Args:
      config: `BertConfig`.
      num_outputs: number of labels.
      seed: integer seed of the dropout masks, see `UpdatedModel`.
      encoder: a `BertEncoder` to use; built from `config` when None.
    """

    reads_first_token = False

    def __init__(self, config, num_outputs, seed=0, encoder=None):
        super().__init__(config, seed, encoder, "token_classifier")
        self.encoder.pooler.trainable = False
        self.classifier = TokenClassifierHead(
            num_outputs,
            config.hidden_size,
            dropout=config.hidden_dropout_prob,
            initializer_range=config.initializer_range,
        )

    @property
    def model_weights(self):
        """The variables of encoder and head, frozen or not, without the pooler."""
        pooler = {id(v) for v in self.encoder.pooler.weights}
        return [v for v in super().model_weights if id(v) not in pooler]

    def head_outputs(self, sequence, training):
        return self.classifier(sequence, training=training)

    def example_losses(self, labels, logits):
        """Returns float32 [batch], the sum over the labelled tokens of each example."""
        return token_losses(labels, logits)

    def label_weights(self, labels):
        """Returns float32 [batch, seq]: 1 where there is a label."""
        return tf.cast(tf.convert_to_tensor(labels) >= 0, tf.float32)


def build_tagger(config, arrays, task, seed=0):
    """Returns a `TokenClassifier` for a task, its kernels of the forms of a model's arrays.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array} of the model, which are not assigned; None for dense kernels.
      task: `TaggingTask`, whose labels are the outputs.
      seed: see `TokenClassifier`.
    """
    encoder = BertEncoder(config, dense_factory=kernels.factory(config, arrays))
    return TokenClassifier(config, len(task.labels), seed, encoder)
