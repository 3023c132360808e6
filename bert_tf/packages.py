"""Packages that an installation may lack: asked for where they are needed."""

import importlib.util

from bert_tf.errors import UserError

EXTRAS = {
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "tokenizers": "onnx",
    "openvino": "openvino",
    "nncf": "openvino",
    "ai_edge_litert": "litert",
    "datasets": "datasets",
    "pyarrow": "parquet",
    "tensorflow_datasets": "tfds",
}
"""The extra of setup.py that installs each."""


def require_tf_models(feature):
    """Raises `UserError` unless tf-models-official is installed; TensorFlow is not loaded.

    Args:
      feature: what needs it, the beginning of the message, such as a flag with its value.
    """
    if importlib.util.find_spec("official") is None:
        raise UserError(
            f"{feature} needs tf-models-official, which is not installed: pip install"
            " 'tf-models-official==2.20.*' 'tf-keras==2.20.*' (TensorFlow 2.20 comes with it)"
        )


def require(module, feature, extra=None, install=None):
    """Raises `UserError` unless a module of an extra is installed; it is not imported.

    Args:
      module: its name, one of `EXTRAS`.
      feature: what needs it, the beginning of the message, such as a flag with its value.
      extra: the one to install; that of the module if None.
      install: what to give pip in place of an extra.
    """
    if importlib.util.find_spec(module) is None:
        install = install or f"'bert-tf[{extra or EXTRAS[module]}]'"
        raise UserError(
            f"{feature} needs {module.replace('_', '-')}, which is not installed:"
            f" pip install {install}"
        )
