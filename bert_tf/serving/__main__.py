"""`python -m bert_tf.serving`: what predict.py does, where only the package is installed."""

from bert_tf import cli
from bert_tf.serving.options import PredictOptions
from bert_tf.serving.program import main

if __name__ == "__main__":
    cli.run(PredictOptions, main, __doc__)
