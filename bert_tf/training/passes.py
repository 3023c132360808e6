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

    Args:
      run: callable (index, `Pass`) -> (float32 [scalars], gradients of `variables`).
      passes: tuple of `Pass`; one whose `when` says no to `step` adds nothing.
      step: int64 scalar.
      variables: list of variables.
      scalars: how many numbers a pass logs.
    """
    losses, sums = None, None
    for index, one in enumerate(passes):
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


def _run_if(wanted, run, index, one, variables, scalars):
    zeros = tf.zeros([scalars]), [tf.zeros(v.shape, tf.float32) for v in variables]

    def dense():
        losses, gradients = run(index, one)
        pairs = zip(gradients, zeros[1], strict=True)
        return losses, [zero if g is None else tf.convert_to_tensor(g) for g, zero in pairs]

    return tf.cond(wanted, dense, lambda: zeros)


def _sum(a, b):
    if a is None or b is None:
        return b if a is None else a
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)
