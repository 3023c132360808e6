"""Layer freezing: train the upper layers only, and stop computing what is frozen.

Example:
  >>> from bert_tf.freezing import AutoFreeze, freeze
  >>> freeze(model, 4)  # embeddings and four layers, for good
  >>> model.fit(dataset, epochs=4, callbacks=[AutoFreeze(num_intervals=20, percentile=50)])
"""

from bert_tf.lazy import importer

__getattr__ = importer(
    __name__,
    {
        "ActivationCache": "activation_cache",
        "AutoFreeze": "autofreeze",
        "CacheConfig": "activation_cache",
        "freeze": "layers",
    },
)
