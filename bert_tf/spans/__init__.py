"""Answers that are spans of a text (SQuAD): what run_squad.py runs.

Example:
  >>> from bert_tf.spans import SpanOptions, run
  >>> options = SpanOptions(do_train=True, model_dir="minilm", train_file="train-v1.1.json", ...)
  >>> results = run(options)
"""

from bert_tf.lazy import importer

__getattr__ = importer(__name__, {"SpanOptions": "options", "SpanModel": "model", "run": "program"})
