"""Structured pruning of dense kernels for any tf_keras model (it knows nothing of BERT)."""

import os

# tf.keras and every plugin of TensorFlow must mean tf_keras.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
