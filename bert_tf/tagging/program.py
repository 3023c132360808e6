"""Fine-tune, evaluate and predict token classification: what run_tagger.py runs."""

import time

from bert_tf.finetuning import program
from bert_tf.tagging.job import TaggingJob


def run(options, callbacks=(), age=0.0, now=time.monotonic):
    """Fine-tunes, evaluates and predicts as `options` (`TaggerOptions`) say.

    Args, Returns, Raises: see `finetuning.program.run`.
    """
    return program.run(TaggingJob, options, callbacks, age, now)
