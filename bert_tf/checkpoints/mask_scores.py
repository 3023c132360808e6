"""Predicted loss of removing each rank: written by factorize.py, read to start the masks."""

import math
import pathlib

import numpy as np

from bert_tf import files
from bert_tf.errors import UserError

FILE = "mask_scores.npz"
# log_alpha = ln 11 + 0.5 ln(score / score at the cut): from ln 11 on, the median gate is 1, so that
# the model begins nearly as it was. Limited to what the gates still learn from.
_AT_CUT, _SLOPE, _LEAST, _MOST = math.log(11), 0.5, -2.0, 5.0


def write_scores(folder, scores):
    """Writes {scope: float32 [rank]} beside a model, atomically."""
    with files.atomic_path(pathlib.Path(folder) / FILE) as temporary, open(temporary, "wb") as f:
        np.savez(f, **scores)


def read_scores(folder, shapes):
    """Returns {scope: float32 [rank]}.

    Args:
      folder: model folder.
      shapes: {scope: (d_in, d_out, rank)} of the kernels that need scores.

    Raises:
      UserError: the file is missing, damaged, or does not fit the model.
    """
    path = pathlib.Path(folder) / FILE
    if not path.is_file():
        raise UserError(
            f"{path}: no such file: --init_masks=scores needs a folder that factorize.py wrote"
        )
    try:
        with np.load(path) as stored:
            scores = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: cannot be read: {e}") from e
    for scope, (_, _, rank) in shapes.items():
        found = scores[scope].shape if scope in scores else None
        if found != (rank,):
            raise UserError(f"{path}: {scope} has {found} scores, the model's kernel {rank} ranks")
        if not np.isfinite(scores[scope]).all():
            raise UserError(f"{path}: a score of {scope} is not finite: run factorize.py again")
    return {scope: scores[scope] for scope in shapes}


def initial_log_alphas(scores, shapes, base, fixed, target_sparsity):
    """Starts masks by score: just open where a cut to the target would fall, lower below it.

    Args:
      scores: {scope: [rank]} predicted loss of removing a rank, per parameter it costs.
      shapes: {scope: (d_in, d_out, rank)}.
      base: parameters that sparsity is a share of.
      fixed: parameters of that base which have no gates.
      target_sparsity: share of `base` to remove.

    Returns:
      {scope: float32 [rank]} in [-2, 5].
    """
    costs = {scope: np.full(len(s), sum(shapes[scope][:2])) for scope, s in scores.items()}
    flat = np.concatenate(list(scores.values())).astype(np.float64)
    order = np.argsort(-flat)
    spent = fixed + np.cumsum(np.concatenate(list(costs.values()))[order])
    last = min(int(np.searchsorted(spent, (1 - target_sparsity) * base)), len(order) - 1)
    smallest = np.finfo(np.float64).tiny
    cut = max(flat[order[last]], smallest)
    start = {
        scope: _AT_CUT + _SLOPE * np.log(np.maximum(s, smallest) / cut)
        for scope, s in scores.items()
    }
    return {
        scope: np.clip(values, _LEAST, _MOST).astype(np.float32) for scope, values in start.items()
    }
