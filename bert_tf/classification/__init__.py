"""Sentence classification and regression: what run_classifier.py runs.

Example:
  >>> from bert_tf.classification import ClassifierOptions, run
  >>> options = ClassifierOptions(do_train=True, model_dir="minilm", task_name="rte", ...)
  >>> results = run(options)
"""

from bert_tf.lazy import importer

__getattr__ = importer(
    __name__, {"ClassifierOptions": "options", "SequenceClassifier": "model", "run": "program"}
)
