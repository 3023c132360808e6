"""BERT on TensorFlow: small, fast and cheap to train.

Importing this package costs nothing: TensorFlow is loaded by the modules that need it. It must be
imported before TensorFlow, because it asks for tf_keras (Keras 2), on which tf-models-official and
multi-worker training stand.
"""

import os
import sys

__version__ = "0.2.0"

if os.environ.setdefault("TF_USE_LEGACY_KERAS", "1") != "1" or (
    "tensorflow" in sys.modules and "keras.src" in sys.modules
):
    raise ImportError(
        "bert_tf needs tf_keras: set TF_USE_LEGACY_KERAS=1 (it is set to"
        f" {os.environ['TF_USE_LEGACY_KERAS']!r}) and import bert_tf before tensorflow and keras"
    )
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
