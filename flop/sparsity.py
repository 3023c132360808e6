"""How much of a model its gates remove: expected (differentiable), and if removed now."""

import numpy as np
import tensorflow as tf

from flop.hard_concrete import gate

BASES = ("dense", "factorized")


def base_parameters(shapes, base="dense"):
    """Returns the parameter count that sparsity is measured against.

    Args:
      shapes: list of (d_in, d_out, rank); rank None is a kernel that is not factorised.
      base: `dense` counts every kernel as one matrix; `factorized` counts factors as they are
        (the original's base, which is 2.75 times the dense one for a full SVD of BERT-Base).

    Raises:
      ValueError: unknown base.
    """
    if base not in BASES:
        raise ValueError(f"base={base!r}: expected one of {', '.join(BASES)}")
    return sum(
        d_in * d_out if base == "dense" or rank is None else rank * (d_in + d_out)
        for d_in, d_out, rank in shapes
    )


def expected_parameters(layers):
    """Returns the expected number of parameters in masked layers, a float32 scalar tensor.

    Args:
      layers: masked `FactorizedDense` layers; each gate stands for a column of P and a row of Q.
    """
    return tf.add_n([(x.input_units + x.units) * x.mask.l0_norm() for x in layers])


def removed_parameters(layers, merge_dense=True):
    """Returns the int number of parameters that compaction would leave of masked layers now.

    Args:
      layers: masked `FactorizedDense` layers.
      merge_dense: whether factors that cost more than their product are multiplied back.
    """
    total = 0
    for layer in layers:
        factors = open_gates(layer) * (layer.input_units + layer.units)
        total += min(factors, layer.input_units * layer.units) if merge_dense else factors
    return total


def open_gates(layer):
    """Returns the int number of gates of a masked layer that are above 0 in its evaluation mode."""
    log_alpha = tf.convert_to_tensor(layer.mask.log_alpha)
    return int(np.count_nonzero(gate(log_alpha, layer.mask.evaluation).numpy() > 0))
