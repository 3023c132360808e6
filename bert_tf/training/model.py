"""SequenceClassifier: encoder, head, and the training step that every technique turns levers on."""

import tensorflow as tf
import tf_keras as keras

from bert_tf.encoder import BertEncoder
from bert_tf.heads import ClassifierHead
from bert_tf.training.optimization import apply_gradients, clip_by_global_norm
from bert_tf.training.update import UpdatedModel
from flop.hard_concrete import gate_seed
from flop.pruner import all_finite

_GATE_NOISE = 0x6A7E  # keeps the gates' noise apart from the dropout masks of the same step


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
        self.gradient_monitor = None
        self.pruner = None
        self.train_weights = True
        self.regularization_scale = 0.0
        self._distillation = None

    def compile(
        self,
        optimizer,
        clip_norm=1.0,
        accumulation_steps=1,
        pruner=None,
        train_weights=True,
        regularization_scale=0.0,
        distillation=None,
        **kwargs,
    ):
        """Prepares for `fit`.

        Args:
          optimizer, clip_norm, accumulation_steps: see `UpdatedModel.compile`. The gates' gradients
            are neither clipped nor part of the norm.
          pruner: `flop.pruner.Pruner` of the encoder's gates; None trains no gates.
          train_weights: False trains the gates alone: no weight has a gradient or a slot.
          regularization_scale: times half the squared norm of every kernel of encoder and pooler
            is added to the loss.
          distillation: `distillation.Distillation`, whose loss is added; None for none.
          **kwargs: `jit_compile`, `steps_per_execution`, ... of `keras.Model.compile`.

        Raises:
          ValueError: gates alone in float16: without weights nothing adapts the loss scale.
        """
        super().compile(optimizer, clip_norm, accumulation_steps, **kwargs)
        self._scales_loss = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        if self._scales_loss and not train_weights:
            raise ValueError("train_weights=False: nothing adapts the loss scale of float16")
        self.pruner = pruner
        self.train_weights = train_weights
        self.regularization_scale = regularization_scale
        # Inside a function, where Keras does not take the teacher's weights for the model's.
        self._distillation = distillation and (lambda: distillation)

    @property
    def model_weights(self):
        """The variables of encoder and head, frozen or not: what a checkpoint of the model has."""
        return self.encoder.weights + self.classifier.weights

    @property
    def trained_weights(self):
        """The variables that the optimizer updates: all but gates and what is frozen, or none."""
        if not self.train_weights:
            return []
        return [v for v in self.trainable_variables if not v.name.endswith("/log_alpha:0")]

    @property
    def loss_names(self):
        """The task's loss, and the teacher's if there is one."""
        return ("loss", "distillation_loss") if self._distillation else ("loss",)

    def create_slots(self):
        """Creates the variables of all optimizers, which the first update would else do."""
        super().create_slots()
        if self.pruner:
            self.pruner.create_slots()

    def call(self, inputs, training=None):
        """Returns float32 logits [batch, num_outputs] of the three int32 inputs [batch, seq]."""
        return self.forward(inputs, training)[0]

    def forward(self, inputs, training=None, first_token_only=True):
        """Returns (logits, hidden states): those of `call`, and what each layer gave on the way.

        With `inputs["hidden"]`, the output of the frozen layers [batch, seq, hidden], these and
        the embeddings are not computed, and the states begin with it.

        Args:
          inputs: dict of int32 [batch, seq], see `call`.
          training: whether dropout is on.
          first_token_only: let the last layer compute the first token only, all that the head
            needs: its state is then [batch, 1, hidden].

        Returns:
          float32 [batch, num_outputs], and a list of float [batch, seq, hidden]: the embedding
          output, then each layer's.
        """
        encoder, hidden, layers = self.encoder, inputs.get("hidden"), None
        if hidden is None:
            hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"], training)
        else:
            layers = range(encoder.gradient_start or 0, len(encoder.encoder_layers))
        sequence, states = encoder.transform(
            hidden,
            inputs["input_mask"],
            layers,
            training=training,
            first_token_only=first_token_only,
        )
        return self.classifier(encoder.pool(sequence), training=training), [hidden, *states]

    def example_losses(self, labels, logits):
        """Returns float32 losses [batch]: cross-entropy of int labels, or squared error.

        Raises:
          ValueError: the labels are no vector: [batch, 1] would be compared with all outputs.
        """
        labels = tf.convert_to_tensor(labels)
        if labels.shape.rank not in (1, None):
            raise ValueError(f"labels of shape {labels.shape}: expected [batch]")
        if self.regression:
            return tf.square(tf.cast(labels, tf.float32) - logits[:, 0])
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    def batch_totals(self, data):
        """The examples of the batch, int32."""
        return tf.shape(data[1])[0]

    def objective(self, data, weights):
        """The mean loss of the examples, with the teacher's if there is one."""
        inputs, labels = data
        logits, states = self.forward(inputs, training=True)
        losses = [tf.reduce_sum(self.example_losses(labels, logits)) * weights]
        total = losses[0]
        if self._distillation:
            distillation = self._distillation()
            losses.append(tf.reduce_sum(distillation(inputs, logits, states)) * weights)
            total = distillation.label_weight * losses[0] + losses[1]
        return total, losses

    def step_noise(self, step_seed):
        """The noise of the gates, the same in every micro-batch."""
        return gate_seed(tf.random.experimental.stateless_fold_in(step_seed, _GATE_NOISE))

    def train_step(self, data):
        """One update of weights, gates and multipliers: of all of them or, in float16, of none.

        Returns:
          Scalars of the global batch: mean `loss`, unclipped `grad_norm`, and, where they are
          used, `distillation_loss`, `l2_regularization_loss` and the logs of `Pruner.update`.
        """
        weights, gates = self.trained_weights, self.pruner.gates if self.pruner else []
        logs, gradients = self.batch_gradients(data, [*weights, *gates])
        gradients, slopes = gradients[: len(weights)], gradients[len(weights) :]
        if self.gradient_monitor:
            self.gradient_monitor.update(gradients, weights)
        if self.regularization_scale:
            gradients, logs["l2_regularization_loss"] = self._regularized(gradients, weights)
        elif self.pruner:
            logs["l2_regularization_loss"] = tf.constant(0.0)
        finite = all_finite(slopes) if self.pruner else None
        gradients, logs["grad_norm"] = clip_by_global_norm(gradients, self.clip_norm, finite)
        if self.pruner:
            # What overflowed is all NaN by now: loss scaling skips it, and gates with it.
            applied = tf.math.is_finite(logs["grad_norm"]) if self._scales_loss else None
            logs |= self.pruner.update(self.global_step, slopes, applied)
        if weights:
            apply_gradients(self.optimizer, gradients, weights)
        self.global_step.assign_add(1)
        return logs

    def _regularized(self, gradients, weights):
        """(gradients with those of the l2 loss, that loss) of the kernels of encoder and pooler."""
        scale = self.regularization_scale
        kernels = [v for v in self.trainable_variables if _is_regularized(v.name)]
        loss = scale * tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(v)) for v in kernels])
        added = [
            g + scale * tf.convert_to_tensor(v) if _is_regularized(v.name) else g
            for g, v in zip(gradients, weights, strict=True)
        ]
        return added, loss


def _is_regularized(name):
    return name.startswith("bert/") and name.endswith("/kernel:0")
