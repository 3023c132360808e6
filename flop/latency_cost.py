"""What dense and factorised kernels cost in time on this machine."""

import itertools
import statistics
import time

import numpy as np
import scipy.optimize
import tensorflow as tf

from flop.ranks import Cost

_SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)  # of the rank at which both forms multiply as often
_ROUNDS = 15


def latency_costs(shapes, tokens, product=None):
    """Measures each distinct shape once and returns {name: Cost} in seconds.

    The time of two factors is fitted as base + unit * rank, neither below 0, to the median times at
    five ranks; the dense product and all ranks are timed in turn, so that they share what the
    machine does besides.

    Args:
      shapes: {name: (d_in, d_out)}.
      tokens: {name: rows that the kernel is applied to at once}.
      product: callable (rows, *widths) -> callable () that multiplies a batch by the chain of
        matrices and waits for the result; TensorFlow's if None.
    """
    known, product = {}, product or tensorflow_product
    for name, (d_in, d_out) in shapes.items():
        key = (d_in, d_out, tokens[name])
        if key not in known:
            known[key] = _measure(*key, product)
    return {name: known[(*shape, tokens[name])] for name, shape in shapes.items()}


def _measure(d_in, d_out, rows, product):
    even = d_in * d_out / (d_in + d_out)
    ranks = sorted({max(1, round(share * even)) for share in _SHARES})
    chains = [product(rows, d_in, d_out), *(product(rows, d_in, r, d_out) for r in ranks)]
    times = [[] for _ in chains]
    for _ in range(_ROUNDS):
        for chain, taken in zip(chains, times, strict=True):
            taken.append(_seconds(chain))
    dense, *factorized = (statistics.median(taken) for taken in times)
    matrix = np.stack([np.ones(len(ranks)), ranks], axis=1)
    base, unit = scipy.optimize.nnls(matrix, np.array(factorized))[0]
    # A slope of 0 is noise around a constant: any rank would be free.
    return Cost(dense=dense, unit=max(unit, 1e-3 * dense / even), base=base)


def tensorflow_product(rows, *widths):
    """Returns a callable () -> array: a batch times the chain of matrices, a compiled function."""
    x = tf.random.stateless_normal([rows, widths[0]], [0, 0])
    matrices = [
        tf.Variable(tf.random.stateless_normal([m, n], [m, n]))
        for m, n in itertools.pairwise(widths)
    ]

    @tf.function
    def chain():
        y = x
        for matrix in matrices:
            y = tf.matmul(y, matrix)
        return y

    chain()
    return lambda: chain().numpy()


def _seconds(chain):
    start = time.perf_counter()
    chain()
    return time.perf_counter() - start
