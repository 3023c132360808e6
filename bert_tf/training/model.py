"""SequenceClassifier: encoder, head, and the training step that every technique turns levers on."""

import tensorflow as tf
import tf_keras as keras

from bert_tf.encoder import BertEncoder, dropout_seed
from bert_tf.heads import ClassifierHead
from bert_tf.training.optimization import apply_gradients, clip_by_global_norm


class SequenceClassifier(keras.Model):
    """BERT with a sentence classification or regression head, trained by compile/fit.

    One step is one optimizer update of one global batch, whatever the accumulation, precision or
    distribution strategy. Dropout masks are a pure function of (seed, global_step, micro-batch,
    replica), so a resumed run draws the masks of an unbroken one.

    Args:
      config: `BertConfig`.
      num_outputs: number of labels; 1 with `regression`.
      regression: squared error on one output instead of cross-entropy.
      seed: integer seed of the dropout masks.
      encoder: a `BertEncoder` to use; built from `config` when None.

    Example:
      >>> model = SequenceClassifier(config, num_outputs=2)
      >>> model.compile(optimizer=make_optimizer("adamw", schedule))
      >>> model.fit(dataset)  # of ({input_word_ids, input_mask, input_type_ids}, labels)
    """

    def __init__(self, config, num_outputs, regression=False, seed=0, encoder=None):
        super().__init__(name="sequence_classifier")
        self.config = config
        self.regression = regression
        self.seed = seed
        self.encoder = encoder or BertEncoder(config)
        self.classifier = ClassifierHead(
            num_outputs,
            config.hidden_size,
            dropout=config.hidden_dropout_prob,
            initializer_range=config.initializer_range,
        )
        self.global_step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="global_step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        # What train_step returns is already that of the global batch; Keras would add it up.
        self.distribute_reduction_method = "first"
        self.clip_norm = 1.0
        self.accumulation_steps = 1

    def compile(self, optimizer, clip_norm=1.0, accumulation_steps=1, **kwargs):
        """Prepares for `fit`.

        Args:
          optimizer: from `optimization.make_optimizer`.
          clip_norm: limit of the gradients' global norm (Google: 1.0); None for no clipping.
          accumulation_steps: micro-batches that each global batch is cut into; the update is
            that of the whole batch, the memory that of one micro-batch.
          **kwargs: `jit_compile`, `steps_per_execution`, ... of `keras.Model.compile`.
        """
        super().compile(optimizer=optimizer, **kwargs)
        self.clip_norm = clip_norm
        self.accumulation_steps = accumulation_steps

    def call(self, inputs, training=None):
        """Returns float32 logits [batch, num_outputs] of the three int32 inputs [batch, seq]."""
        encoder = self.encoder
        hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"], training)
        sequence, _ = encoder.transform(
            hidden, inputs["input_mask"], training=training, first_token_only=True
        )
        return self.classifier(encoder.pool(sequence), training=training)

    def example_losses(self, labels, logits):
        """Returns float32 losses [batch]: cross-entropy of int labels, or squared error."""
        if self.regression:
            return tf.square(tf.cast(labels, tf.float32) - logits[:, 0])
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    def train_step(self, data):
        """One update; returns the global batch's mean `loss` and unclipped `grad_norm`."""
        inputs, labels = data
        variables = self.trainable_variables
        replica = tf.distribute.get_replica_context()
        total = tf.shape(labels)[0]
        if replica.num_replicas_in_sync > 1:
            total = replica.all_reduce("sum", total)
        seed = tf.random.experimental.stateless_fold_in(
            tf.stack([tf.cast(self.global_step, tf.int32), self.seed]),
            replica.replica_id_in_sync_group,
        )
        weight = 1.0 / tf.cast(total, tf.float32)
        loss, gradients = self._batch_gradients(inputs, labels, weight, seed, variables)
        if replica.num_replicas_in_sync > 1:
            loss = replica.all_reduce("sum", loss)
            gradients = replica.all_reduce("sum", gradients)
        if isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer):
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        gradients, norm = clip_by_global_norm(gradients, self.clip_norm)
        apply_gradients(self.optimizer, gradients, variables)
        self.global_step.assign_add(1)
        return {"loss": loss, "grad_norm": norm}

    def _batch_gradients(self, inputs, labels, weight, seed, variables):
        """(sum of example losses * weight, its gradients), over all micro-batches of the batch."""
        count = self.accumulation_steps
        if count == 1:
            return self._gradients(inputs, labels, weight, seed, variables)

        def add_micro_batch(index, loss, sums):
            micro = [_micro_batch(x, index, count) for x in tf.nest.flatten((inputs, labels))]
            x, y = tf.nest.pack_sequence_as((inputs, labels), micro)
            micro_seed = tf.random.experimental.stateless_fold_in(seed, index)
            more, gradients = self._gradients(x, y, weight, micro_seed, variables)
            sums = [s + tf.convert_to_tensor(g) for s, g in zip(sums, gradients, strict=True)]
            return index + 1, loss + more, sums

        zeros = [tf.zeros(v.shape, tf.float32) for v in variables]
        _, loss, sums = tf.while_loop(
            lambda index, *_: index < count,
            add_micro_batch,
            (tf.constant(0), tf.constant(0.0), zeros),
            parallel_iterations=1,
            maximum_iterations=count,
        )
        return loss, sums

    def _gradients(self, inputs, labels, weight, seed, variables):
        with tf.GradientTape() as tape, dropout_seed(seed):
            logits = self(inputs, training=True)
            loss = tf.reduce_sum(self.example_losses(labels, logits)) * weight
            scaled = loss
            if isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer):
                scaled = self.optimizer.get_scaled_loss(loss)
        return loss, tape.gradient(scaled, variables)


def _micro_batch(x, index, count):
    """Rows of micro-batch `index` of `count`; equal static slices where the rows divide (XLA)."""
    if x.shape[0] is not None and x.shape[0] % count == 0:
        size = x.shape[0] // count
        return tf.slice(x, [index * size] + [0] * (x.shape.rank - 1), [size, *x.shape[1:]])
    rows = tf.shape(x)[0]
    return x[rows * index // count : rows * (index + 1) // count]
