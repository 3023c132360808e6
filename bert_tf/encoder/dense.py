"""Dense and LayerNorm layers whose variables carry Google BERT's full names."""

import math

import tensorflow as tf
import tf_keras as keras


class Dense(keras.layers.Layer):
    """y = x K + b, with `<scope>/kernel` [d_in, d_out] and, if it has one, `<scope>/bias` [d_out].

    The first lever (what is a kernel made of?) is the choice of this class: `BertEncoder` takes
    any factory with this constructor and call, such as a factorised or a masked one.

    Args:
      input_units: d_in.
      units: d_out.
      scope: full variable scope, such as `bert/encoder/layer_0/attention/self/query`.
      initializer_range: standard deviation of the truncated normal that fills the kernel.
      use_bias: whether there is a bias.

    Example:
      >>> layer = Dense(4, 2, scope="bert/pooler/dense")
      >>> layer(tf.ones([3, 5, 4])).shape
      TensorShape([3, 5, 2])
    """

    def __init__(self, input_units, units, scope, initializer_range=0.02, use_bias=True, **kwargs):
        super().__init__(name=kwargs.pop("name", scope.rsplit("/", 1)[-1]), **kwargs)
        self.input_units = input_units
        self.units = units
        self.scope = scope
        self.initializer_range = initializer_range
        self.use_bias = use_bias
        with tf.name_scope(scope + "/"):
            self.kernel = self.add_weight(
                name="kernel",
                shape=[input_units, units],
                initializer=keras.initializers.TruncatedNormal(stddev=initializer_range),
            )
            self.bias = (
                self.add_weight(name="bias", shape=[units], initializer="zeros")
                if use_bias
                else None
            )

    def call(self, inputs, in_units=None, out_units=None):
        """Applies the layer to [..., d_in].

        Args:
          inputs: float [..., d_in], or [..., in_units] when given.
          in_units, out_units: use only the first rows or columns of the kernel (elastic width).

        Returns:
          float [..., d_out or out_units].
        """
        kernel, bias = self.kernel, self.bias
        if in_units is not None or out_units is not None:
            kernel = kernel[:in_units, :out_units]
            bias = None if bias is None else bias[:out_units]
        return affine(inputs, kernel, bias)

    def get_config(self):
        return {
            **super().get_config(),
            "input_units": self.input_units,
            "units": self.units,
            "scope": self.scope,
            "initializer_range": self.initializer_range,
            "use_bias": self.use_bias,
        }


def affine(inputs, kernel, bias):
    """Returns inputs [..., d_in] times kernel [d_in, d_out] plus bias [d_out], None for no bias.

    One two-dimensional product: a batched one with a shared kernel is several times slower to
    differentiate on CPU.
    """
    if inputs.shape.rank == 2:
        outputs = tf.matmul(inputs, kernel)
        return outputs if bias is None else tf.nn.bias_add(outputs, bias)
    outputs = affine(tf.reshape(inputs, [-1, kernel.shape[0]]), kernel, bias)
    outputs = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [kernel.shape[1]]], 0))
    outputs.set_shape([*inputs.shape[:-1], kernel.shape[1]])
    return outputs


class LayerNorm(keras.layers.Layer):
    """(x - mean) / sqrt(variance + eps) * gamma + beta over the last axis, always in float32.

    Args:
      units: width of the last axis.
      scope: variable scope ending in `LayerNorm`; variables `<scope>/gamma` and `<scope>/beta`.
      epsilon: added to the population variance.
    """

    def __init__(self, units, scope, epsilon=1e-12, **kwargs):
        super().__init__(name=kwargs.pop("name", "LayerNorm"), **kwargs)
        self.units = units
        self.scope = scope
        self.epsilon = epsilon
        # float32 variables used as they are: half precision loses the variance.
        with tf.name_scope(scope + "/"):
            self.gamma = self.add_weight(
                name="gamma", shape=[units], initializer="ones", experimental_autocast=False
            )
            self.beta = self.add_weight(
                name="beta", shape=[units], initializer="zeros", experimental_autocast=False
            )

    def call(self, inputs):
        """Normalises [..., units]; returns the same shape in the layer's compute dtype."""
        outputs = _layer_norm(
            tf.cast(inputs, tf.float32),
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            self.epsilon,
        )
        return tf.cast(outputs, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "scope": self.scope,
            "epsilon": self.epsilon,
        }


def _layer_norm(inputs, gamma, beta, epsilon):
    """LayerNorm with the closed-form gradient: half the passes over memory of the derived one."""

    @tf.custom_gradient
    def normalise(x, gamma, beta):
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + epsilon)
        normal = centred * inverse

        def gradient(dy):
            scaled = dy * gamma
            mean = tf.reduce_mean(scaled, -1, keepdims=True)
            slope = tf.reduce_mean(scaled * normal, -1, keepdims=True)
            dx = (scaled - mean - normal * slope) * inverse
            rows = list(range(dy.shape.rank - 1))
            return dx, tf.reduce_sum(dy * normal, rows), tf.reduce_sum(dy, rows)

        return normal * gamma + beta, gradient

    return normalise(inputs, gamma, beta)


def activation(name):
    """Returns the elementwise function of a `BertConfig.hidden_act` name."""
    return {
        "gelu": lambda x: tf.nn.gelu(x, approximate=True),
        "gelu_erf": _gelu_erf,
        "relu": tf.nn.relu,
        "tanh": tf.nn.tanh,
        "linear": tf.identity,
    }[name]


@tf.custom_gradient
def _gelu_erf(x):
    """x Phi(x), exact; the closed slope Phi(x) + x phi(x) saves passes over the widest layer."""
    cdf = 0.5 * (1.0 + tf.math.erf(x * math.sqrt(0.5)))

    def gradient(dy):
        return dy * (cdf + x * tf.exp(-0.5 * tf.square(x)) * (1 / math.sqrt(2 * math.pi)))

    return x * cdf, gradient
