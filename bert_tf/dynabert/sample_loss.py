"""The loss of many sub-networks on a few rows, without tracing each of them."""

import numpy as np
import tensorflow as tf

from bert_tf.data.batching import eval_plan
from bert_tf.dynabert.importance import first_kernel


class SampleLoss:
    """The mean loss of sub-networks of a model on some rows.

    A sub-network computes what its layers do at full width when, in the kernels behind attention
    and neurons, the rows of the heads and neurons that it is without are 0. So one traced function
    serves all sub-networks of the same layers, and a candidate costs a forward pass of full width.

    As a context it gives the model its kernels back at the end.

    Args:
      model: `SequenceClassifier` or what has its `encoder`, `forward` and `example_losses`. Its
        kernels may be dense, factorised or masked.
      store: `FeatureStore` of the rows, with labels.
      batch_size: rows per batch.

    Attributes:
      rows: how many they are.
    """

    def __init__(self, model, store, batch_size=32):
        self.rows = len(store)
        self._model = model
        self._layers = [_Zeroed(layer) for layer in model.encoder.encoder_layers]
        self._functions = {}  # {layers: traced function}
        plan = eval_plan(store.lengths, batch_size)
        batches = (store.batch(plan.ids(step)) for step in range(plan.steps))
        self._batches = [
            ({name: tf.constant(x) for name, x in inputs.items()}, tf.constant(labels))
            for inputs, labels in batches
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for layer in self._layers:
            layer.restore()

    def __call__(self, subnetwork):
        """Returns the mean loss (float) of a `Subnetwork`, in evaluation mode."""
        for layer, units in zip(subnetwork.layers, subnetwork.units, strict=True):
            self._layers[layer].keep(*units)
        function = self._function(subnetwork.layers)
        total = sum(float(function(inputs, labels)) for inputs, labels in self._batches)
        return total / self.rows

    def _function(self, layers):
        if layers not in self._functions:
            ids = tf.TensorSpec([None, None], tf.int32)
            inputs, labels = self._batches[0]

            def losses(inputs, labels):
                logits, _ = self._model.forward(inputs, training=False, layers=layers)
                return tf.reduce_sum(self._model.example_losses(labels, logits))

            signature = [dict.fromkeys(inputs, ids), tf.TensorSpec([None], labels.dtype)]
            self._functions[layers] = tf.function(losses, input_signature=signature)
        return self._functions[layers]


class _Zeroed:
    """An encoder layer whose last heads and neurons add nothing."""

    def __init__(self, layer):
        config = layer.config
        most = (config.num_attention_heads, config.intermediate_size)
        self._kernels = [
            _Rows(first_kernel(layer.attention_output), config.head_size, most[0]),
            _Rows(first_kernel(layer.ffn_output), 1, most[1]),
        ]

    def keep(self, heads, neurons):
        for kernel, count in zip(self._kernels, (heads, neurons), strict=True):
            kernel.keep(count)

    def restore(self):
        for kernel in self._kernels:
            kernel.keep(kernel.most)


class _Rows:
    """A kernel whose rows come in units of `size`, of which the first ones are kept."""

    def __init__(self, variable, size, most):
        self.most = most
        self._variable = variable
        self._size = size
        self._whole = variable.numpy()
        self._kept = most

    def keep(self, count):
        if count == self._kept:
            return
        kept = np.arange(len(self._whole)) < count * self._size
        self._variable.assign(self._whole * kept[:, None])
        self._kept = count
