"""The augmented Lagrangian that drives the expected sparsity of masked layers to a target."""

import tensorflow as tf
import tf_keras as keras

from flop import sparsity


class Pruner(tf.Module):
    """Gates and multipliers of a pruning, and their two optimizers.

    The loss gains lambda_1 (t - e) + lambda_2 (t - e)^2, t the target and e the expected sparsity.
    The gates descend, the multipliers ascend it (Wang et al., 2020). A training step hands the
    gates' gradients of its own loss to `update`.

    Args:
      layers: masked `FactorizedDense` layers. Those that are not trainable now keep their gates as
        they are, and count towards the sparsity.
      target_sparsity: share of `base_parameters` to remove, in [0, 1].
      target_warmup: updates over which the target rises from `initial_sparsity`; 0 for none.
      initial_sparsity: where the target starts. A thin factorisation of a dense kernel begins
        below 0 when measured against it.
      base_parameters: what sparsity is a share of; the layers' dense kernels when None.
      fixed_parameters: kernels of that base without gates, which all stay.
      gate_optimizer: Keras optimizer of the gates; Adam at 0.05 when None.
      lambda_optimizer: Keras optimizer of the multipliers, with a positive rate; Adam at 0.05.

    Attributes:
      gates: the log_alpha variables, one for each layer that was trainable.
      lambda_1, lambda_2: float32 variables [1], 0 at the start.

    Raises:
      ValueError: no trainable layer has a mask, or the target is outside [0, 1].
    """

    def __init__(
        self,
        layers,
        target_sparsity,
        target_warmup=0,
        initial_sparsity=0.0,
        base_parameters=None,
        fixed_parameters=0,
        gate_optimizer=None,
        lambda_optimizer=None,
    ):
        super().__init__(name="pruner")
        layers = [layer for layer in layers if layer.mask is not None]
        if not layers:
            raise ValueError("none of the layers has a mask: expected FactorizedDense(masked=True)")
        trained = frozenset(i for i, layer in enumerate(layers) if layer.trainable)
        if not trained:
            raise ValueError("none of the masked layers is trainable: there is no gate to train")
        if not 0 <= target_sparsity <= 1:
            raise ValueError(f"target_sparsity={target_sparsity}: expected a share in [0, 1]")
        if base_parameters is None:
            base_parameters = sum(x.input_units * x.units for x in layers)
        self._layers = layers
        self._trained = trained
        self.target_sparsity = target_sparsity
        self.target_warmup = target_warmup
        self.initial_sparsity = initial_sparsity
        self.base_parameters = base_parameters
        self.fixed_parameters = fixed_parameters
        self.gate_optimizer = gate_optimizer or keras.optimizers.Adam(0.05)
        self.lambda_optimizer = lambda_optimizer or keras.optimizers.Adam(0.05)
        # Not trainable to Keras: `update` gives them their gradients.
        self.lambda_1 = tf.Variable([0.0], trainable=False, name="lambda_1")
        self.lambda_2 = tf.Variable([0.0], trainable=False, name="lambda_2")

    @property
    def layers(self):
        """The masked layers."""
        return list(self._layers)

    @property
    def gates(self):
        """The log_alpha variables, one for each layer that was trainable."""
        return [x.mask.log_alpha for i, x in enumerate(self._layers) if i in self._trained]

    def create_slots(self):
        """Creates the optimizers' own variables, which the first update would else do."""
        self.gate_optimizer.build(self.gates)
        self.lambda_optimizer.build([self.lambda_1, self.lambda_2])

    def target(self, step):
        """Returns the target at `step`, a float32 scalar: a line up to the end of the warm-up."""
        share = 1.0
        if self.target_warmup:
            share = tf.minimum(tf.cast(step, tf.float32) / self.target_warmup, 1.0)
        return self.initial_sparsity + (self.target_sparsity - self.initial_sparsity) * share

    def expected_sparsity(self):
        """Returns 1 - expected parameters / base, a differentiable float32 scalar."""
        kept = self.fixed_parameters + sparsity.expected_parameters(self._layers)
        return 1.0 - kept / self.base_parameters

    def removed_sparsity(self, merge_dense=True):
        """Returns the float sparsity of the compact model that the gates would give now."""
        kept = self.fixed_parameters + sparsity.removed_parameters(self._layers, merge_dense)
        return 1.0 - kept / self.base_parameters

    def update(self, step, gate_gradients, applied=None):
        """One update of gates and multipliers; everything is read before anything is written.

        Args:
          step: integer scalar, updates done before this one.
          gate_gradients: gradients [rank] of the training loss, one for each of `gates`, those of
            the global batch on every replica, not of a scaled loss.
          applied: bool scalar tensor, the same on every replica: False skips this update as
            `keras.mixed_precision.LossScaleOptimizer` skips one: gates, multipliers and slots stay,
            the optimizers' iterations go on. None applies every update.

        Returns:
          {name: float32 scalar tensor} for the logs: lagrangian_loss, expected_sparsity,
          target_sparsity, lambda_1, lambda_2, all before the update, and the rates of the update:
          alpha_lr, and lambda_lr with the sign that makes a descent an ascent.
        """
        gates, target = self.gates, self.target(step)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(gates)
            expected = self.expected_sparsity()
            gap = target - expected
            penalty = tf.reduce_sum(self.lambda_1 * gap + self.lambda_2 * tf.square(gap))
        slopes = tape.gradient(penalty, gates)
        total = [g + s for g, s in zip(gate_gradients, slopes, strict=True)]
        ascent = [-tf.reshape(gap, [1]), -tf.reshape(tf.square(gap), [1])]
        logs = {
            "lagrangian_loss": penalty,
            "expected_sparsity": expected,
            "target_sparsity": target,
            "lambda_1": tf.identity(self.lambda_1[0]),
            "lambda_2": tf.identity(self.lambda_2[0]),
        }
        multipliers = [self.lambda_1, self.lambda_2]
        kept = [] if applied is None else self._variables()
        before = [tf.convert_to_tensor(variable) for variable in kept]
        _apply(self.gate_optimizer, total, gates)
        _apply(self.lambda_optimizer, ascent, multipliers)
        if kept:
            # Not by tf.cond: under a MirroredStrategy it fails beside that of the loss scaling.
            _restore_unless(applied, kept, before)
        return {
            **logs,
            "alpha_lr": tf.convert_to_tensor(self.gate_optimizer.learning_rate),
            "lambda_lr": -tf.convert_to_tensor(self.lambda_optimizer.learning_rate),
        }

    def _variables(self):
        """All that an update writes, but for the optimizers' iterations."""
        with tf.init_scope():
            self.create_slots()
        written = [*self.gates, self.lambda_1, self.lambda_2]
        for optimizer in (self.gate_optimizer, self.lambda_optimizer):
            written += [v for v in optimizer.variables if v is not optimizer.iterations]
        return written


def _apply(optimizer, gradients, variables):
    pairs = zip(gradients, variables, strict=True)
    optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)


def _restore_unless(applied, variables, before):
    """Gives the variables their values `before` back, unless `applied`."""

    def restore(strategy, applied, *before):
        for variable, value in zip(variables, before, strict=True):
            strategy.extended.update(variable, _choose, args=(applied, value), group=False)

    tf.distribute.get_replica_context().merge_call(restore, args=(applied, *before))


def _choose(variable, applied, value):
    variable.assign(tf.where(applied, variable, value))


def all_finite(gradients):
    """Returns a bool scalar: whether no number of the gradients is infinite or NaN.

    Args:
      gradients: list of tensors, `tf.IndexedSlices` and None.
    """
    values = [getattr(g, "values", g) for g in gradients if g is not None]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(x)) for x in values])
