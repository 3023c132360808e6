"""One optimizer update of a global batch, the same for every model that is trained here."""

import contextlib

import tensorflow as tf
import tf_keras as keras

from bert_tf import keras_internals
from bert_tf.encoder import dropout_seed
from bert_tf.training.optimization import apply_gradients, clip_by_global_norm, create_slots


class UpdatedModel(keras.Model):
    """A model on a `BertEncoder`, trained by compile/fit: one step is one update of one batch.

    That holds whatever the accumulation, precision or distribution strategy. Dropout masks are a
    pure function of (seed, global_step, micro-batch, replica), so a resumed run draws the masks of
    an unbroken one. A subclass defines `model_weights`, `batch_totals` and `objective`.

    Args:
      config: `BertConfig`.
      encoder: `BertEncoder`.
      seed: integer seed of the dropout masks.
      name: the model's name.
    """

    def __init__(self, config, encoder, seed, name):
        super().__init__(name=name)
        self.config = config
        self.seed = seed
        self.encoder = encoder
        self.global_step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="global_step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        keras_internals.report_first_replica(self)
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

    @property
    def model_weights(self):
        """The variables that a checkpoint of the model has, trained or not."""
        raise NotImplementedError

    @property
    def trained_weights(self):
        """The variables that the optimizer updates."""
        return self.trainable_variables

    @property
    def loss_names(self):
        """Names, in `fit`'s logs, of what `objective` returns beside the total."""
        return ("loss",)

    def create_slots(self):
        """Creates the variables of all optimizers, which the first update would else do."""
        create_slots(self.optimizer, self.trained_weights)

    def batch_totals(self, data):
        """Returns a tensor: what the losses are means over, counted in this replica's batch."""
        raise NotImplementedError

    def objective(self, data, weights):
        """Returns (loss to minimise, list of scalars to log) of one micro-batch, in training.

        Args:
          data: the micro-batch.
          weights: float32, 1 / `batch_totals` of the global batch: sums times it are its means.
        """
        raise NotImplementedError

    def train_step(self, data):
        """One update.

        Returns:
          Scalars of the global batch: `loss_names` and the unclipped `grad_norm`.
        """
        variables = self.trained_weights
        logs, gradients = self.batch_gradients(data, variables)
        gradients, logs["grad_norm"] = clip_by_global_norm(gradients, self.clip_norm)
        apply_gradients(self.optimizer, gradients, variables)
        self.global_step.assign_add(1)
        return logs

    def batch_gradients(self, data, variables):
        """Returns ({loss name: scalar}, gradients) of the global batch, the same on each replica.

        The gradients are those of the objective, not of a scaled loss.
        """
        replica = tf.distribute.get_replica_context()
        totals = self.batch_totals(data)
        if replica.num_replicas_in_sync > 1:
            totals = replica.all_reduce("sum", totals)
        step_seed = tf.stack([tf.cast(self.global_step, tf.int32), self.seed])
        seed = tf.random.experimental.stateless_fold_in(step_seed, replica.replica_id_in_sync_group)
        weights = 1.0 / tf.cast(totals, tf.float32)
        with self.step_noise(step_seed):
            losses, gradients = self._accumulated(data, weights, seed, variables)
        if replica.num_replicas_in_sync > 1:
            losses = replica.all_reduce("sum", losses)
            gradients = replica.all_reduce("sum", gradients)
        if isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer):
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        return {name: losses[i] for i, name in enumerate(self.loss_names)}, gradients

    def step_noise(self, step_seed):
        """Context of one update's forward and backward pass; `step_seed` is an int32 [2]."""
        return contextlib.nullcontext()

    def _accumulated(self, data, weights, seed, variables):
        """(sums of the logged scalars, gradients), over all micro-batches of the batch."""
        count = self.accumulation_steps
        if count == 1:
            return self._gradients(data, weights, seed, variables)

        def add_micro_batch(index, losses, sums):
            micro = [_micro_batch(x, index, count) for x in tf.nest.flatten(data)]
            part = tf.nest.pack_sequence_as(data, micro)
            micro_seed = tf.random.experimental.stateless_fold_in(seed, index)
            more, gradients = self._gradients(part, weights, micro_seed, variables)
            sums = [s + tf.convert_to_tensor(g) for s, g in zip(sums, gradients, strict=True)]
            return index + 1, losses + more, sums

        zeros = [tf.zeros(v.shape, tf.float32) for v in variables]
        _, losses, sums = tf.while_loop(
            lambda index, *_: index < count,
            add_micro_batch,
            (tf.constant(0), tf.zeros([len(self.loss_names)]), zeros),
            parallel_iterations=1,
            maximum_iterations=count,
        )
        return losses, sums

    def _gradients(self, data, weights, seed, variables):
        """(float32 scalars [len(loss_names)], gradients) of one micro-batch."""
        with tf.GradientTape(watch_accessed_variables=False) as tape, dropout_seed(seed):
            tape.watch(variables)
            total, losses = self.objective(data, weights)
            if isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer):
                total = self.optimizer.get_scaled_loss(total)
        return tf.stack(losses), tape.gradient(total, variables)


def _micro_batch(x, index, count):
    """Rows of micro-batch `index` of `count`; equal static slices where the rows divide (XLA)."""
    if x.shape[0] is not None and x.shape[0] % count == 0:
        size = x.shape[0] // count
        return tf.slice(x, [index * size] + [0] * (x.shape.rank - 1), [size, *x.shape[1:]])
    rows = tf.shape(x)[0]
    return x[rows * index // count : rows * (index + 1) // count]
