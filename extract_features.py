"""Writes what an encoder computes of each line of text: vectors of its tokens, or one of the line.

Any model folder will do: dense, factorised, compact, a sub-network, fine-tuned or not. " ||| "
stands between the texts of a pair.

The last four layers, as Google's program writes them:
  extract_features.py --model_dir=minilm --input_file=lines.txt --output_file=features.jsonl

A vector for each line:
  extract_features.py --model_dir=minilm --pooling=mean --format=npz --input_file=lines.txt \\
      --output_file=vectors.npz
"""

import sys

from bert_tf import cli
from bert_tf.features.options import ExtractionOptions


def main(options):
    """Writes the features that `options` (`ExtractionOptions`) describe; returns the status."""
    options.check()

    from bert_tf.features import program  # imports TensorFlow, which --help does not need

    return program.main(options)


def cli_main():
    """Entry point of the `bert-extract-features` command."""
    cli.run(ExtractionOptions, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
