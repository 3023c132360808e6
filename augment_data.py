"""Makes more training rows of those that a task has: words replaced by likely other ones.

A masked language model says what a word may become, or, of words of several pieces, the nearest
word embeddings (TinyBERT's data augmentation). The file has the layout of the training file:
each row, and behind it its variants. run_classifier.py --data_aug trains on them.

Variants with the labels of their rows:
  python augment_data.py --task_name=SST-2 --data_dir=glue_data/SST-2 --model_dir=bert-base-uncased

With the logits of a fine-tuned model in the place of the labels:
  python augment_data.py --data_dir=glue_data/SST-2 --model_dir=bert-base-uncased \\
      --teacher_model_dir=runs/sst2
"""

import sys

from bert_tf import cli
from bert_tf.augmentation.options import AugmentationOptions


def main(options):
    """Writes what `options` (`AugmentationOptions`) describe, and says what it was."""
    from bert_tf.augmentation import program  # imports TensorFlow, which --help does not need

    print(program.run(options))


def cli_main():
    """Entry point of the `bert-augment-data` command."""
    cli.run(AugmentationOptions, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
