"""Predictions of an exported model by ONNX Runtime, without TensorFlow.

Needs numpy, onnxruntime and tokenizers only.

Example:
  >>> from bert_tf.serving import Classifier
  >>> Classifier("exported")(["a lovely film", "a dull one"])
  [Prediction(label='1', probability=0.99, probabilities={'0': 0.01, '1': 0.99}), ...]
"""

from bert_tf.serving.classifier import Classifier, Prediction, Score

__all__ = ["Classifier", "Prediction", "Score"]
