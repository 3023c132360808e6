"""Hard-concrete gates (Louizos et al., 2018), as FLOP (Wang et al., 2020) puts them on ranks.

A gate is z = clip(1.2 s - 0.1, 0, 1) of s = sigmoid((logit(u) + log_alpha) / beta), u uniform:
exactly 0 and exactly 1 have positive probability, and z is differentiable in log_alpha between.
"""

import contextlib
import math
import threading
import zlib

import tensorflow as tf
import tf_keras as keras

BETA = 1.0
LOWER, UPPER = -0.1, 1.1  # the stretch that makes 0 and 1 reachable
BIAS = -BETA * math.log(-LOWER / UPPER)  # ln 11: P(z > 0) = sigmoid(log_alpha + BIAS)
EPSILON = 1e-6
EVALUATIONS = ("clipped", "hard")

_current = threading.local()


@contextlib.contextmanager
def gate_seed(seed):
    """Context: every gate sampled inside derives its noise from `seed`, an int32 tensor [2].

    A training step enters it with a seed made from the run's seed and the step number, the same
    for all its micro-batches and replicas: they share one draw, as one large batch would.
    """
    previous = getattr(_current, "seed", None)
    _current.seed = seed
    try:
        yield
    finally:
        _current.seed = previous


def sample(log_alpha, uniform, epsilon=EPSILON):
    """Returns gates in [0, 1] of log_alpha [n] and uniform noise [n] from [0, 1)."""
    noise = tf.math.log(uniform + epsilon) - tf.math.log(1.0 - uniform)
    return _stretch(tf.sigmoid((noise + log_alpha) / BETA))


def clipped_gate(log_alpha):
    """Returns the median of each gate: 0 up to log_alpha = -ln 11, 1 from ln 11 on."""
    return _stretch(tf.sigmoid(log_alpha))


def soft_gate(log_alpha):
    """Returns sigmoid(0.8 log_alpha), within 0.008 of the mean of each gate."""
    return tf.sigmoid(0.8 / BETA * log_alpha)


def hard_gate(log_alpha):
    """Returns `soft_gate` with the round(n - l0) smallest at exactly 0 (asappresearch/flop)."""
    count = tf.size(log_alpha)
    zeros = tf.cast(tf.round(tf.cast(count, log_alpha.dtype) - l0_norm(log_alpha)), tf.int32)
    place = tf.argsort(tf.argsort(log_alpha, stable=True), stable=True)
    return tf.where(place < zeros, tf.zeros_like(log_alpha), soft_gate(log_alpha))


def open_probability(log_alpha):
    """Returns P(z > 0) of each gate."""
    return tf.sigmoid(log_alpha + BIAS)


def l0_norm(log_alpha):
    """Returns the expected number of gates that are not 0, a scalar."""
    return tf.reduce_sum(open_probability(log_alpha))


def gate(log_alpha, evaluation="clipped"):
    """Returns the deterministic gates [n]: `clipped_gate` or `hard_gate`, by name.

    Raises:
      ValueError: unknown name.
    """
    if evaluation not in EVALUATIONS:
        raise ValueError(f"evaluation={evaluation!r}: expected one of {', '.join(EVALUATIONS)}")
    return clipped_gate(log_alpha) if evaluation == "clipped" else hard_gate(log_alpha)


def _stretch(s):
    return tf.clip_by_value((UPPER - LOWER) * s + LOWER, 0.0, 1.0)


@keras.utils.register_keras_serializable("flop")
class HardConcrete(keras.layers.Layer):
    """A vector of gates with one trainable variable, `log_alpha` [units].

    Args:
      units: number of gates; 0 is allowed.
      scope: name scope of the variable, and what tells the noise of two layers apart.
      initial_log_alpha: constant start value; 5 is a gate that is open 99.9 % of the time.
      evaluation: `clipped` (the median, what the TensorFlow port of FLOP evaluates) or `hard`
        (round(expected zeros) gates at exactly 0, what the original FLOP evaluates).

    Example:
      >>> layer = HardConcrete(4, "query_g")
      >>> layer(tf.ones([2, 4])).shape, layer.gates(training=False).numpy()
      (TensorShape([2, 4]), array([1., 1., 1., 1.], dtype=float32))
    """

    def __init__(self, units, scope="gates", initial_log_alpha=5.0, evaluation="clipped", **kwargs):
        super().__init__(name=kwargs.pop("name", scope.rsplit("/", 1)[-1]), **kwargs)
        gate(tf.zeros([0]), evaluation)  # refuses an unknown name
        self.units = units
        self.scope = scope
        self.initial_log_alpha = initial_log_alpha
        self.evaluation = evaluation
        self._place = zlib.crc32(scope.encode()) & 0x7FFFFFFF
        with tf.name_scope(scope + "/"):
            self.log_alpha = self.add_weight(
                name="log_alpha",
                shape=[units],
                initializer=keras.initializers.Constant(initial_log_alpha),
                experimental_autocast=False,  # half precision would round small updates away
            )

    def call(self, inputs, training=None):
        """Returns inputs [..., units] times the gates, in the dtype of the inputs."""
        return inputs * tf.cast(self.gates(training), inputs.dtype)

    def gates(self, training=None):
        """Returns float32 gates [units]: sampled anew in training, deterministic else."""
        log_alpha = tf.convert_to_tensor(self.log_alpha)
        if not training:
            return gate(log_alpha, self.evaluation)
        return sample(log_alpha, self._uniform())

    def l0_norm(self):
        """Returns the expected number of gates that are not 0, a scalar."""
        return l0_norm(tf.convert_to_tensor(self.log_alpha))

    def _uniform(self):
        seed = getattr(_current, "seed", None)
        if seed is None:
            return tf.random.uniform([self.units])
        seed = seed + tf.constant([self._place, 0], tf.int32)
        return tf.random.stateless_uniform([self.units], seed, alg="philox")

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "scope": self.scope,
            "initial_log_alpha": self.initial_log_alpha,
            "evaluation": self.evaluation,
        }
