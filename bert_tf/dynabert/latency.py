"""What sub-networks take on this machine: models measured in turn, and a model of their sum."""

import time

import numpy as np
import tensorflow as tf

from bert_tf.dynabert.export import export
from bert_tf.encoder import Subnetwork, kernels
from bert_tf.encoder.layer import EncoderLayer

_WARM_UP_CALLS = 3  # the graph is optimised in the first ones
_SHARES = (0.25, 0.5, 0.75, 1.0)  # of heads and neurons, beside one head
_LEAST_SLOPE = 1e-3  # of the whole layer's time, over all units: what saves nothing is noise


def interleaved(calls, rounds):
    """Calls functions in turn, so that slow spells of the machine hit all of them.

    Args:
      calls: {name: callable without arguments}.
      rounds: how often each is called and timed.

    Returns:
      {name: float64 [rounds], seconds}.
    """
    for call in calls.values():
        for _ in range(_WARM_UP_CALLS):
            call()
    taken = {name: np.zeros(rounds) for name in calls}
    for index in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name][index] = time.perf_counter() - start
    return taken


class LayerTimes:
    """A model of the latency of any sub-network, additive over layers, attention and neurons.

    A few numbers of heads and of neurons are measured, layer by layer (layers of the same shape
    once), the rest is linear between them; the time outside the layers is that of the whole model
    less its layers'.

    Args:
      config, arrays: of the whole model, `BertConfig` and {Google name: array}.
      depths: lists of layers whose sub-networks are asked for.
      whole: callable without arguments that runs the whole model.
      shape: (batch, length) of the inputs.
      rounds: how often each is timed.
    """

    def __init__(self, config, arrays, depths, whole, shape, rounds=20):
        self._shapes = {
            layer: tuple(
                (name.split("/", 3)[3], array.shape)
                for name, array in sorted(arrays.items())
                if name.startswith(f"bert/encoder/layer_{layer}/")
            )
            for layer in range(config.num_hidden_layers)
        }
        every = tuple(range(config.num_hidden_layers))
        calls, points = {"": whole}, {}
        for layers in (every, *depths):
            for layer in layers:
                last = layer == layers[-1]
                table = (self._shapes[layer], last)
                if table in points:
                    continue
                points[table] = _points(*config.units_of(layer))
                for units in {units for axis in points[table] for units in axis}:
                    calls[table, units] = _layer_call(config, arrays, (layer, units), last, shape)
        taken = {key: float(np.median(times)) for key, times in interleaved(calls, rounds).items()}
        self._tables = {
            table: [
                _curve([units[kind] for units in axis], [taken[table, units] for units in axis])
                for kind, axis in enumerate(axes)
            ]
            for table, axes in points.items()
        }
        self._base = 0.0
        layers = self.seconds(Subnetwork.of(config))
        self._base = max(0.0, taken[""] - layers)

    def seconds(self, subnetwork):
        """Returns the latency that the model says a `Subnetwork` has."""
        total = self._base
        for layer, units in zip(subnetwork.layers, subnetwork.units, strict=True):
            curves = self._tables[self._shapes[layer], layer == subnetwork.layers[-1]]
            times = [np.interp(n, *curve) for n, curve in zip(units, curves, strict=True)]
            total += float(sum(times)) - curves[0][1][-1]  # both have the whole layer's once
        return total


def _points(heads, neurons):
    """([units with fewer heads], [units with fewer neurons]), the whole layer last in both."""
    some = sorted({1, *(max(1, round(share * heads)) for share in _SHARES)})
    few = sorted({max(1, neurons // heads), *(max(1, round(share * neurons)) for share in _SHARES)})
    return [(count, neurons) for count in some], [(heads, count) for count in few]


def _curve(counts, times):
    """(counts, seconds) that rise: no unit is free, and none is less than free."""
    rising = np.maximum.accumulate(times)
    return counts, rising + _LEAST_SLOPE * rising[-1] * (np.array(counts) / counts[-1] - 1)


def _layer_call(config, arrays, part, last, shape):
    """A callable that runs one layer, of (index, units) `part`, on inputs of `shape`."""
    index, units = part
    config, arrays = export(config, arrays, Subnetwork((index,), (units,)))
    factory = kernels.factory(config, arrays)
    layer = EncoderLayer(config.of_layer(0), "bert/encoder/layer_0", factory)
    batch, length = shape
    hidden = tf.random.stateless_normal([batch, length, config.hidden_size], [0, 0])
    mask_bias = tf.zeros([batch, 1, 1, length])
    function = tf.function(
        lambda hidden, mask_bias: layer(hidden, mask_bias, first_token_only=last)
    ).get_concrete_function(hidden, mask_bias)
    return lambda: function(hidden, mask_bias).numpy()
