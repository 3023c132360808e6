"""Learning-rate schedules: the rate at a step, counted from 0 (the first update uses step 0).

All are tf_keras schedules: `schedule(step)` takes a Python or tensor integer and returns a float32
scalar. Where a schedule warms up, its rate is `learning_rate * step / warmup_steps` while
`step < warmup_steps`, so the first update has rate 0, as in Google BERT.
"""

import math

import tensorflow as tf
import tf_keras as keras

from bert_tf.errors import UserError

_PACKAGE = "bert_tf"


def _warm(step, warmup_steps, learning_rate, rate_after):
    """Returns the warm-up rate before `warmup_steps`, `rate_after` from then on."""
    if not warmup_steps:
        return rate_after
    return tf.where(step < warmup_steps, learning_rate * step / warmup_steps, rate_after)


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose constructor arguments are its attributes, so that its config is too."""

    def __init__(self, **arguments):
        super().__init__()
        self._arguments = arguments
        for name, value in arguments.items():
            setattr(self, name, value)

    def get_config(self):
        return dict(self._arguments)


@keras.utils.register_keras_serializable(_PACKAGE)
class WarmupLinear(_Schedule):
    """Google's: straight down from `learning_rate` at step 0 to `end_learning_rate` at the end.

    The warm-up *replaces* the line rather than delaying it: at `warmup_steps` the rate steps down
    from nearly `learning_rate` to `learning_rate * (1 - warmup_steps / total_steps)`.

    Args:
      learning_rate: the nominal rate.
      total_steps: the number of updates; the rate stays at its end value beyond it.
      warmup_steps: see the module; 0 for none.
      end_learning_rate: the rate at `total_steps`.
    """

    def __init__(self, learning_rate, total_steps, warmup_steps=0, end_learning_rate=0.0):
        super().__init__(
            learning_rate=learning_rate,
            total_steps=total_steps,
            warmup_steps=warmup_steps,
            end_learning_rate=end_learning_rate,
        )

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        left = 1.0 - tf.minimum(step / self.total_steps, 1.0)
        line = self.end_learning_rate + (self.learning_rate - self.end_learning_rate) * left
        return _warm(step, self.warmup_steps, self.learning_rate, line)


@keras.utils.register_keras_serializable(_PACKAGE)
class Constant(_Schedule):
    """`learning_rate` at every step after the warm-up."""

    def __init__(self, learning_rate, warmup_steps=0):
        super().__init__(learning_rate=learning_rate, warmup_steps=warmup_steps)

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        return _warm(step, self.warmup_steps, self.learning_rate, tf.constant(self.learning_rate))


@keras.utils.register_keras_serializable(_PACKAGE)
class Noam(_Schedule):
    """Inverse square root: `i/sqrt(d) * (k/w^1.5 if k <= w else 1/sqrt(k))`, highest at step w.

    Args:
      learning_rate: i, the scale; negative turns a descent into an ascent.
      warmup_steps: w; with w = 0 the rate at step 0 is `i/sqrt(d)`.
      model_size: d.
    """

    def __init__(self, learning_rate, warmup_steps=0, model_size=768):
        super().__init__(
            learning_rate=learning_rate, warmup_steps=warmup_steps, model_size=model_size
        )

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        shape = tf.math.rsqrt(tf.maximum(step, 1.0))
        if self.warmup_steps:
            shape = tf.where(step <= self.warmup_steps, step / self.warmup_steps**1.5, shape)
        return self.learning_rate / math.sqrt(self.model_size) * shape


@keras.utils.register_keras_serializable(_PACKAGE)
class Stepped(_Schedule):
    """`learning_rate` times the factor of the last boundary reached; 1 before the first.

    Args:
      learning_rate: the nominal rate.
      boundaries: {step: factor}; the factor holds from that step on and is not cumulative.
      warmup_steps: see the module.
    """

    def __init__(self, learning_rate, boundaries, warmup_steps=0):
        # A config that went through JSON has its keys as text.
        boundaries = {int(k): float(v) for k, v in boundaries.items()}
        super().__init__(
            learning_rate=learning_rate, boundaries=boundaries, warmup_steps=warmup_steps
        )

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        factor = tf.constant(1.0)
        for boundary in sorted(self.boundaries):
            factor = tf.where(step >= boundary, self.boundaries[boundary], factor)
        return _warm(step, self.warmup_steps, self.learning_rate, self.learning_rate * factor)


_SCHEDULES = {
    "linear": lambda rate, total, warmup, boundaries: WarmupLinear(rate, total, warmup),
    "constant": lambda rate, total, warmup, boundaries: Constant(rate, warmup),
    "noam": lambda rate, total, warmup, boundaries: Noam(rate, warmup),
    "stepped": lambda rate, total, warmup, boundaries: Stepped(rate, boundaries, warmup),
}
SCHEDULES = tuple(_SCHEDULES)


def stepped_boundaries(total_steps):
    """Returns the boundaries of AutoFreeze's stepped schedule: {step: factor}."""
    return {int(0.3 * total_steps): 0.7, int(0.6 * total_steps): 0.4}


def make_schedule(name, learning_rate, total_steps, warmup_steps=0, boundaries=None):
    """Returns the schedule called `name`, one of `SCHEDULES`.

    Args:
      name: "linear", "constant", "noam" or "stepped".
      learning_rate: the nominal rate (noam: the scale).
      total_steps: updates in the whole training; used by "linear" only, checked for all.
      warmup_steps: Google's is `int(total_steps * warmup_proportion)`.
      boundaries: "stepped" only, {step: factor}.

    Raises:
      UserError: unknown name, a count that cannot be, or "stepped" without boundaries.
    """
    if name not in _SCHEDULES:
        raise UserError(f"--lr_schedule={name}: unknown; expected one of {', '.join(SCHEDULES)}")
    if total_steps < 1:
        raise UserError(f"the training has {total_steps} steps; the schedule needs at least 1")
    if warmup_steps < 0 or (name == "linear" and warmup_steps > total_steps):
        raise UserError(f"{warmup_steps} warm-up steps: expected 0 to {total_steps}, the total")
    if name == "stepped" and not boundaries:
        raise UserError("--lr_schedule=stepped needs boundaries, a factor for each step")
    return _SCHEDULES[name](learning_rate, total_steps, warmup_steps, boundaries)
