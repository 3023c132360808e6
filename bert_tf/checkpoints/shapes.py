"""Does a checkpoint have the shape that its configuration says?"""

import difflib

import numpy as np

from bert_tf.checkpoints import names
from bert_tf.errors import UserError


def check_shapes(config, arrays, source, left=()):
    """Checks every encoder and head array against the configuration.

    Each kernel of a layer may be dense (`query/kernel`, `query/bias`) or factorised
    (`query_p/kernel` [d_in, rank], `query_q/kernel` [rank, d_out], `query_q/bias`, and while masked
    `query_g/log_alpha` [rank]); ranks in `config.pruned_layers_dim` must be met. The pooler and the
    heads may be absent.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array}.
      source: what to call the checkpoint in errors (its path).
      left: names that the checkpoint has besides, for the message about a missing variable.

    Raises:
      UserError: a variable is missing, unknown in this configuration, or of another shape; the
        message names the variable and both shapes.
    """
    expected = _expected(config, arrays, source)
    for name, shape in {**expected, **names.head_shapes(config)}.items():
        found = tuple(arrays[name].shape) if name in arrays else None
        if found is None:
            if not names.is_optional(name):
                raise UserError(
                    f"{source}: variable {name} {list(shape)} of the configuration is missing"
                    + nearest_names(name, [*arrays, *left], expected)
                )
        elif not _fits(found, shape):
            wanted = str(list(shape)).replace("None", "labels")
            raise UserError(
                f"{source}: variable {name} has shape {list(found)},"
                f" but the configuration says {wanted}"
            )
    extra = sorted(n for n in arrays if n.startswith("bert/") and n not in expected)
    if extra:
        raise UserError(
            f"{source}: {len(extra)} encoder variables are not in the configuration"
            f" ({config.num_hidden_layers} layers, {config.norm_position}-LN), the first is"
            f" {extra[0]} {list(arrays[extra[0]].shape)}"
        )
    _check_pairs(arrays, source)


def nearest_names(name, found, known=()):
    """Returns the part of a message that says what there is instead of a missing variable.

    Args:
      name: the variable.
      found: the names in the checkpoint, with `/` or `.` between their parts.
      known: names that have a place of their own, no misspelling of this one.
    """
    others = {n.replace(".", "/"): n for n in found if n not in known}
    close = difflib.get_close_matches(name, others, 3, cutoff=0.7)
    if close:
        return f"; the nearest names found: {', '.join(others[n] for n in close)}"
    first = sorted(others.values())[:3]
    return f"; found instead: {', '.join(first)}" if first else "; nothing else was found"


def _expected(config, arrays, source):
    """The encoder's {name: shape}, each kernel in the form (dense or factorised) of `arrays`."""
    shapes = names.encoder_shapes(config)
    ranks = dict(config.pruned_layers_dim)
    for scope, (d_in, d_out) in names.dense_scopes(config).items():
        factor = f"{scope}_p/kernel"
        rank = ranks.pop(factor, None)
        if rank is None and factor in arrays:
            rank = arrays[factor].shape[-1]  # factorised, not compacted: the rank is free
        if rank is None:
            continue
        del shapes[f"{scope}/kernel"]
        shapes[factor] = (d_in, rank)
        shapes[f"{scope}_q/kernel"] = (rank, d_out)
        if shapes.pop(f"{scope}/bias", None):
            shapes[f"{scope}_q/bias"] = (d_out,)
        if f"{scope}_g/log_alpha" in arrays:
            shapes[f"{scope}_g/log_alpha"] = (rank,)
    if ranks:
        raise UserError(
            f"{source}: pruned_layers_dim of the configuration names {min(ranks)}, which is no"
            f" kernel of a model of {config.num_hidden_layers} layers"
        )
    return shapes


def _fits(found, shape):
    return len(found) == len(shape) and all(
        s in (None, f) for f, s in zip(found, shape, strict=True)
    )


def _check_pairs(arrays, source):
    weights, bias = arrays.get("output_weights"), arrays.get("output_bias")
    if (weights is None) != (bias is None):
        raise UserError(f"{source}: has only one of output_weights and output_bias")
    if weights is not None and len(weights) != len(bias):
        raise UserError(
            f"{source}: output_weights has {len(weights)} labels, output_bias {len(bias)}"
        )


def check_representable(config, arrays, what):
    """Refuses models that another program's format cannot hold.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array}.
      what: the format, for errors ("a Hugging Face folder").

    Raises:
      UserError: the model is factorised, compact, pre-LN, or has gated feed-forward layers.
    """
    factor = next((name for name in sorted(arrays) if name.endswith("_p/kernel")), None)
    if config.pruned_layers_dim or factor:
        raise UserError(
            f"{what} cannot hold a factorised or compact model"
            f" ({factor or min(config.pruned_layers_dim)}): convert the dense model it came from"
        )
    if config.norm_position != "post":
        raise UserError(f"{what} cannot hold a pre-LN model (norm_position of the configuration)")
    if config.gated_ffn:
        raise UserError(f"{what} cannot hold gated feed-forward layers (gated_ffn)")


def check_square(config, what):
    """Refuses a sub-network for programs whose attention is as wide as the hidden states.

    Args:
      config: `BertConfig`.
      what: the format, for errors.

    Raises:
      UserError: a layer has more or fewer heads than fill hidden_size, or neurons of its own.
    """
    if config.layer_neurons or set(_widths(config)) != {config.hidden_size}:
        raise UserError(
            f"{what} cannot hold a sub-network, whose heads do not fill its hidden_size: write a"
            " model folder or a Hugging Face folder"
        )


def _widths(config):
    """The width of the attention of each layer."""
    layers = range(config.num_hidden_layers)
    return [config.units_of(layer)[0] * config.head_size for layer in layers]


def with_biases(config, arrays):
    """Returns (config, arrays) of the same model for programs that know no kernel without a bias.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array} of a dense model; biases of zeros are added where it has none.
    """
    if config.use_bias:
        return config, arrays
    zeros = {
        f"{scope}/bias": np.zeros(d_out, np.float32)
        for scope, (_, d_out) in names.dense_scopes(config).items()
    }
    return config.replace(use_bias=True), {**zeros, **arrays}


def with_token_types(config, arrays):
    """Returns (config, arrays) of the same model for programs that know none without token types.

    Args:
      config: `BertConfig`.
      arrays: {Google name: array}; where there is no table, one of two rows of zeros is added.
    """
    if config.type_vocab_size:
        return config, arrays
    table = np.zeros([2, config.embedding_width], np.float32)
    types = {"bert/embeddings/token_type_embeddings": table}
    return config.replace(type_vocab_size=2), {**types, **arrays}
