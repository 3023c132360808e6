"""Predicts the label of each line of text by an exported model, without TensorFlow.

For each line of the input a line "label<tab>probability", or the score of a regression:
  predict.py --model_dir=exported --input_file=texts.txt --output_file=labels.tsv
  echo "a lovely film" | predict.py --model_dir=exported
"""

import sys

from bert_tf import cli
from bert_tf.serving.options import PredictOptions
from bert_tf.serving.program import main


def cli_main():
    """Entry point of the installed command."""
    cli.run(PredictOptions, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
