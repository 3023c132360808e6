"""TaskModel: encoder, head and the loss of a task, whatever the head labels."""

import tensorflow as tf

from bert_tf.encoder import BertEncoder, Subnetwork
from bert_tf.heads import softened_losses
from bert_tf.training.lever import Loss, Pass
from bert_tf.training.passes import mean_losses
from bert_tf.training.update import UpdatedModel


class TaskModel(UpdatedModel):
    """BERT with a head on top, trained by compile/fit.

    A subclass makes the head, `classifier`, before anything is called, and defines `head_outputs`
    and `example_losses`.

    Args:
      config: `BertConfig`.
      seed: integer seed of the dropout masks, see `UpdatedModel`.
      encoder: a `BertEncoder` to use; built from `config` when None.
      name: the model's name.

    Attributes:
      reads_first_token: whether the head sees the first token only, the rest of the last layer's
        work then being left out.
      regression: whether the output is a number to predict.
      classifier: the head.
    """

    reads_first_token = True
    regression = False

    def __init__(self, config, seed, encoder, name):
        super().__init__(config, encoder or BertEncoder(config), seed, name)
        self._whole = Subnetwork.of(config)
        self._subnetwork = self._whole
        # Past Keras, which would make a dictionary part of the model's checkpoints.
        object.__setattr__(self, "_functions", {})

    def head_outputs(self, sequence, training):
        """Returns float32 logits of the encoder's output [batch, seq or 1, hidden]."""
        raise NotImplementedError

    def example_losses(self, labels, logits):
        """Returns float32 losses [batch] of the task: each what an example adds to the sum."""
        raise NotImplementedError

    def softened_losses(self, wanted, logits, temperature):
        """Returns float32 losses that draw logits to a teacher's, `wanted`, see `heads`.

        Args:
          wanted, logits: float32 [..., num_outputs], of `forward`.
          temperature: that softens both.

        Returns:
          One for each label: [batch], or of the shape of `label_weights`.
        """
        return softened_losses(wanted, logits, temperature, self.regression)

    def label_weights(self, labels):
        """Returns how much each label counts, float32 of the labels' shape; None: all alike."""
        return None

    def compile(self, *args, **kwargs):
        """Prepares for `fit`, see `UpdatedModel.compile`."""
        self._functions.clear()
        super().compile(*args, **kwargs)

    @property
    def model_weights(self):
        """The variables of encoder and head, frozen or not: what a checkpoint of the model has."""
        return self.encoder.weights + self.classifier.weights

    def call(self, inputs, training=None):
        """Returns the float32 logits of the three int32 inputs [batch, seq].

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
          first_token_only: let the last layer compute the first token only, where that is all that
            the head needs: its state is then [batch, 1, hidden].
          layers: indices of the layers to run; all that follow `inputs["hidden"]` when None.
          width: share of heads and neurons, or how many in each layer, see `BertEncoder.transform`.

        Returns:
          float32 logits, and a list of float [batch, seq, hidden]: the embedding output, then that
          of each layer that runs.
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
            first_token_only=first_token_only and self.reads_first_token,
        )
        return self.head_outputs(sequence, training), [hidden, *states]

    def batch_totals(self, data):
        """What the labels of the batch count together: the examples, int32, if all count alike."""
        weights = self.label_weights(data[1])
        return tf.shape(data[1])[0] if weights is None else tf.reduce_sum(weights)

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
