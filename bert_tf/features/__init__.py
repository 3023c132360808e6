"""What an encoder computes of texts: the outputs of its layers, or a vector of each text.

Example:
  >>> from bert_tf.features import Extractor
  >>> extract = Extractor(load_model("minilm"), pooling="mean")
  >>> [found.vectors[-1] for found in extract(["a text", ("a text", "and its pair")])]
"""

from bert_tf.lazy import importer

__getattr__ = importer(__name__, {"Extractor": "extractor", "TextFeatures": "extractor"})
