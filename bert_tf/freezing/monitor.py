"""How much gradient each encoder layer saw since the last look."""

import tensorflow as tf

from bert_tf.training.optimization import all_finite

METRICS = ("signed_sum", "norm_sum")


class GradientMonitor:
    """Sums up the gradients of the live encoder layers, step by step.

    Args:
      encoder: `BertEncoder`.
      metric: `signed_sum`, AutoFreeze's: the L1 norm of the sum of the interval's gradients, in
        which opposite signs cancel (a buffer as large as the live layers). `norm_sum`: the sum of
        each step's L1 norm (a number per layer).
      summed: whether every replica sees the sum over all replicas, as in `SequenceClassifier`; else
        each sees its own gradients, as an optimizer does.

    Raises:
      ValueError: unknown metric.
    """

    def __init__(self, encoder, metric="signed_sum", summed=True):
        if metric not in METRICS:
            raise ValueError(f"metric {metric!r}: expected one of {', '.join(METRICS)}")
        self.metric = metric
        aggregation = tf.VariableAggregation
        self._aggregation = aggregation.ONLY_FIRST_REPLICA if summed else aggregation.SUM
        # Loss scaling skips updates whose gradients are not finite: they must not count either.
        self._skips_updates = encoder.compute_dtype == "float16"
        self._layers = encoder.encoder_layers
        self._sums = {}  # {layer index: [variable]}
        self._places = {}  # {id of a layer's variable: (layer index, place in its sums)}

    def build(self, frozen=0):
        """Creates the sums of the layers from `frozen` up, at zero; those there keep their values.

        Call it outside a `tf.function`, in the strategy's scope, after each freeze.
        """
        for index, layer in enumerate(self._layers):
            if index < frozen:
                self._sums.pop(index, None)
            elif index not in self._sums:
                self._sums[index] = [self._zeros(shape) for shape in self._shapes(layer)]
        signed = self.metric == "signed_sum"
        self._places = {
            id(variable): (index, place if signed else 0)
            for index, layer in enumerate(self._layers)
            if index in self._sums
            for place, variable in enumerate(layer.trainable_variables)
        }

    def update(self, gradients, variables):
        """Adds one update's gradients; inside the training step, before they are clipped.

        Args:
          gradients: tensors, one for each of `variables`; those of other variables are left out.
          variables: the model's trained variables.
        """
        if self._skips_updates:
            finite = all_finite(gradients)
        for gradient, variable in zip(gradients, variables, strict=True):
            if gradient is None or id(variable) not in self._places:
                continue
            index, place = self._places[id(variable)]
            gradient = tf.cast(gradient, tf.float32)
            if self._skips_updates:
                gradient = tf.where(finite, gradient, 0.0)
            if self.metric == "norm_sum":
                gradient = tf.reduce_sum(tf.abs(gradient))
            self._sums[index][place].assign_add(gradient)

    def take(self):
        """Returns float [layers], each layer's norm (0 for frozen ones), and starts at zero."""
        norms = [0.0] * len(self._layers)
        for index, sums in self._sums.items():
            norms[index] = float(tf.add_n([tf.reduce_sum(tf.abs(s.read_value())) for s in sums]))
            for variable in sums:
                variable.assign(tf.zeros(variable.shape))
        return norms

    def trackable(self):
        """Returns what a `tf.train.Checkpoint` keeps of the interval under way."""
        sums = {f"layer_{i}": tf.train.Checkpoint(sums=s) for i, s in self._sums.items()}
        return tf.train.Checkpoint(**sums)

    def _shapes(self, layer):
        if self.metric == "norm_sum":
            return [[]]
        return [variable.shape for variable in layer.trainable_variables]

    def _zeros(self, shape):
        return tf.Variable(
            tf.zeros(shape),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=self._aggregation,
            name="gradient_sum",
        )
