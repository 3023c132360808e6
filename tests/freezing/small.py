"""A small classifier of three layers, without dropout, and batches for it."""

import numpy as np
import tensorflow as tf

from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.training.optimization import make_optimizer
from tests import tiny

LAYERS = 3
CONFIG = BertConfig(
    vocab_size=30,
    **{**tiny.SHAPE, "num_hidden_layers": LAYERS},
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
ROWS = 4


def make_encoder(config=CONFIG, ranks=None):
    """A `BertEncoder`; `ranks` is {Google's name of a kernel: rank} of factorised kernels."""
    config = config.replace(pruned_layers_dim=ranks or {})
    return BertEncoder(config, dense_factory=kernels.factory(config, masked=False))


def randomize(model, scale=0.2):
    """Gives the model weights that depend on nothing but the shapes; returns the model."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=scale, size=variable.shape))
    return model


def make_model(optimizer=None, config=CONFIG, encoder=None, **compile_arguments):
    """A compiled `SequenceClassifier`; AdamW unless another optimizer is given."""
    model = SequenceClassifier(config, 2, encoder=encoder)
    randomize(model)
    model.compile(optimizer=optimizer or make_optimizer("adamw", 1e-2), **compile_arguments)
    return model


def make_arrays(batches, length=7, seed=0):
    """Returns (inputs, labels) of `batches` batches of `ROWS` examples, padding included."""
    rng = np.random.default_rng(seed)
    count = batches * ROWS
    mask = np.arange(length) < rng.integers(3, length + 1, [count, 1])
    ids = np.where(mask, rng.integers(1, 30, [count, length]), 0)
    inputs = {"input_word_ids": ids, "input_mask": mask, "input_type_ids": mask * 0}
    inputs = {name: value.astype(np.int32) for name, value in inputs.items()}
    return inputs, rng.integers(0, 2, count).astype(np.int32)


def make_dataset(batches, **kwargs):
    """The same as a dataset whose length is known."""
    return tf.data.Dataset.from_tensor_slices(make_arrays(batches, **kwargs)).batch(
        ROWS, drop_remainder=True
    )


def layer_of(name):
    """Of a variable: -1 for embeddings, the layer's number, or `LAYERS` for what is above."""
    if name.startswith("bert/embeddings/"):
        return -1
    return int(name.split("layer_")[1].split("/")[0]) if "/layer_" in name else LAYERS


def is_frozen(name, num_layers):
    """Whether `freeze(model, num_layers)` freezes the variable."""
    return bool(num_layers) and layer_of(name) < max(num_layers, 0)


def values(model):
    """{name: array} of all weights."""
    return {v.name: v.numpy() for v in model.model_weights}
