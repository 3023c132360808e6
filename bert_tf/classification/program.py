"""Fine-tune, evaluate and predict sentence classification: what run_classifier.py runs."""

import time

from bert_tf.classification.job import ClassificationJob
from bert_tf.finetuning import program


def run(options, callbacks=(), age=0.0, now=time.monotonic):
    """Fine-tunes, evaluates and predicts as `options` (`ClassifierOptions`) say.

    Args, Returns, Raises: see `finetuning.program.run`.
    """
    return program.run(ClassificationJob, options, callbacks, age, now)
