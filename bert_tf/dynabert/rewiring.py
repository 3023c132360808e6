"""Heads and neurons in the order of their importance, so that the first ones are what to keep."""

import numpy as np

from bert_tf.errors import UserError

# Of a dense layer, factorised or not: {end of an array's name: axis of the units}.
_OUTPUTS = {"/kernel": 1, "/bias": 0, "_q/kernel": 1, "_q/bias": 0}
_INPUTS = {"/kernel": 0, "_p/kernel": 0}


def rewire(config, arrays, importance):
    """Sorts the heads and neurons of each layer, the most important first.

    What the model computes stays the same, but for rounding; a sub-network of less width runs the
    first heads and neurons, which are then those that matter most.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array} of dense, factorised or masked kernels; not changed.
      importance: `Importance` of this model.

    Returns:
      (config, arrays): `config.extra["dynabert"]["rewired"]` is then true.

    Raises:
      UserError: the model is rewired already, or its configuration is damaged there.
      ValueError: the scores are those of another model.
    """
    if is_rewired(config):
        raise UserError(
            "the model is rewired already (dynabert.rewired in its configuration): its heads and"
            " neurons are in the order that its sub-networks were trained in: go on without"
            " rewiring, or start from the model that it was made of"
        )
    layers = orders(importance)
    if len(layers) != config.num_hidden_layers:
        raise ValueError(f"scores of {len(layers)} layers for {config.num_hidden_layers}")
    arrays = dict(arrays)
    for index, (heads, neurons) in enumerate(layers):
        scope = f"bert/encoder/layer_{index}"
        units = (heads[:, None] * config.head_size + np.arange(config.head_size)).ravel()
        for part in ("query", "key", "value"):
            _permute(arrays, f"{scope}/attention/self/{part}", units, _OUTPUTS)
        _permute(arrays, f"{scope}/attention/output/dense", units, _INPUTS)
        for part in ("dense", "gate") if config.gated_ffn else ("dense",):
            _permute(arrays, f"{scope}/intermediate/{part}", neurons, _OUTPUTS)
        _permute(arrays, f"{scope}/output/dense", neurons, _INPUTS)
    recorded = {**config.extra.get("dynabert", {}), "rewired": True}
    return config.replace(extra={**config.extra, "dynabert": recorded}), arrays


def orders(importance):
    """Returns [(head order, neuron order)] of each layer, int64, the highest score first.

    Units of the same score keep their order.
    """
    pairs = zip(importance.heads, importance.neurons, strict=True)
    return [(_descending(heads), _descending(neurons)) for heads, neurons in pairs]


def is_rewired(config):
    """Whether the model is in the order of its importance.

    Raises:
      UserError: the configuration's `dynabert` is no JSON object.
    """
    recorded = config.extra.get("dynabert", {})
    if not isinstance(recorded, dict):
        raise UserError(f"dynabert of the configuration must be a JSON object, found {recorded!r}")
    return bool(recorded.get("rewired"))


def _descending(scores):
    return np.argsort(-np.asarray(scores, np.float64), kind="stable")


def _permute(arrays, scope, order, axes):
    """Replaces the arrays of a dense layer by those with its units in another order."""
    for name, axis in ((scope + end, axis) for end, axis in axes.items()):
        if name not in arrays:
            continue
        if arrays[name].shape[axis] != len(order):
            raise ValueError(f"{len(order)} units of {name} {arrays[name].shape} have scores")
        arrays[name] = np.take(arrays[name], order, axis)
