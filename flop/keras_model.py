"""Pruning of any Sequential or functional tf_keras model with dense layers."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from flop import compaction, decomposition, keras_internals
from flop.factorized_dense import FactorizedDense
from flop.hard_concrete import gate_seed
from flop.pruner import Pruner, all_finite
from flop.report import KernelRow, table


def factorize(model, masked=False, skip=()):
    """Returns a copy of a model whose `Dense` layers are factorised by a thin SVD: same outputs.

    Args:
      model: built `keras.Sequential` or functional model; it is left as it is.
      masked: whether every rank gets a hard-concrete gate, for `PruningModel`.
      skip: names of dense layers to leave dense (a small output layer, say).

    Raises:
      ValueError: a subclassed model, no dense layer, a name in `skip` that is none, or a kernel
        that is not finite.
    """
    dense = {x.name for x in model.layers if isinstance(x, keras.layers.Dense)}
    unknown = sorted(set(skip) - dense)
    if unknown or not dense - set(skip):
        raise ValueError(
            f"skip={list(skip)}: expected some of the dense layers of {model.name}, and not all;"
            f" they are {sorted(dense)}"
        )

    def replace(layer):
        if layer.name not in dense - set(skip):
            return None
        d_in, units = layer.kernel.shape
        new = _factorized(layer, d_in, units, min(d_in, units), masked)
        p, q = decomposition.svd(_finite(layer, layer.kernel))
        return new, {"kernel_p": p, "kernel_q": q, "bias": _bias(layer)}

    return _copy(model, replace)


def compact(model, threshold=0.0, target_sparsity=None, merge_dense=True):
    """Returns a copy of a masked model without gates: folded in, closed ranks cut.

    Args:
      model: from `factorize(masked=True)`, trained.
      threshold: ranks whose gate is at or below it are cut; at 0 the outputs stay the same.
      target_sparsity: cut to this share of the masked layers' dense kernels instead.
      merge_dense: multiply factors back into one kernel where they would cost more than it.

    Raises:
      ValueError: there is no masked layer, one is not finite, or the target cannot be reached.
    """
    masked = {x.name: x for x in masked_layers(model)}
    kernels = {name: _masked_kernel(x) for name, x in masked.items()}
    gates = {name: kernel.gates(masked[name].evaluation) for name, kernel in kernels.items()}
    if target_sparsity is None:
        keep = {name: compaction.open_components(z, threshold) for name, z in gates.items()}
    else:
        keep = compaction.choose_cut(kernels, gates, target_sparsity, merge_dense=merge_dense)

    def replace(layer):
        if layer.name not in masked:
            return None
        kernel, kept = kernels[layer.name], keep[layer.name]
        z = compaction.kept_gates(kernel, gates[layer.name], kept)
        p, q = compaction.fold(kernel, z, kept)
        d_in, units, rank = layer.input_units, layer.units, p.shape[1]
        if merge_dense and compaction.is_cheaper_dense(rank, d_in, units):
            new = keras.layers.Dense(
                units, activation=layer.activation, use_bias=layer.use_bias, name=layer.name
            )
            return new, {"kernel": compaction.merge(p, q), "bias": _bias(layer)}
        new = _factorized(layer, d_in, units, rank, masked=False)
        return new, {"kernel_p": p, "kernel_q": q, "bias": _bias(layer)}

    return _copy(model, replace)


def masked_layers(model):
    """Returns the masked `FactorizedDense` layers of a Keras model, in its order.

    Raises:
      ValueError: there is none.
    """
    layers = [x for x in model.layers if isinstance(x, FactorizedDense) and x.masked]
    if not layers:
        raise ValueError(f"{model.name} has no masked layer: see flop.factorize(masked=True)")
    return layers


def summary(before, after):
    """Returns a text table of what each masked kernel of `before` became in `after`."""
    rows = []
    for old in masked_layers(before):
        rank = getattr(after.get_layer(old.name), "rank", None)
        shape = (old.input_units, old.units)
        rows.append(KernelRow.of(old.name, *shape, old.rank, rank, merge_dense=False))
    return table(rows)


@keras.utils.register_keras_serializable("flop")
class PruningModel(keras.Model):
    """Trains a model with masked layers until the expected sparsity is the target.

    `compile` and `fit` are Keras': three optimizers update weights, gates and multipliers in one
    step. Logs gain the scalars of `Pruner.update`. Under a `tf.distribute` strategy a step is that
    of the global batch, whatever each replica's share of its rows (losses with the reduction SUM
    aside, which need equal shares). Under loss scaling an update whose gradients overflow is
    skipped for all three.

    Args:
      model: from `factorize(masked=True)`, or any model whose `layers` hold masked layers.
      target_sparsity, target_warmup, **pruner_arguments: see `Pruner`.
      seed: integer; the gates' noise is a function of it and the step, the same on all replicas.

    Example:
      >>> pruning = PruningModel(factorize(model, masked=True), target_sparsity=0.8)
      >>> pruning.compile("adam", "mse")
      >>> pruning.fit(x, y)
      >>> small = compact(pruning.model)
    """

    def __init__(self, model, target_sparsity, target_warmup=0, seed=0, **pruner_arguments):
        super().__init__(name=f"pruning_{model.name}")
        self.model = model
        self.seed = seed
        layers = masked_layers(model)
        self.pruner = Pruner(layers, target_sparsity, target_warmup, **pruner_arguments)
        self.global_step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="global_step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        keras_internals.report_first_replica(self)

    def call(self, inputs, training=None):
        """Returns what the model returns."""
        return self.model(inputs, training=training)

    def train_step(self, data):
        """One update of weights, gates and multipliers."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        gates = self.pruner.gates
        own = {id(gate) for gate in gates}
        weights = [v for v in self.trainable_variables if id(v) not in own]
        scales = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        noise = gate_seed(tf.stack([tf.cast(self.global_step, tf.int32), self.seed]))
        with tf.GradientTape() as tape, noise:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs, sample_weight)
            loss *= tf.cast(_share(x), loss.dtype)
            if scales:
                loss = self.optimizer.get_scaled_loss(loss)
        gradients = _of_global_batch(tape.gradient(loss, [*weights, *gates]))
        if scales:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        gradients, slopes = gradients[: len(weights)], gradients[len(weights) :]
        applied = None
        if scales:
            applied = all_finite([*gradients, *slopes])
            gradients = [_nan_unless(applied, g) for g in gradients]
        logs = self.pruner.update(self.global_step, slopes, applied)
        pairs = zip(gradients, weights, strict=True)
        # The older optimizers' name of `skip_gradients_aggregation`, which the newer ones know too.
        self.optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)
        self.global_step.assign_add(1)
        return {**self.compute_metrics(x, y, outputs, sample_weight), **logs}


def _share(x):
    """This replica's rows, as a multiple of the mean: by how much more its mean loss counts."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return 1.0
    rows = tf.cast(tf.shape(tf.nest.flatten(x)[0])[0], tf.float32)
    return rows * replica.num_replicas_in_sync / replica.all_reduce("sum", rows)


def _of_global_batch(gradients):
    """The gradients summed over the replicas, with Nones kept."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return gradients
    sums = iter(replica.all_reduce("sum", [g for g in gradients if g is not None]))
    return [g if g is None else next(sums) for g in gradients]


def _nan_unless(finite, gradient):
    """The same gradient, or NaN, which loss scaling takes for an overflow."""
    factor = tf.where(finite, 1.0, float("nan"))
    if isinstance(gradient, tf.IndexedSlices):
        values = gradient.values * tf.cast(factor, gradient.values.dtype)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return None if gradient is None else gradient * tf.cast(factor, gradient.dtype)


def _copy(model, replace):
    """A clone with its weights; `replace` (layer) gives (new layer, {attribute: array}) or None."""
    values = {}

    def clone(layer):
        found = replace(layer)
        if found is None:
            return layer.__class__.from_config(layer.get_config())
        values[layer.name] = found[1]
        return found[0]

    copy = keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        new = copy.get_layer(layer.name)
        if layer.name not in values:
            new.set_weights(layer.get_weights())
        for attribute, value in values.get(layer.name, {}).items():
            if value is not None:
                getattr(new, attribute).assign(value)
    return copy


def _factorized(layer, d_in, units, rank, masked):
    return FactorizedDense(
        int(d_in),
        int(units),
        int(rank),
        scope=layer.name,
        masked=masked,
        activation=layer.activation,
        use_bias=layer.use_bias,
    )


def _bias(layer):
    return layer.bias.numpy() if layer.use_bias else None


def _masked_kernel(layer):
    parts = (layer.kernel_p, layer.kernel_q, layer.mask.log_alpha)
    return compaction.MaskedKernel(*(_finite(layer, part) for part in parts))


def _finite(layer, variable):
    """The variable's values; NaN would be cut, or spread, without a word."""
    values = variable.numpy()
    if not np.isfinite(values).all():
        raise ValueError(
            f"{layer.name}: {variable.name} is not finite: give the model of an earlier epoch"
        )
    return values
