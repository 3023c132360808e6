"""Structured pruning of dense kernels for any tf_keras model (it knows nothing of BERT)."""

import importlib
import os

# tf.keras and every plugin of TensorFlow must mean tf_keras.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

_HOME = {
    "FactorizedDense": "factorized_dense",
    "HardConcrete": "hard_concrete",
    "Pruner": "pruner",
    "PruningModel": "keras_model",
    "compact": "keras_model",
    "factorize": "keras_model",
    "summary": "keras_model",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    """Imports what is asked for: naming a submodule must not load TensorFlow and matplotlib."""
    if name not in _HOME:
        raise AttributeError(f"module 'flop' has no attribute {name!r}")
    return getattr(importlib.import_module(f"flop.{_HOME[name]}"), name)
