"""Measures the tokenizer against BERT's algorithm in plain Python, on the same rows.

    python -m benchmarks.tokenizer --vocab_file=vocab.txt --data_file=SST-2/train.tsv

Both go from text to the ids of [CLS] text [SEP]. Rounds are interleaved; the times are medians.
"""

import statistics
import sys
import time

from absl import app, flags

from benchmarks import environment
from benchmarks.tokenizer import plain
from bert_tf.data import readers
from bert_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("vocab_file", None, "vocab.txt of the model.", required=True)
flags.DEFINE_string("data_file", None, "TSV, CSV or JSONL file of texts.", required=True)
flags.DEFINE_string("text_column", "sentence", "Column with the text.")
flags.DEFINE_bool("do_lower_case", True, "Whether the vocabulary is an uncased one.")
flags.DEFINE_integer("max_seq_length", 128, "Tokens per sequence at most.")
flags.DEFINE_integer("rows", 20000, "Rows of the file to use.", lower_bound=1)
flags.DEFINE_integer("rounds", 5, "Times each variant runs.", lower_bound=1)


def measure(variants, rounds):
    """Runs {name: callable} in turn, `rounds` times. Returns {name: median seconds}."""
    seconds = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main(_):
    """Prints the environment, the time of each variant and the ratio."""
    try:
        table = readers.read_table(FLAGS.data_file, keys=[FLAGS.text_column])
        texts = table.column(FLAGS.text_column)[: FLAGS.rows]

        from bert_tf.tokenization.tokenizer import BertTokenizer  # after the flags: TensorFlow

        tokenizer = BertTokenizer(FLAGS.vocab_file, FLAGS.do_lower_case)
    except UserError as e:
        sys.exit(f"error: {e}")
    control = plain.PlainTokenizer(tokenizer.vocab.ids, FLAGS.do_lower_case)
    length = FLAGS.max_seq_length

    ids, offsets, _ = tokenizer.encode_flat(texts, max_seq_length=length)  # also the warm-up
    expected = [control.encode(text, max_seq_length=length)[0] for text in texts]
    equal = sum(row == ids[offsets[i] : offsets[i + 1]].tolist() for i, row in enumerate(expected))
    seconds = measure(
        {
            "plain Python": lambda: [control.encode(t, max_seq_length=length) for t in texts],
            "bert_tf": lambda: tokenizer.encode_flat(texts, max_seq_length=length),
        },
        FLAGS.rounds,
    )
    print(environment.describe())
    print(f"data      {len(texts)} rows of {FLAGS.data_file}, {len(ids)} ids, {equal} rows equal")
    for name, value in seconds.items():
        print(f"{name:14}{value:9.3f} s  {len(texts) / value:11,.0f} rows/s")
    ratio = seconds["plain Python"] / seconds["bert_tf"]
    print(f"ratio         {ratio:9.1f} x  (medians of {FLAGS.rounds} rounds)")


if __name__ == "__main__":
    app.run(main)
