"""Attention heads that a Hugging Face model is without: its config.json's `pruned_heads`."""

import numpy as np

from bert_tf.errors import UserError


def described(config, arrays):
    """Returns (config, arrays, pruned_heads) of the same model as Hugging Face describes it.

    Its configuration counts the heads that fill hidden_size, and `pruned_heads` those that each
    layer is without. Its layers are of one width: narrower ones get neurons of zeros, which add
    nothing.

    Args:
      config: `BertConfig`, that of a sub-network, or of a whole model, which stays as it is.
      arrays: {Google name: array} of a dense model.

    Raises:
      UserError: hidden_size is no multiple of the size of a head, or a layer has more heads.
    """
    most, rest = divmod(config.hidden_size, config.head_size)
    layers = range(config.num_hidden_layers)
    heads, neurons = zip(*map(config.units_of, layers), strict=True)
    if rest or max(heads) > most:
        raise UserError(
            f"a Hugging Face folder cannot hold {max(heads)} heads of size {config.head_size} where"
            f" hidden_size is {config.hidden_size}"
        )
    pruned = {str(i): list(range(heads[i], most)) for i in layers if heads[i] < most}
    arrays = dict(arrays)
    for layer, count in enumerate(neurons):
        kept, scope = np.arange(max(neurons)) < count, f"bert/encoder/layer_{layer}"
        for leaf in ("kernel", "bias"):
            _widen(arrays, f"{scope}/intermediate/dense/{leaf}", -1, kept, scope)
        _widen(arrays, f"{scope}/output/dense/kernel", 0, kept, scope)
    return (
        config.replace(
            num_attention_heads=most,
            intermediate_size=max(neurons),
            attention_head_size=None,
            layer_heads=[],
            layer_neurons=[],
        ),
        arrays,
        pruned,
    )


def restore(config, arrays, pruned, source):
    """Gives kernels without their pruned heads the size of the configuration.

    A head whose queries, keys, values and row of the output kernel are 0 adds nothing, so the model
    computes what it did; nor has any of them a gradient, so training keeps them at 0.

    Args:
      config: `BertConfig`, whose num_attention_heads counts the pruned ones.
      arrays: {Google name: array}; changed ones are replaced in the result.
      pruned: `pruned_heads` of config.json: {layer (str): [head]}, or None.
      source: the folder, for errors.

    Returns:
      ({Google name: array}, list of remarks for a report: one or none).

    Raises:
      UserError: `pruned` names no heads of the model, or a kernel has not the size it says.
    """
    layers = _checked(config, pruned or {}, source)
    arrays = dict(arrays)
    for layer, heads in layers.items():
        gone = np.isin(np.arange(config.hidden_size) // config.head_size, heads)
        scope = f"bert/encoder/layer_{layer}/attention"
        for part in ("query", "key", "value"):
            for leaf in ("kernel", "bias"):
                _widen(arrays, f"{scope}/self/{part}/{leaf}", -1, ~gone, source)
        _widen(arrays, f"{scope}/output/dense/kernel", 0, ~gone, source)
    if not layers:
        return arrays, []
    count = sum(map(len, layers.values()))
    return arrays, [
        f"pruned_heads: {count} pruned head{'s' if count > 1 else ''} put back as zeros, which"
        " change no output"
    ]


def _checked(config, pruned, source):
    """Returns {layer: sorted list of heads}, without layers that have lost none."""
    numbers = [str(layer) for layer in range(config.num_hidden_layers)]
    if not isinstance(pruned, dict) or not all(
        layer in numbers and isinstance(heads, list) and all(_is_head(h, config) for h in heads)
        for layer, heads in pruned.items()
    ):
        raise UserError(
            f"{source}: pruned_heads of config.json is {pruned!r}, expected numbers of heads below"
            f" {config.num_attention_heads} by layer, of {config.num_hidden_layers} layers: correct"
            " it"
        )
    return {int(layer): sorted(set(heads)) for layer, heads in pruned.items() if heads}


def _is_head(value, config):
    return type(value) is int and 0 <= value < config.num_attention_heads


def _widen(arrays, name, axis, kept, source):
    if name not in arrays:
        return
    narrow = arrays[name]
    if narrow.ndim == 0 or narrow.shape[axis] != kept.sum():
        raise UserError(
            f"{source}: variable {name} has shape {list(narrow.shape)}, but pruned_heads of"
            f" config.json leaves it {int(kept.sum())} of {len(kept)} along axis {axis % 2}: the"
            " weights and config.json were not saved together"
        )
    shape = list(narrow.shape)
    shape[axis] = len(kept)
    wide = np.zeros(shape, narrow.dtype)
    wide[(..., kept) if axis else kept] = narrow
    arrays[name] = wide
