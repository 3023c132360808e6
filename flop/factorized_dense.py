"""A dense layer made of two factors, with an optional gate on each inner dimension."""

import tensorflow as tf
import tf_keras as keras

from flop.hard_concrete import HardConcrete


@keras.utils.register_keras_serializable("flop")
class FactorizedDense(keras.layers.Layer):
    """y = activation(((x P) * z) Q + b): P [d_in, rank], Q [rank, d_out], gates z [rank].

    The gates scale the narrow activation; without a mask there are none. Rank 0 is legal: the
    layer is then its bias.

    Args:
      input_units: d_in.
      units: d_out.
      rank: inner dimensions.
      scope: full variable scope; the variables are `<scope>_p/kernel`, `<scope>_q/kernel`,
        `<scope>_q/bias` and, with a mask, `<scope>_g/log_alpha`.
      masked: whether there are gates.
      activation: any that `keras.activations.get` takes; None for none.
      use_bias: whether there is a bias.
      initializer_range: standard deviation of the truncated normal of both factors.
      initial_log_alpha, evaluation: see `HardConcrete`.

    Example:
      >>> layer = FactorizedDense(8, 6, rank=3, scope="dense", masked=True)
      >>> layer(tf.ones([2, 5, 8])).shape
      TensorShape([2, 5, 6])
    """

    def __init__(
        self,
        input_units,
        units,
        rank,
        scope,
        masked=False,
        activation=None,
        use_bias=True,
        initializer_range=0.02,
        initial_log_alpha=5.0,
        evaluation="clipped",
        **kwargs,
    ):
        super().__init__(name=kwargs.pop("name", scope.rsplit("/", 1)[-1]), **kwargs)
        self.input_units = input_units
        self.units = units
        self.rank = rank
        self.scope = scope
        self.masked = masked
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.initializer_range = initializer_range
        self.initial_log_alpha = initial_log_alpha
        self.evaluation = evaluation

        def normal():  # one instance would fill both with the same numbers
            return keras.initializers.TruncatedNormal(stddev=initializer_range)

        with tf.name_scope(scope + "_p/"):
            self.kernel_p = self.add_weight(
                name="kernel", shape=[input_units, rank], initializer=normal()
            )
        with tf.name_scope(scope + "_q/"):
            self.kernel_q = self.add_weight(
                name="kernel", shape=[rank, units], initializer=normal()
            )
            self.bias = (
                self.add_weight(name="bias", shape=[units], initializer="zeros")
                if use_bias
                else None
            )
        self.mask = None
        if masked:
            self.mask = HardConcrete(
                rank, scope + "_g", initial_log_alpha, evaluation, dtype=self.dtype_policy
            )

    def call(self, inputs, in_units=None, out_units=None, training=None):
        """Applies the layer to [..., d_in].

        Args:
          inputs: float [..., d_in], or [..., in_units] when given.
          in_units, out_units: use only the first rows of P, or columns of Q.
          training: whether gates are sampled.

        Returns:
          float [..., d_out or out_units].
        """
        kernel_p, kernel_q, bias = self.kernel_p, self.kernel_q, self.bias
        if in_units is not None or out_units is not None:
            kernel_p, kernel_q = kernel_p[:in_units], kernel_q[:, :out_units]
            bias = bias if bias is None else bias[:out_units]
        # Two-dimensional products: batched ones are several times slower to differentiate.
        flat = inputs.shape.rank == 2
        rows = inputs if flat else tf.reshape(inputs, [-1, kernel_p.shape[0]])
        narrow = tf.matmul(rows, kernel_p)
        if self.mask is not None:
            narrow = self.mask(narrow, training=training)
        if self.rank == 0:  # oneDNN's fused product aborts the process on an inner dimension of 0
            narrow, kernel_q = tf.pad(narrow, [[0, 0], [0, 1]]), tf.pad(kernel_q, [[0, 1], [0, 0]])
        outputs = tf.matmul(narrow, kernel_q)
        if bias is not None:
            outputs = tf.nn.bias_add(outputs, bias)
        if not flat:
            units = kernel_q.shape[1]
            outputs = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [units]], 0))
            outputs.set_shape([*inputs.shape[:-1], units])
        return self.activation(outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "input_units": self.input_units,
            "units": self.units,
            "rank": self.rank,
            "scope": self.scope,
            "masked": self.masked,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "initializer_range": self.initializer_range,
            "initial_log_alpha": self.initial_log_alpha,
            "evaluation": self.evaluation,
        }
