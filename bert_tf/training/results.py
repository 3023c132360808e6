"""The end of a run: the final model, and beside it only what was measured on its weights."""

import numpy as np
from absl import logging

from bert_tf.checkpoints import google
from bert_tf.checkpoints.model_folder import CHECKPOINT
from bert_tf.errors import UserError
from bert_tf.training.evaluation import PREDICTIONS, write_eval_results

_OF_A_MODEL = ("eval_results.txt", "results.json", PREDICTIONS)


def holds_model(output_dir):
    """Whether a run has written its final model to `output_dir` (`pathlib.Path`)."""
    return (output_dir / f"{CHECKPOINT}.index").exists()


def write_final_model(output_dir, save, arrays, metrics, step):
    """Writes the final model of a run, and `eval_results.txt` if it was evaluated.

    What was measured on another model in that folder is removed first: a kill may leave a model
    without metrics, never one with those of another.

    Args:
      output_dir: folder of the run (`pathlib.Path`).
      save: callable () that writes the model there.
      arrays: callable () -> {Google name: array} of the model.
      metrics: {split: {metric: value}} of these weights; {} where they were not evaluated.
      step: updates they have seen.
    """
    if not _holds(output_dir, arrays):
        for path in (path for pattern in _OF_A_MODEL for path in output_dir.glob(pattern)):
            logging.info("%s: removed, it is of other weights than the final model", path)
            path.unlink()
    save()
    if metrics:
        write_eval_results(output_dir, metrics, step)


def _holds(output_dir, arrays):
    """Whether the model in `output_dir` has these very weights (a callable, as above)."""
    if not holds_model(output_dir):
        return False
    try:
        found = google.read_checkpoint(output_dir / CHECKPOINT)
    except UserError:  # damaged: it is replaced
        return False
    wanted = arrays()
    return found.keys() == wanted.keys() and all(
        np.array_equal(found[name], array) for name, array in wanted.items()
    )
