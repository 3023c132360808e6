"""Makes pre-training data out of raw text, for run_pretraining.py.

By default the text is packed: word pieces of one document after the other in full rows, in a folder
that appears when it is complete. Masks are drawn while training, other ones in each epoch. With
--output_file the program writes Google BERT's TFRecords instead, with its flags: sentence pairs
with static masks.

Packed rows, with the vocabulary of a model:
  python create_pretraining_data.py --input_file='wiki/*.txt.gz,books/' \\
      --vocab_file=uncased_L-12_H-768_A-12/vocab.txt --output_dir=data/wiki-books

Packed rows, with a vocabulary learned from the text:
  python create_pretraining_data.py --input_file=corpus.txt --learn_vocab --vocab_size=8192 \\
      --output_dir=data/corpus

Google's TFRecords:
  python create_pretraining_data.py --input_file=sample_text.txt --output_file=examples.tfrecord \\
      --vocab_file=vocab.txt --max_seq_length=128 --max_predictions_per_seq=20
"""

import sys

from bert_tf import cli
from bert_tf.data.pretraining.options import PretrainingDataOptions


def main(options):
    """Writes what `options` (`PretrainingDataOptions`) describe, and says what it was."""
    from bert_tf.data.pretraining import create  # imports TensorFlow, which --help does not need

    print(create.run(options))


def cli_main():
    """Entry point of the `bert-create-pretraining-data` command."""
    cli.run(PretrainingDataOptions, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
