"""One optimizer update of a global batch, the same for every model that is trained here."""

import contextlib
import itertools

import tensorflow as tf
import tf_keras as keras

from bert_tf import keras_internals
from bert_tf.encoder import dropout_seed
from bert_tf.training import passes as passes_lib
from bert_tf.training.lever import Pass
from bert_tf.training.optimization import (
    all_finite,
    apply_gradients,
    clip_by_global_norm,
    create_slots,
)


class UpdatedModel(keras.Model):
    """A model on a `BertEncoder`, trained by compile/fit: one step is one update of one batch.

    That holds whatever the accumulation, precision or distribution strategy. Dropout masks are a
    pure function of (seed, global_step, micro-batch, replica), so a resumed run draws the masks of
    an unbroken one. What techniques add to the step they add as levers. A subclass defines
    `model_weights`, `batch_totals` and `objective`.

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
        self.train_weights = True
        self.regularization_scale = 0.0
        self._set_levers(())

    def compile(
        self,
        optimizer,
        clip_norm=1.0,
        accumulation_steps=1,
        levers=(),
        train_weights=True,
        regularization_scale=0.0,
        **kwargs,
    ):
        """Prepares for `fit`.

        Args:
          optimizer: from `optimization.make_optimizer`.
          clip_norm: limit of the gradients' global norm (Google: 1.0); None for no clipping. The
            gradients of the levers' variables are neither clipped nor part of the norm.
          accumulation_steps: micro-batches that each global batch is cut into; the update is
            that of the whole batch, the memory that of one micro-batch.
          levers: `Lever`s of the step, in the order in which they act.
          train_weights: False trains the levers' variables alone: no weight has a gradient or a
            slot.
          regularization_scale: times half the squared norm of every kernel of encoder and pooler
            is added to the loss.
          **kwargs: `jit_compile`, `steps_per_execution`, ... of `keras.Model.compile`.

        Raises:
          ValueError: no weights are trained in float16: nothing adapts the loss scale.
        """
        super().compile(optimizer=optimizer, **kwargs)
        if self._scales_loss and not train_weights:
            raise ValueError("train_weights=False: nothing adapts the loss scale of float16")
        self.clip_norm = clip_norm
        self.accumulation_steps = accumulation_steps
        self.train_weights = train_weights
        self.regularization_scale = regularization_scale
        self._set_levers(levers)

    @property
    def levers(self):
        """The levers of the step, a tuple."""
        return self._levers

    def add_lever(self, lever):
        """Takes one more lever, in the place of an earlier one of its name; retraces the step."""
        others = (x for x in self._levers if x.name != lever.name)
        self._set_levers((*others, lever))
        self.train_function = None

    def _set_levers(self, levers):
        # Past Keras, which would take the levers' variables for the model's.
        object.__setattr__(self, "_levers", tuple(levers))

    @property
    def _scales_loss(self):
        return isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)

    @property
    def model_weights(self):
        """The variables that a checkpoint of the model has, trained or not."""
        raise NotImplementedError

    def arrays(self):
        """Returns {Google name: float32 array} of `model_weights`."""
        return {v.name.split(":")[0]: v.numpy() for v in self.model_weights}

    @property
    def trained_weights(self):
        """The variables that the optimizer updates: neither frozen ones nor a lever's, or none."""
        if not self.train_weights:
            return []
        own = {id(variable) for lever in self._levers for variable in lever.variables}
        return [v for v in self.trainable_variables if id(v) not in own]

    def create_slots(self):
        """Creates the variables of all optimizers, which the first update would else do."""
        create_slots(self.optimizer, self.trained_weights)
        for lever in self._levers:
            lever.create_slots()

    def passes(self):
        """Returns the passes of a step, the levers' changes included."""
        passes = (self.task_pass(),)
        for lever in self._levers:
            passes = tuple(lever.passes(passes))
        return passes

    def task_pass(self):
        """Returns the `Pass` that trains the model to its task."""
        return Pass()

    def logged_names(self, passes):
        """Returns the names, in `fit`'s logs, of the scalars of these passes, each once."""
        return tuple(dict.fromkeys(loss.name for one in passes for loss in one.losses))

    def batch_totals(self, data):
        """Returns a tensor: what the losses are means over, counted in this replica's batch."""
        raise NotImplementedError

    def objective(self, data, weights, one, shared):
        """Returns (loss to minimise, {name: scalar} to log) of a pass over one micro-batch.

        Args:
          data: the micro-batch.
          weights: float32, 1 / `batch_totals` of the global batch: sums times it are its means.
          one: the `Pass`.
          shared: {name: tensors} of the levers, see `Lever.shared`.
        """
        raise NotImplementedError

    def train_step(self, data):
        """One update of weights and of what levers train: of all or, in float16, of none.

        Returns:
          Scalars of the global batch: the losses of the passes, the unclipped `grad_norm`, what
          the levers log and, where it is used, `l2_regularization_loss`.
        """
        weights, own = self.trained_weights, [list(lever.variables) for lever in self._levers]
        logs, gradients = self.batch_gradients(data, [*weights, *itertools.chain(*own)])
        gradients, others = gradients[: len(weights)], gradients[len(weights) :]
        clipped = gradients
        if self.regularization_scale:
            clipped, l2_loss = self._regularized(gradients, weights)
        finite = all_finite(others) if others else None
        clipped, logs["grad_norm"] = clip_by_global_norm(clipped, self.clip_norm, finite)
        # What overflowed is all NaN by now: loss scaling skips it, and what levers train with it.
        applied = tf.math.is_finite(logs["grad_norm"]) if self._scales_loss else None
        seen = list(zip(gradients, weights, strict=True))
        for lever, part in zip(self._levers, _split(others, map(len, own)), strict=True):
            logs |= lever.update(self.global_step, part, seen, applied)
        if self.regularization_scale:
            logs["l2_regularization_loss"] = l2_loss
        if weights:
            apply_gradients(self.optimizer, clipped, weights)
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
        passes = self.passes()
        with contextlib.ExitStack() as noises:
            for lever in self._levers:
                noises.enter_context(lever.noise(step_seed))
            losses, gradients = self._accumulated(data, weights, seed, variables, passes)
        if replica.num_replicas_in_sync > 1:
            losses = replica.all_reduce("sum", losses)
            gradients = replica.all_reduce("sum", gradients)
        if self._scales_loss:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        return {name: losses[i] for i, name in enumerate(self.logged_names(passes))}, gradients

    def _accumulated(self, data, weights, seed, variables, passes):
        """(sums of the logged scalars, gradients), over all micro-batches of the batch."""
        count = self.accumulation_steps
        if count == 1:
            return self._gradients(data, weights, seed, variables, passes)

        def add_micro_batch(index, losses, sums):
            micro = [_micro_batch(x, index, count) for x in tf.nest.flatten(data)]
            part = tf.nest.pack_sequence_as(data, micro)
            micro_seed = tf.random.experimental.stateless_fold_in(seed, index)
            more, gradients = self._gradients(part, weights, micro_seed, variables, passes)
            sums = [s + tf.convert_to_tensor(g) for s, g in zip(sums, gradients, strict=True)]
            return index + 1, losses + more, sums

        zeros = [tf.zeros(v.shape, tf.float32) for v in variables]
        _, losses, sums = tf.while_loop(
            lambda index, *_: index < count,
            add_micro_batch,
            (tf.constant(0), tf.zeros([len(self.logged_names(passes))]), zeros),
            parallel_iterations=1,
            maximum_iterations=count,
        )
        return losses, sums

    def _gradients(self, data, weights, seed, variables, passes):
        """(float32 scalars by `logged_names`, gradients) of one micro-batch, over all passes."""
        inputs = data[0] if isinstance(data, tuple) else data
        shared = {}
        for lever in self._levers:
            shared |= lever.shared(inputs)
        names = self.logged_names(passes)

        def run(index, one):
            # The first pass draws the dropout masks that a step of one pass draws.
            own_seed = tf.random.experimental.stateless_fold_in(seed, index) if index else seed
            with tf.GradientTape(watch_accessed_variables=False) as tape, dropout_seed(own_seed):
                tape.watch(variables)
                total, logged = self.objective(data, weights, one, shared)
                if self._scales_loss:
                    total = self.optimizer.get_scaled_loss(total)
            losses = tf.stack([logged.get(name, 0.0) for name in names])
            return losses, tape.gradient(total, variables)

        added = passes_lib.added_up(run, passes, self.global_step, variables, len(names))
        losses, gradients = added
        if any(one.forward for one in passes):  # which may leave out layers
            pairs = zip(gradients, variables, strict=True)
            gradients = [tf.zeros(v.shape) if g is None else g for g, v in pairs]
        return losses, gradients

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


def _split(values, sizes):
    """The list cut into lists of these sizes."""
    rest, parts = iter(values), []
    for size in sizes:
        parts.append([next(rest) for _ in range(size)])
    return parts


def _micro_batch(x, index, count):
    """Rows of micro-batch `index` of `count`; equal static slices where the rows divide (XLA)."""
    if x.shape[0] is not None and x.shape[0] % count == 0:
        size = x.shape[0] // count
        return tf.slice(x, [index * size] + [0] * (x.shape.rank - 1), [size, *x.shape[1:]])
    rows = tf.shape(x)[0]
    return x[rows * index // count : rows * (index + 1) // count]
