"""Predicts the label of each line of text by an exported model, without TensorFlow."""

import sys

from bert_tf.serving.program import cli_main

if __name__ == "__main__":
    sys.exit(cli_main())
