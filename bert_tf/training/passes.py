"""The passes of a step: each run by itself, their losses and gradients added up."""

import tensorflow as tf


def mean_losses(losses, weight, inputs, labels, outputs, shared):
    """Returns (what is minimised, {name: mean}) of the terms of a pass over one micro-batch.

    Args:
      losses: tuple of `Loss`.
      weight: float32 scalar, 1 / examples of the global batch.
      inputs, labels, outputs, shared: see `Loss`.
    """
    total, logged = None, {}
    for loss in losses:
        mean = tf.reduce_sum(loss.function(inputs, labels, outputs, shared)) * weight
        weighted = mean if loss.weight == 1.0 else loss.weight * mean
        total = weighted if total is None else total + weighted
        logged[loss.name] = logged[loss.name] + mean if loss.name in logged else mean
    return total, logged


def added_up(run, passes, step, variables, scalars):
    """Runs the passes of a step; returns (sum of their scalars, sum of their gradients).

    One after the other: side by side they would need the memory of all.

    Args:
      run: callable (index, `Pass`) -> (float32 [scalars], gradients of `variables`).
      passes: tuple of `Pass`; one whose `when` says no to `step` adds nothing.
      step: int64 scalar.
      variables: list of variables.
      scalars: how many numbers a pass logs.
    """
    losses, sums = None, None
    for index, one in enumerate(passes):
        before = [] if sums is None else [losses, *(x for x in sums if x is not None)]
        with tf.control_dependencies(_ends(before)):
            if one.when is None:
                more, gradients = run(index, one)
            else:
                more, gradients = _run_if(one.when(step), run, index, one, variables, scalars)
        if sums is None:
            losses, sums = more, gradients
        else:
            losses = losses + more
            sums = [_sum(a, b) for a, b in zip(sums, gradients, strict=True)]
    return losses, sums


def _ends(values):
    """Tensors to wait for."""
    return [x.values if isinstance(x, tf.IndexedSlices) else x for x in values]


def _run_if(wanted, run, index, one, variables, scalars):
    """What `run` gives, or zeros; no rows of a table where it gives the gradient of some."""
    kinds = []

    def found():
        losses, gradients = run(index, one)
        kinds.extend(gradients)
        pairs = zip(gradients, variables, strict=True)
        return losses, [_zeros(v, None) if g is None else _as_it_is(g) for g, v in pairs]

    def nothing():  # traced second; run eagerly it is alone
        pairs = zip(kinds or [None] * len(variables), variables, strict=True)
        return tf.zeros([scalars]), [_zeros(v, g) for g, v in pairs]

    return tf.cond(wanted, found, nothing)


def _as_it_is(gradient):
    if not isinstance(gradient, tf.IndexedSlices):
        return tf.convert_to_tensor(gradient)
    values, indices = gradient.values, tf.cast(gradient.indices, tf.int64)
    return tf.IndexedSlices(values, indices, tf.cast(gradient.dense_shape, tf.int64))


def _zeros(variable, kind):
    """Zeros of the variable's shape, in the form of the gradient `kind`."""
    if not isinstance(kind, tf.IndexedSlices):
        return tf.zeros(variable.shape, tf.float32)
    # XLA wants as many rows on both sides, and knows how many; else none cost nothing.
    rows = kind.values.shape[0] or 0
    values = tf.zeros([rows, *variable.shape[1:]], kind.values.dtype)
    shape = tf.constant(variable.shape.as_list(), tf.int64)
    return tf.IndexedSlices(values, tf.zeros([rows], tf.int64), shape)


def _sum(a, b):
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, tf.IndexedSlices) and isinstance(b, tf.IndexedSlices):
        # A table of words as a whole, once for each pass, would cost more than the passes.
        indices = [tf.cast(x.indices, tf.int64) for x in (a, b)]
        return tf.IndexedSlices(
            tf.concat([a.values, b.values], 0), tf.concat(indices, 0), a.dense_shape
        )
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)
