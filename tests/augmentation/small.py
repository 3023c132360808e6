"""A tiny model that predicts masked words, and the program on it."""

import pathlib

import numpy as np

from bert_tf.augmentation import program
from bert_tf.augmentation.options import AugmentationOptions
from bert_tf.checkpoints import names
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from tests import tiny


def make_masked_lm(folder, seed=0, **changes):
    """Writes a model folder with random weights and a masked-LM head, and returns it.

    Args:
      folder: where.
      seed: of the weights.
      **changes: see `tiny.make_model`.
    """
    model = load_model(tiny.make_model(folder, seed=seed, **changes))
    rng = np.random.default_rng(seed + 1)
    shapes = names.head_shapes(model.config)
    head = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
        if name.startswith("cls/predictions/")
    }
    return save_model_folder(folder, model.config, {**model.arrays, **head}, model.vocab_file)


def augment(**values):
    """Runs augment_data.py's work in this process; returns what it prints."""
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    return program.run(AugmentationOptions(given=frozenset(values), **values))


def rows_of(path):
    """The rows (lists of str) of a tab-separated file, header included."""
    lines = pathlib.Path(path).read_bytes().decode().split("\n")
    return [line.split("\t") for line in lines[:-1]]
