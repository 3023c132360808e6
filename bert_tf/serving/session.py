"""An ONNX model in ONNX Runtime."""

import numpy as np

from bert_tf.errors import UserError
from bert_tf.packages import require

_PACKAGES = ("onnxruntime", "tokenizers")
_INSTALL = "numpy onnxruntime tokenizers absl-py"  # bert-tf's extra brings TensorFlow along
_ERRORS_ONLY = 3


def inference_session(model, threads=None):
    """Returns an `onnxruntime.InferenceSession` on the CPU, which logs errors only.

    Args:
      model: path (str) or content (bytes) of an ONNX file.
      threads: of one run; None takes all cores.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Session:
    """Runs an ONNX model on the CPU.

    Args:
      path: model.onnx.
      threads: of one run; None takes all cores.

    Attributes:
      outputs: {name: width, the size of the last dimension}.

    Raises:
      UserError: onnxruntime or tokenizers is not installed, or the file is no model that it runs.
    """

    def __init__(self, path, threads=None):
        for package in _PACKAGES:
            require(package, "bert_tf.serving", install=_INSTALL)
        try:
            self._session = inference_session(str(path), threads)
        except Exception as e:  # the library's errors have no common class but this
            reason = str(e).strip().split("\n")[0]
            raise UserError(f"{path}: ONNX Runtime cannot load it: {reason}") from e
        self._inputs = [found.name for found in self._session.get_inputs()]
        self.outputs = {found.name: found.shape[-1] for found in self._session.get_outputs()}

    def run(self, output, inputs):
        """Returns an output, float32.

        Args:
          output: its name.
          inputs: {name: int64 [B, T]}; those that the model does not have are left out.
        """
        fed = {name: inputs[name] for name in self._inputs}
        return self._session.run([output], fed)[0].astype(np.float32, copy=False)
