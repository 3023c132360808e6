"""Dropout whose masks are a pure function of a seed, so that a resumed run draws the same ones."""

import contextlib
import threading
import zlib

import tensorflow as tf
import tf_keras as keras

_current = threading.local()


@contextlib.contextmanager
def dropout_seed(seed):
    """Context: every `Dropout` called inside derives its mask from `seed`, an int32 tensor [2].

    The training step enters it once per micro-batch and replica with a seed made from the run's
    seed and the step number; outside it, masks come from TensorFlow's global generator.
    """
    previous = getattr(_current, "seed", None)
    _current.seed = seed
    try:
        yield
    finally:
        _current.seed = previous


class Dropout(keras.layers.Layer):
    """Zeroes entries with probability `rate` in training and scales the rest by 1 / (1 - rate).

    Inside `dropout_seed` 16 random bits decide an entry, half of what TensorFlow's own dropout
    draws, so the rate is rounded to a multiple of 2^-16 (by that one, in bfloat16, to 2^-7).

    Args:
      rate: float in [0, 1).
      scope: unique name of the place in the model; the masks of two places are independent.
    """

    def __init__(self, rate, scope, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.scope = scope
        self._place = zlib.crc32(scope.encode()) & 0x7FFFFFFF

    def call(self, inputs, training=None):
        """Returns a tensor of the shape of `inputs`; the same tensor when not training."""
        if not training or not self.rate:
            return inputs
        seed = getattr(_current, "seed", None)
        if seed is None:
            return tf.nn.dropout(inputs, self.rate)
        seed = seed + tf.constant([self._place, 0], tf.int32)
        return inputs * _mask(tf.shape(inputs), inputs.dtype, self.rate, seed)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "scope": self.scope}


def _mask(shape, dtype, rate, seed):
    """Returns what to multiply entries by, 0 or 1 / (1 - rate); one product each way is fastest."""
    dropped = min(round(rate * 2**16), 2**16 - 1)
    count = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform(
        [(count + 1) // 2], seed, None, None, dtype=tf.uint32, alg="philox"
    )
    bits = tf.reshape(tf.bitcast(words, tf.int16), [-1])[:count]
    keep = tf.reshape(bits, shape) >= tf.constant(dropped - 2**15, tf.int16)
    return tf.cast(keep, dtype) * tf.constant(2**16 / (2**16 - dropped), dtype)
