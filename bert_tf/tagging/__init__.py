"""Token classification, a label for each word: what run_tagger.py runs.

Example:
  >>> from bert_tf.tagging import TaggerOptions, run
  >>> options = TaggerOptions(do_train=True, model_dir="minilm", data_dir="conll2003", ...)
  >>> results = run(options)
"""

from bert_tf.lazy import importer

__getattr__ = importer(
    __name__, {"TaggerOptions": "options", "TokenClassifier": "model", "run": "program"}
)
