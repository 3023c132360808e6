"""Fine-tune, evaluate and predict answers that are spans of a text: what run_squad.py runs."""

import time

from bert_tf.finetuning import program
from bert_tf.spans.job import SpanJob


def run(options, callbacks=(), age=0.0, now=time.monotonic):
    """Fine-tunes, evaluates and predicts as `options` (`SpanOptions`) say.

    Args, Returns, Raises: see `finetuning.program.run`.
    """
    return program.run(SpanJob, options, callbacks, age, now)
