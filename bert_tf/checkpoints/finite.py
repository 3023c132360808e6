"""Weights that are numbers: a NaN would pass through every program and come out as a metric."""

import numpy as np

from bert_tf.errors import UserError


def check(arrays, source):
    """Refuses arrays that hold NaN or infinity.

    Args:
      arrays: {name: array}.
      source: the file or folder that they are read from or written to, for the error.

    Raises:
      UserError: naming `source`, the first such variable and how many of its values are wrong.
    """
    for name, array in arrays.items():
        good = np.isfinite(array) if np.asarray(array).dtype.kind == "f" else np.True_
        if not good.all():
            wrong = good.size - int(np.count_nonzero(good))
            raise UserError(
                f"{source}: variable {name} has NaN or infinity in {wrong} of its {good.size}"
                " values, as a training that diverged leaves them: take an earlier checkpoint"
            )
