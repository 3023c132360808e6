"""What freezing saves, layer by layer: parameters, FLOPs, share of a training step."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class _Part:
    name: str
    parameters: int
    flops: float
    frozen: bool


def freezing_summary(encoder, length, first_token_only=True):
    """Returns a table of an encoder's parts, and what its frozen ones save of a step.

    A backward pass costs two forward passes: a step with s of the F forward FLOPs frozen costs
    F + 2 (F - s), of 3 F; with an activation cache 3 (F - s).

    Args:
      encoder: `BertEncoder`.
      length: tokens of an example.
      first_token_only: whether the last layer computes the first token only, for a classifier.
    """
    parts = _parts(encoder, length, first_token_only)
    width = max(len(part.name) for part in parts)
    lines = [f"{'part':<{width}}  {'parameters':>11}  {'MFLOPs':>8}  state"]
    for part in parts:
        state = "frozen" if part.frozen else "trained"
        lines.append(
            f"{part.name:<{width}}  {part.parameters:>11,}  {part.flops / 1e6:>8.1f}  {state}"
        )
    share = frozen_share(encoder, length, encoder.gradient_start or 0, first_token_only)
    step, cached = step_costs(share)
    frozen = sum(part.parameters for part in parts if part.frozen)
    lines.append(
        f"{frozen:,} of {sum(p.parameters for p in parts):,} parameters are frozen: a step of"
        f" {length}-token examples costs {step:.0%} of a full one, {cached:.0%} with the outputs"
        " of the frozen layers from a cache"
    )
    return "\n".join(lines)


def frozen_share(encoder, length, num_layers, first_token_only=True):
    """Returns the share of the forward pass's FLOPs in the first `num_layers` layers, in [0, 1).

    Args:
      encoder: `BertEncoder`.
      length: tokens of an example.
      num_layers: 0 to all layers.
      first_token_only: see `freezing_summary`.
    """
    parts = _parts(encoder, length, first_token_only)  # embeddings, layers, pooler
    flops = [part.flops for part in parts]
    return sum(flops[: num_layers + 1]) / sum(flops)


def step_costs(share):
    """(cost of a step, cost with a cache) as shares of a full step's matrix products.

    Args:
      share: share of the forward pass's FLOPs that is frozen, in [0, 1].
    """
    live = 1 - share
    return (1 + 2 * live) / 3, live


def layer_flops(layer, length, first_token_only=False):
    """Returns the forward FLOPs of one example of `length` tokens in an `EncoderLayer`."""
    tokens = 1 if first_token_only else length
    flops = 0.0
    for kernel in layer.kernels:
        rows = length if kernel in (layer.key, layer.value) else tokens
        flops += 2.0 * rows * _matrix_parameters(kernel)
    attention = layer.config.num_attention_heads * layer.config.head_size
    return flops + 4.0 * tokens * length * attention  # scores and context


def _parts(encoder, length, first_token_only):
    layers, start = encoder.encoder_layers, encoder.gradient_start
    projection = encoder.embeddings.projection
    flops = 2.0 * length * _matrix_parameters(projection) if projection else 0.0
    parts = [_Part("embeddings", _size(encoder.embeddings), flops, start is not None)]
    for index, layer in enumerate(layers):
        flops = layer_flops(layer, length, first_token_only and index == len(layers) - 1)
        parts.append(_Part(f"layer {index}", _size(layer), flops, index < (start or 0)))
    flops = 2.0 * _matrix_parameters(encoder.pooler)
    return [*parts, _Part("pooler", _size(encoder.pooler), flops, False)]


def _matrix_parameters(kernel):
    return sum(int(np.prod(w.shape)) for w in kernel.weights if w.shape.rank == 2)


def _size(layer):
    return sum(int(np.prod(w.shape)) for w in layer.weights)
