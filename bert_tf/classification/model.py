"""SequenceClassifier: encoder, head, and the loss of the task."""

import tensorflow as tf

from bert_tf.encoder import BertEncoder, Subnetwork, kernels
from bert_tf.heads import ClassifierHead, example_losses
from bert_tf.training.lever import Loss, Pass
from bert_tf.training.passes import mean_losses
from bert_tf.training.update import UpdatedModel


class SequenceClassifier(UpdatedModel):
    """BERT with a sentence classification or regression head, trained by compile/fit.

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
        super().__init__(config, encoder or BertEncoder(config), seed, "sequence_classifier")
        self.regression = regression
        self.classifier = ClassifierHead(
            num_outputs,
            config.hidden_size,
            dropout=config.hidden_dropout_prob,
            initializer_range=config.initializer_range,
        )
        self._whole = Subnetwork.of(config)
        self._subnetwork = self._whole
        # Past Keras, which would make a dictionary part of the model's checkpoints.
        object.__setattr__(self, "_functions", {})

    def compile(self, *args, **kwargs):
        """Prepares for `fit`, see `UpdatedModel.compile`."""
        self._functions.clear()
        super().compile(*args, **kwargs)

    @property
    def model_weights(self):
        """The variables of encoder and head, frozen or not: what a checkpoint of the model has."""
        return self.encoder.weights + self.classifier.weights

    def call(self, inputs, training=None):
        """Returns float32 logits [batch, num_outputs] of the three int32 inputs [batch, seq].

        They are those of the sub-network that was set last, see `set_subnetwork`.
        """
        part = {} if self._subnetwork == self._whole else self._subnetwork.forward
        return self.forward(inputs, training, **part)[0]

    @property
    def subnetwork(self):
        """The `Subnetwork` that `call`, `predict` and `evaluate` run."""
        return self._subnetwork

    def set_subnetwork(self, width=1.0, depth=1.0, subnetwork=None, rule="keep_first"):
        """Chooses what `call`, `predict` and `evaluate` run from here on; nothing is loaded anew.

        Each sub-network is traced once, when it first runs. Training does not change.

        Args:
          width, depth, rule: see `Subnetwork.of`.
          subnetwork: a `Subnetwork` to run instead of these.

        Raises:
          UserError: the encoder has no such sub-network.

        Example:
          >>> model.set_subnetwork(width=0.5, depth=0.75)
          >>> logits = model.predict(dataset)
        """
        chosen = subnetwork or Subnetwork.of(self.config, width, depth, rule)
        chosen.check(self.config)
        self._functions[self._key] = (self.predict_function, self.test_function)
        self._subnetwork = chosen
        self.predict_function, self.test_function = self._functions.get(self._key, (None, None))

    @property
    def _key(self):
        return (self._subnetwork.layers, self._subnetwork.units)

    def forward(self, inputs, training=None, first_token_only=True, layers=None, width=1.0):
        """Returns (logits, hidden states): those of `call`, and what each layer gave on the way.

        With `inputs["hidden"]`, the output of the frozen layers [batch, seq, hidden], these and
        the embeddings are not computed, and the states begin with it.

        Args:
          inputs: dict of int32 [batch, seq], see `call`.
          training: whether dropout is on.
          first_token_only: let the last layer compute the first token only, all that the head
            needs: its state is then [batch, 1, hidden].
          layers: indices of the layers to run; all that follow `inputs["hidden"]` when None.
          width: share of heads and neurons, or how many in each layer, see `BertEncoder.transform`.

        Returns:
          float32 [batch, num_outputs], and a list of float [batch, seq, hidden]: the embedding
          output, then that of each layer that runs.
        """
        encoder, hidden = self.encoder, inputs.get("hidden")
        if hidden is None:
            hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"], training)
        elif layers is None:
            layers = range(encoder.gradient_start or 0, len(encoder.encoder_layers))
        sequence, states = encoder.transform(
            hidden,
            inputs["input_mask"],
            layers,
            width=width,
            training=training,
            first_token_only=first_token_only,
        )
        return self.classifier(encoder.pool(sequence), training=training), [hidden, *states]

    def example_losses(self, labels, logits):
        """Returns float32 losses [batch] of the task, see `heads.example_losses`."""
        return example_losses(labels, logits, self.regression)

    def batch_totals(self, data):
        """The examples of the batch, int32."""
        return tf.shape(data[1])[0]

    def task_pass(self):
        """The pass of the task's own loss."""

        def losses(inputs, labels, outputs, shared):
            return self.example_losses(labels, outputs[0])

        return Pass((Loss("loss", losses),))

    def objective(self, data, weights, one, shared):
        """The weighted mean losses of the pass over the examples."""
        inputs, labels = data
        outputs = self.forward(inputs, training=True, **one.forward)
        weights = weights if one.weight == 1.0 else one.weight * weights
        return mean_losses(one.losses, weights, inputs, labels, outputs, shared)


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
