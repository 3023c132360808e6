"""Layer freezing: train the upper layers only, and stop computing what is frozen.

Example:
  >>> from bert_tf.freezing import AutoFreeze, freeze
  >>> freeze(model, 4)  # embeddings and four layers, for good
  >>> model.fit(dataset, epochs=4, callbacks=[AutoFreeze(num_intervals=20, percentile=50)])
"""

import importlib

_HOME = {
    "ActivationCache": "activation_cache",
    "AutoFreeze": "autofreeze",
    "CacheConfig": "activation_cache",
    "freeze": "layers",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    """Imports what is asked for: the flags must not load TensorFlow."""
    if name not in _HOME:
        raise AttributeError(f"module 'bert_tf.freezing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bert_tf.freezing.{_HOME[name]}"), name)
