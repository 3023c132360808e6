"""Optimizers: AdamW with Google BERT's semantics, LAMB, and clipping by the true global norm."""

import platform

import tensorflow as tf
import tf_keras as keras

from bert_tf import keras_internals
from bert_tf.errors import UserError
from bert_tf.packages import require_tf_models

# Regular expressions searched in variable names; "bias" also covers output_bias.
NO_WEIGHT_DECAY = ("LayerNorm", "layer_norm", "bias")


@tf.function(jit_compile=True)
def _scale_in_place(handle, factor, shape):
    """Multiplies the float32 variable behind `handle` by `factor` without a second buffer.

    A table of 12 M floats takes 4 ms this way and 50 ms as `assign(w * factor)`, most of it page
    faults of the product. `shape`, a Python tuple, keeps the traces of different shapes apart.
    """
    value = tf.ensure_shape(tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32), shape)
    tf.raw_ops.AssignVariableOp(resource=handle, value=value * factor)


def _dense(gradient, variable):
    """Returns `gradient` as a dense tensor; the values of repeated rows are added up."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows = variable.shape[0]
    return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, rows)


@keras.utils.register_keras_serializable("bert_tf")
class AdamW(keras_internals.SlotOptimizer):
    """Adam with decoupled weight decay:

        m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
        w = w - lr (m_hat / (sqrt(v_hat) + epsilon) + weight_decay w)

    m_hat = m / (1 - b1^t) and v_hat = v / (1 - b2^t) with bias correction, m and v without it,
    which is Google BERT's optimizer. A sparse gradient (an embedding table's) gives the result of
    the dense one: every row moves. Clip gradients before with `clip_by_global_norm`.

    Args:
      learning_rate: a float or a schedule; at the first update the schedule is read at step 0.
      weight_decay: the decay, 0 for none.
      beta_1, beta_2, epsilon: Adam's.
      bias_correction: False for Google's exact form.
      exclude_from_weight_decay: regular expressions; a variable whose name has a match of any of
        them is not decayed.
      fused: True updates each variable in place by TensorFlow's own Adam kernel, and decays by an
        XLA kernel; False uses plain operations. Same result up to float rounding.
      name: the optimizer's name.
    """

    slot_names = ("m", "v")

    def __init__(
        self,
        learning_rate=5e-5,
        weight_decay=0.01,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        bias_correction=True,
        exclude_from_weight_decay=NO_WEIGHT_DECAY,
        fused=True,
        name="AdamW",
    ):
        super().__init__(learning_rate, name)
        self.weight_decay = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.bias_correction = bias_correction
        self.exclude_from_weight_decay(var_names=list(exclude_from_weight_decay))
        self.fused = fused
        # TensorFlow for Apple silicon has no XLA for the CPU.
        self._xla = fused and (platform.system(), platform.machine()) != ("Darwin", "arm64")

    def update_step(self, gradient, variable):
        """Updates one variable and its slots; `gradient` is a tensor or tf.IndexedSlices."""
        m, v = self.slots_of(variable)
        gradient = _dense(gradient, variable)
        lr = tf.cast(self.learning_rate, tf.float32)
        power_1 = power_2 = tf.constant(0.0)
        if self.bias_correction:
            t = tf.cast(self.iterations + 1, tf.float32)
            power_1, power_2 = tf.pow(self.beta_1, t), tf.pow(self.beta_2, t)
        # m_hat / (sqrt(v_hat) + epsilon), with the corrections moved out of the large tensors.
        epsilon = self.epsilon * tf.sqrt(1.0 - power_2)
        if self.weight_decay and self.is_decayed(variable):
            # After the gradient, when nothing reads the variable any more: else it is copied first.
            with tf.control_dependencies([gradient]):
                self._decay(variable, 1.0 - lr * self.weight_decay)
        if self.fused:
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=power_1,
                beta2_power=power_2,
                lr=lr,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=epsilon,
                grad=gradient,
            )
        else:
            m.assign(self.beta_1 * m + (1.0 - self.beta_1) * gradient)
            v.assign(self.beta_2 * v + (1.0 - self.beta_2) * tf.square(gradient))
            rate = lr * tf.sqrt(1.0 - power_2) / (1.0 - power_1)
            variable.assign_sub(rate * m / (tf.sqrt(v) + epsilon))

    def _decay(self, variable, factor):
        if self._xla:
            _scale_in_place(variable.handle, factor, tuple(variable.shape))
        else:
            variable.assign(variable * factor)

    def get_config(self):
        return {
            **super().get_config(),
            "weight_decay": self.weight_decay,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "bias_correction": self.bias_correction,
            "fused": self.fused,
        }


def clip_by_global_norm(grads, clip_norm, finite=None):
    """Scales all gradients down together so that their global norm is at most `clip_norm`.

    The norm is that of the dense gradients. tf.clip_by_global_norm takes the norm of a sparse
    gradient's values as they are, which is another number when a row is repeated.

    Args:
      grads: list of tensors, tf.IndexedSlices (any float dtype) and None.
      clip_norm: the limit; None or 0 for none, then only the norm is computed.
      finite: bool scalar, False makes the norm NaN: what else takes part in the update is not
        finite. None where nothing else does.

    Returns:
      (grads, norm): the list, with Nones kept and sparse gradients free of repeated rows, and a
      float32 scalar, the norm before clipping. A norm that is not finite makes every gradient NaN.
    """
    grads = [_unique_rows(g) if isinstance(g, tf.IndexedSlices) else g for g in grads]
    values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in grads]
    halves = [tf.nn.l2_loss(tf.cast(x, tf.float32)) for x in values if x is not None]
    norm = tf.sqrt(2.0 * tf.add_n(halves)) if halves else tf.constant(0.0)
    if finite is not None:
        norm = tf.where(finite, norm, float("nan"))
    elif not clip_norm:
        return grads, norm
    scale = clip_norm / tf.maximum(norm, clip_norm) if clip_norm else 1.0
    scale = tf.where(tf.math.is_finite(norm), scale, float("nan"))
    return [_scaled(g, scale) for g in grads], norm


def all_finite(gradients):
    """Returns a bool scalar: whether no number of the gradients is infinite or NaN.

    Args:
      gradients: list of tensors, `tf.IndexedSlices` and None.
    """
    values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(x)) for x in values if x is not None])


def _unique_rows(slices):
    """Returns the same gradient with each row once."""
    rows, place = tf.unique(slices.indices)
    values = tf.math.unsorted_segment_sum(slices.values, place, tf.size(rows))
    return tf.IndexedSlices(values, rows, slices.dense_shape)


def _scaled(gradient, scale):
    if gradient is None:
        return None
    if isinstance(gradient, tf.IndexedSlices):
        values = gradient.values * tf.cast(scale, gradient.values.dtype)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(scale, gradient.dtype)


def current_learning_rate(optimizer):
    """Returns the rate of `optimizer`'s latest update as a float (of any tf_keras optimizer)."""
    rate = optimizer.learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):  # legacy optimizers
        rate = rate(tf.maximum(optimizer.iterations - 1, 0))
    return float(tf.convert_to_tensor(rate))  # a strategy's variable does not convert itself


def _lamb(learning_rate, weight_decay, epsilon, beta_1, beta_2):
    require_tf_models("--optimizer=lamb")
    from official.modeling.optimization import lamb

    return lamb.LAMB(
        learning_rate=learning_rate,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
        weight_decay_rate=weight_decay,
        exclude_from_weight_decay=list(NO_WEIGHT_DECAY),
    )


def apply_gradients(optimizer, gradients, variables):
    """One update with gradients that are those of the global batch on every replica already."""
    pairs = zip(gradients, variables, strict=True)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
    else:  # tf-models-official's LAMB is an optimizer of the older kind
        optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)


def create_slots(optimizer, variables):
    """Creates the optimizer's own variables, which the first update would else do."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        optimizer.build(variables)
    else:
        keras_internals.create_legacy_slots(optimizer, variables)


def make_optimizer(
    name,
    learning_rate,
    weight_decay=0.01,
    epsilon=1e-6,
    beta_1=0.9,
    beta_2=0.999,
    bias_correction=True,
    fused=True,
    precision="float32",
):
    """Returns the optimizer `name`: "adamw" (`AdamW`) or "lamb" (tf-models-official's).

    LayerNorm and bias variables are not decayed, and have no layer-wise rate under LAMB.

    Args:
      name: the optimizer.
      learning_rate: a float or a schedule.
      weight_decay, epsilon, beta_1, beta_2: as in `AdamW`.
      bias_correction, fused: as in `AdamW`; LAMB always corrects.
      precision: of the training; `float16` scales the loss.

    Raises:
      UserError: unknown name, LAMB without bias correction, or without tf-models-official.
    """
    if name not in ("adamw", "lamb"):
        raise UserError(f"--optimizer={name}: unknown; expected one of adamw, lamb")
    if name == "lamb":
        if not bias_correction:
            raise UserError("--adam_bias_correction=false has no effect with --optimizer=lamb")
        optimizer = _lamb(learning_rate, weight_decay, epsilon, beta_1, beta_2)
    else:
        optimizer = AdamW(
            learning_rate,
            weight_decay=weight_decay,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            bias_correction=bias_correction,
            fused=fused,
        )
    if precision == "float16":
        return keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer
