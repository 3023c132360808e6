"""The best model of a run: the folder `best`, weights and the evaluation that they belong to."""

import pathlib
import shutil

from absl import logging

from bert_tf import files, folders
from bert_tf.errors import UserError

EVALUATION_FILE = "evaluation.json"


class BestModel:
    """The model of the best evaluation whose weights were kept.

    What it was measured at lies in the same folder and is replaced with it, so a metric never
    belongs to other weights: not after a kill between two files, and not in a run that goes on
    with other flags.

    Args:
      folder: where the model goes.
      save: callable (folder) that writes the model as it is now.

    Attributes:
      evaluation: {"metric", "value", "step", "metrics"} of what the folder holds; {} without.
    """

    def __init__(self, folder, save):
        self.folder = pathlib.Path(folder)
        self.evaluation = {}
        self._save = save

    def recall(self, step):
        """Takes over what a run that goes on from `step` has kept; a run from 0 has kept nothing.

        Raises:
          UserError: the evaluation in the folder cannot be read.
        """
        folders.tidy(self.folder)
        path = self.folder / EVALUATION_FILE
        if step and path.exists():
            self.evaluation = _read(path)
        elif self.folder.exists():
            logging.info("%s: the best model of an earlier run is removed", self.folder)
            shutil.rmtree(self.folder)

    def keep(self, evaluation):
        """Writes the model as it is now, in place of the one before; `evaluation` is of it."""
        with folders.replaced(self.folder) as folder:
            self._save(folder)
            files.write_json(folder / EVALUATION_FILE, evaluation)
        self.evaluation = evaluation


def _read(path):
    evaluation = files.read_json(path, "evaluation of the best model")
    missing = {"metric", "value", "step", "metrics"} - set(evaluation)
    if missing:
        raise UserError(
            f"{path}: {min(missing)} is missing: remove {path.parent}, and the best is kept from"
            " here on"
        )
    return evaluation
