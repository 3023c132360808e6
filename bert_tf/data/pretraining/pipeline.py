"""Masked rows of a corpus as a tf.data.Dataset."""

import contextlib

import numpy as np
import tensorflow as tf

from bert_tf.data.pipeline import without_tuner
from bert_tf.data.pretraining.masking import Masker

_ENDLESS = np.iinfo(np.int64).max


def make_masked_lm_dataset(
    corpus,
    split,
    *,
    batches,
    masking,
    order=None,
    steps=None,
    start_step=0,
    shard_index=0,
    shard_count=1,
    prefetch=4,
):
    """Returns a dataset of masked batches, each a pure function of its number.

    Each of the shards gets every `shard_count`-th row of every batch.

    Args:
      corpus: `Corpus`.
      split: "train" or "validation".
      batches: callable (step) -> (start, count), the part of the stream of rows that a batch is,
        such as `RowOrder.batch`.
      masking: `Masking`.
      order: `RowOrder` of the stream; None takes the rows in their order, once around the split
        after the other, as an evaluation does. With an order a row's masks depend on its position
        in the stream, without one on its number: the same at each evaluation.
      steps: batches there are in all; None for no end.
      start_step: first batch, which is how a run is resumed.
      shard_index, shard_count: this worker's number, and how many there are.
      prefetch: batches prepared ahead.

    Returns:
      `tf.data.Dataset` of {"input_word_ids": int32 [b, t], "masked_lm_positions", "masked_lm_ids":
      int32 [b, p], "masked_lm_weights": float32 [b, p]}. Every row is full, so there is no mask.

    Raises:
      ValueError: the split has no rows.
      UserError: the vocabulary cannot be masked with. (What `Corpus.read` raises while iterating
        comes out of `user_errors`.)
    """
    if not corpus.rows(split):
        raise ValueError(f"the split {split} has no rows")
    masker = Masker(masking, corpus.vocab, corpus.seq_length)
    widths = [corpus.seq_length, *[masking.predictions(corpus.seq_length)] * 3]

    def batch(step):
        positions, rows = batch_rows(batches(int(step)), order, corpus.rows(split))
        mine = slice(shard_index, None, shard_count)
        numbers = (rows if order is None else positions)[mine]
        inputs = masker(corpus.read(split, rows[mine]), numbers, split)
        return [inputs[name] for name in _KINDS]

    def tensors(step):
        found = tf.numpy_function(batch, [step], list(_KINDS.values()))
        for tensor, width in zip(found, widths, strict=True):
            tensor.set_shape([None, width])
        return dict(zip(_KINDS, found, strict=True))

    return without_tuner(numbered_batches(start_step, steps).map(tensors).prefetch(prefetch))


def batch_rows(part, order, count):
    """Returns (positions in the stream, numbers of the rows there): int64 [n] both.

    Args:
      part: (start, n) of the stream.
      order: `RowOrder`, or None for the rows in their order, over and over.
      count: rows there are.
    """
    positions = np.arange(part[0], part[0] + part[1], dtype=np.int64)
    return positions, positions % count if order is None else order.ids(*part)


def numbered_batches(start_step, steps):
    """Returns a dataset of the int64 numbers start_step, ..., steps - 1, or without end if None."""
    return tf.data.Dataset.range(start_step, _ENDLESS if steps is None else steps)


_KINDS = {
    "input_word_ids": tf.int32,
    "masked_lm_positions": tf.int32,
    "masked_lm_ids": tf.int32,
    "masked_lm_weights": tf.float32,
}


@contextlib.contextmanager
def user_errors(source):
    """Context: a `UserError` that `source` raised inside tf.data comes out as itself.

    TensorFlow would turn it into an error of its own with a traceback for a message.

    Args:
      source: `Corpus` or `GoogleRecords`, whose `failure` is that error.
    """
    try:
        yield
    except tf.errors.OpError as e:
        if source.failure is None:
            raise
        raise source.failure from e
