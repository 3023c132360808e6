"""SequenceClassifier: encoder, head, and the loss of the task."""

from bert_tf.encoder import BertEncoder, kernels
from bert_tf.finetuning.model import TaskModel
from bert_tf.heads import ClassifierHead, example_losses


class SequenceClassifier(TaskModel):
    """BERT with a sentence classification or regression head, trained by compile/fit.

    Its logits are [batch, num_outputs].

    Args:
      config: `BertConfig`.
      num_outputs: number of labels; 1 with `regression`.
      regression: squared error on one output instead of cross-entropy.
      seed: integer seed of the dropout masks, see `UpdatedModel`.
      encoder: a `BertEncoder` to use; built from `config` when None.

    Example:
      >>> model = SequenceClassifier(config, num_outputs=2)
      >>> model.compile(optimizer=make_optimizer("adamw", schedule))
      >>> model.fit(dataset)  # of ({input_word_ids, input_mask, input_type_ids}, labels)
    """

    def __init__(self, config, num_outputs, regression=False, seed=0, encoder=None):
        super().__init__(config, seed, encoder, "sequence_classifier")
        self.regression = regression
        self.classifier = ClassifierHead(
            num_outputs,
            config.hidden_size,
            dropout=config.hidden_dropout_prob,
            initializer_range=config.initializer_range,
        )

    def head_outputs(self, sequence, training):
        return self.classifier(self.encoder.pool(sequence), training=training)

    def example_losses(self, labels, logits):
        """Returns float32 losses [batch] of the task, see `heads.example_losses`."""
        return example_losses(labels, logits, self.regression)


def build_classifier(config, arrays, task, seed=0):
    """Returns a `SequenceClassifier` for a task, its kernels of the forms of a model's arrays.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array} of the model, which are not assigned; None for dense kernels.
      task: `Task`, whose labels are the outputs.
      seed: see `SequenceClassifier`.
    """
    return SequenceClassifier(
        config,
        num_outputs=1 if task.labels is None else len(task.labels),
        regression=task.labels is None,
        seed=seed,
        encoder=BertEncoder(config, dense_factory=kernels.factory(config, arrays)),
    )
