"""tf-models-official, which an installation may lack: asked for where it is needed."""

import importlib.util

from bert_tf.errors import UserError


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
