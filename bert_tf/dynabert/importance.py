"""How much a task's loss depends on each attention head and feed-forward neuron (DynaBERT).

A unit's score is first order (Hou et al., 2020): |dL/dz| of a gate z = 1 that multiplies what the
unit computes. For that, gradients of the kernels are enough: z scales rows or columns of a kernel
W, so dL/dz is the sum of W dL/dW over them. Where W is a product of factors, the factor that has
these rows or columns gives the same sum.
"""

import dataclasses
import struct
import zipfile
import zlib

import numpy as np
import tensorflow as tf
from absl import logging

from bert_tf import files
from bert_tf.data.batching import train_plan
from bert_tf.data.pipeline import make_dataset
from bert_tf.errors import UserError
from flop.factorized_dense import FactorizedDense

# What reading a damaged archive raises.
_DAMAGE = (
    OSError, EOFError, ValueError, ArithmeticError, MemoryError, RuntimeError, zipfile.BadZipFile,
    zlib.error, struct.error,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Importance:
    """Scores of a model's units, 0 or more: the higher, the more the loss depends on the unit.

    Those of one layer can be compared with each other, not with another layer's.

    Attributes:
      heads: list over the layers of float64 [heads].
      neurons: list over the layers of float64 [neurons].
    """

    heads: list
    neurons: list


def importance(model, store, batch_size=32, examples=None, seed=42, strategy=None):
    """Scores the heads and neurons of a model on labelled examples.

    The score is the sum over batches of the absolute gradient of each batch's mean loss, without
    dropout. The original never resets the gradients between batches, so that its first batches
    count most; here every batch counts by itself.

    Args:
      model: `SequenceClassifier` or what has its `encoder`, `forward` and `example_losses`; nothing
        of it frozen. Its kernels may be factorised, with gates or without.
      store: `FeatureStore` with labels.
      batch_size: examples per batch: batches count alike, so they are of one size.
      examples: how many to use, 1 or more, drawn at random, but for those that fill no batch; None
        or too many uses all.
      seed: of the draw and of which examples share a batch.
      strategy: `tf.distribute.Strategy` that the model's variables belong to; its first replica's
        work is taken, and no other process is waited for. None without one.

    Returns:
      An `Importance`.

    Raises:
      ValueError: the store has no labels, or layers are frozen.
      UserError: a score is not finite; the message names the layer.
    """
    if store.labels is None:
        raise ValueError("examples without labels have no loss")
    if model.encoder.gradient_start is not None:
        raise ValueError("frozen layers have no gradients")
    count = min(examples or len(store), len(store))
    plan = train_plan(
        store.lengths,
        batch_size=min(batch_size, count),
        epochs=count / len(store),
        seed=seed,
    )
    found = Importance(*_run(model, make_dataset(store, plan), plan.steps, strategy))
    place = _not_finite(found)
    if place:
        raise UserError(
            f"importance: a score of {place} is not finite: the model overflows on these rows, so"
            " they cannot say what to keep: give other rows, or compute in float32"
        )
    return found


def head_scores(kernel, gradient, heads):
    """Scores of attention heads in one batch, by the rows of the attention's output kernel.

    A gate on a head's attention probabilities multiplies its part of the context, which is what
    these rows are multiplied with.

    Args:
      kernel, gradient: [heads * head size, units] kernel (or its first factor) and its gradient.
      heads: number of heads.

    Returns:
      float64 [heads].
    """
    rows = _summed(kernel, gradient, axis=1)
    return tf.abs(tf.reduce_sum(tf.reshape(rows, [heads, -1]), 1))


def neuron_scores(up, up_gradient, bias, bias_gradient, down, down_gradient):
    """Scores of feed-forward neurons in one batch: |gate before| + |gate after the activation|.

    Args:
      up, up_gradient: [units, neurons] kernel into the neurons (or its last factor), its gradient.
      bias, bias_gradient: [neurons], or both None.
      down, down_gradient: [neurons, units] kernel out of them (or its first factor), its gradient.

    Returns:
      float64 [neurons].
    """
    into = input_scores(up, up_gradient, bias, bias_gradient)
    return into + tf.abs(_summed(down, down_gradient, axis=1))


def input_scores(kernel, gradient, bias=None, bias_gradient=None):
    """Scores of the units [units] that a kernel [d_in, units] and its bias [units] feed."""
    columns = _summed(kernel, gradient, axis=0)
    if bias is not None:
        columns += _float64(bias) * _float64(bias_gradient)
    return tf.abs(columns)


def added(one, other):
    """Returns the sum of two `Importance` of the same model, on different examples."""
    return Importance(
        [a + b for a, b in zip(one.heads, other.heads, strict=True)],
        [a + b for a, b in zip(one.neurons, other.neurons, strict=True)],
    )


def write(path, importance):
    """Writes an `Importance` as an .npz of `layer_0/heads`, `layer_0/neurons` and so on.

    Raises:
      UserError: it cannot be written; an older file is then untouched.
    """
    arrays = {}
    for i, (heads, neurons) in enumerate(zip(importance.heads, importance.neurons, strict=True)):
        arrays |= {f"layer_{i}/heads": heads, f"layer_{i}/neurons": neurons}
    with files.atomic_path(path) as temporary, open(temporary, "wb") as f:
        np.savez(f, **arrays)


def read(path, config):
    """Returns the `Importance` that `write` wrote.

    Args:
      path: the file.
      config: `BertConfig` of the model that is scored.

    Raises:
      UserError: the file is missing or damaged, or its scores are not finite or not those of such a
        model; the message names the file and the layer.
    """
    arrays = _read_archive(path)
    _check_sizes(path, arrays, config)
    count = range(config.num_hidden_layers)
    heads = [arrays[f"layer_{i}/heads"].astype(np.float64) for i in count]
    neurons = [arrays[f"layer_{i}/neurons"].astype(np.float64) for i in count]
    found = Importance(heads, neurons)
    place = _not_finite(found)
    if place:
        raise UserError(f"{path}: a score of {place} is not finite: compute the scores again")
    return found


def _read_archive(path):
    """Returns {name: array} of an .npz, whatever is in it."""
    files.refuse_pointer(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy"): _array(archive, name) for name in archive.namelist()}
    except _DAMAGE as e:
        reason = getattr(e, "strerror", None) or e
        raise UserError(f"{path}: the scores of importance cannot be read: {reason}") from e


def _array(archive, name):
    with archive.open(name) as f:
        return np.lib.format.read_array(f, allow_pickle=False)


def _check_sizes(path, arrays, config):
    sizes = {}
    for i in range(config.num_hidden_layers):
        sizes[f"layer_{i}/heads"], sizes[f"layer_{i}/neurons"] = config.units_of(i)
    wrong = [
        *(f"lacks {name}" for name in sizes if name not in arrays),
        *(f"has {name}" for name in sorted(arrays) if name not in sizes),
        *(
            f"{name} is {arrays[name].dtype} {list(arrays[name].shape)}, not {size} numbers"
            for name, size in sizes.items()
            if name in arrays and not _is_vector(arrays[name], size)
        ),
    ]
    if wrong:
        raise UserError(
            f"{path}: {wrong[0]}: not the scores of a model of {config.num_hidden_layers} layers,"
            f" {config.num_attention_heads} heads and {config.intermediate_size} neurons: compute"
            " those of this model"
        )


def _is_vector(array, size):
    return array.shape == (size,) and array.dtype.kind in "fiu"


def _not_finite(importance):
    """The first place of a score that is not finite, such as `layer_3/heads`, or None."""
    for i, scores in enumerate(zip(importance.heads, importance.neurons, strict=True)):
        for part, values in zip(("heads", "neurons"), scores, strict=True):
            if not np.isfinite(values).all():
                return f"layer_{i}/{part}"
    return None


class _Layer:
    """The kernels of a layer that its units' scores are made of."""

    def __init__(self, layer):
        up, gate = layer.intermediate, layer.gate
        variables = {
            "context": first_kernel(layer.attention_output),
            "up": _last_kernel(up),
            "up_bias": up.bias,
            "gate": None if gate is None else _last_kernel(gate),
            "gate_bias": None if gate is None else gate.bias,
            "down": first_kernel(layer.ffn_output),
        }
        self.variables = {name: x for name, x in variables.items() if x is not None}
        self._count = self.variables["context"].shape[0] // layer.config.head_size

    def scores(self, gradients):
        """Returns those of (heads, neurons) in a batch; {name: gradient} as `variables`."""

        def pairs(*names):
            found = ((self.variables.get(name), gradients.get(name)) for name in names)
            return [x for pair in found for x in pair]

        neurons = neuron_scores(*pairs("up", "up_bias", "down"))
        if "gate" in self.variables:
            neurons += input_scores(*pairs("gate", "gate_bias"))
        return head_scores(*pairs("context"), self._count), neurons


def _run(model, dataset, steps, strategy):
    """Returns ([heads' scores], [neurons' scores]), by layer, sums over the batches."""
    layers = [_Layer(layer) for layer in model.encoder.encoder_layers]
    variables = [layer.variables for layer in layers]

    def scores(inputs, labels):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tf.nest.flatten(variables))
            logits, _ = model.forward(inputs, training=False)
            loss = tf.reduce_mean(model.example_losses(labels, logits))
        gradients = tape.gradient(loss, variables)
        return [layer.scores(own) for layer, own in zip(layers, gradients, strict=True)]

    @tf.function(input_signature=dataset.element_spec)
    def of_batch(inputs, labels):
        if strategy is None:
            return scores(inputs, labels)
        # Of variables that are spread out there are gradients in a replica alone.
        found = strategy.run(scores, (inputs, labels))
        return tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[0], found)

    total = None
    for step, (inputs, labels) in enumerate(dataset):
        found = [x.numpy() for x in tf.nest.flatten(of_batch(inputs, labels))]
        total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
        if 10 * (step + 1) // steps > 10 * step // steps:
            logging.info("importance: %d of %d batches", step + 1, steps)
    return total[::2], total[1::2]


def first_kernel(dense):
    """The variable whose rows are the inputs of a dense layer, factorised or not."""
    return dense.kernel_p if isinstance(dense, FactorizedDense) else dense.kernel


def _last_kernel(dense):
    """The variable whose columns are its outputs."""
    return dense.kernel_q if isinstance(dense, FactorizedDense) else dense.kernel


def _summed(kernel, gradient, axis):
    return tf.reduce_sum(_float64(kernel) * _float64(gradient), axis)


def _float64(x):
    return tf.cast(tf.convert_to_tensor(x), tf.float64)
