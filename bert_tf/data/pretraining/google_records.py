"""Google BERT's pre-training TFRecords, written and read: static masks and next sentences."""

import contextlib
import itertools
import pathlib

import numpy as np
import tensorflow as tf

from bert_tf import files, locks
from bert_tf.data.features import fingerprint
from bert_tf.data.pipeline import without_tuner
from bert_tf.data.pretraining.checked_rows import MAX_CORRUPT, CheckedRows
from bert_tf.data.pretraining.pipeline import batch_rows, numbered_batches
from bert_tf.data.pretraining.tfrecord_index import TFRecordFile
from bert_tf.errors import UserError

_SEQUENCES = {
    "input_ids": "input_word_ids",
    "input_mask": "input_mask",
    "segment_ids": "input_type_ids",
}
_PREDICTIONS = ("masked_lm_positions", "masked_lm_ids")
_WEIGHTS, _NEXT = "masked_lm_weights", "next_sentence_labels"
_PROBES = 16


def serialize(example):
    """Returns the bytes of a `tf.train.Example` of {feature: int64 or float32 array [n]}."""
    features = {}
    for name, values in example.items():
        if values.dtype.kind == "f":
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        features[name] = feature
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(
        deterministic=True
    )


def write_records(records, paths):
    """Writes serialised examples to several files in turn, Google's way; all files or none.

    Raises:
      UserError: a file cannot be written, or another process is writing the first one.
    """
    with contextlib.ExitStack() as stack:
        first = pathlib.Path(paths[0])
        with contextlib.suppress(OSError):  # the writer says what is wrong
            first.parent.mkdir(parents=True, exist_ok=True)
        if not stack.enter_context(locks.hold(first.with_name(f".{first.name}.lock"))):
            raise UserError(
                f"{first}: another process is writing this file: wait for its end, or name another"
            )
        try:
            temporary = [stack.enter_context(files.atomic_path(path)) for path in paths]
            writers = [stack.enter_context(tf.io.TFRecordWriter(path)) for path in temporary]
            for record, writer in zip(records, itertools.cycle(writers), strict=False):
                writer.write(record)
        except tf.errors.OpError as e:
            raise UserError(f"{paths[0]}: cannot write: {e.message}") from e


class GoogleRecords:
    """The records of TFRecord files that Google's or this create_pretraining_data.py wrote.

    What is held in memory is where each record begins. Reading checks each record's checksum.

    Args:
      paths: list of files.
      max_seq_length: what they were made with.
      max_predictions_per_seq: what they were made with.
      vocab_size: of the model; None checks no ids.
      max_corrupt_records: records with a wrong checksum to skip before `read` raises.

    Attributes:
      seq_length, predictions: max_seq_length and max_predictions_per_seq.

    Raises:
      UserError: a file is missing, truncated, or no TFRecord file, has other features or lengths,
        or token ids that the model does not have (the first records of each file are looked at).
    """

    def __init__(
        self,
        paths,
        max_seq_length,
        max_predictions_per_seq,
        vocab_size=None,
        max_corrupt_records=MAX_CORRUPT,
    ):
        self.seq_length = max_seq_length
        self.predictions = max_predictions_per_seq
        self._lengths = dict.fromkeys(_SEQUENCES, max_seq_length)
        self._lengths |= dict.fromkeys((*_PREDICTIONS, _WEIGHTS), max_predictions_per_seq)
        self._lengths[_NEXT] = 1
        self._parts = [TFRecordFile(path) for path in paths]
        for part in self._parts:
            self._check(part, vocab_size)
        self._rows = CheckedRows(self._parts, max_corrupt_records)

    def __len__(self):
        return len(self._rows)

    @property
    def corrupt_rows(self):
        """How many different records were found corrupt so far."""
        return len(self._rows.corrupt)

    @property
    def failure(self):
        """The `UserError` that `read` raised, None before."""
        return self._rows.failure

    @property
    def digest(self):
        """Hex digest of the records' stored checksums in their order, wherever the files lie."""
        return fingerprint(np.concatenate([part.checksums for part in self._parts]))

    def read(self, numbers):
        """Returns bytes [n] (array of objects): the serialised examples with these numbers.

        In the place of a corrupt record stands the next sound one.

        Raises:
          UserError: more than `max_corrupt_records` different records are corrupt, or all.
        """
        return self._rows.read(numbers)

    def parse(self, records):
        """Returns the model's inputs of serialised examples, string [n], as a dict.

        `input_word_ids`, `input_mask`, `input_type_ids`: int32 [n, seq_length];
        `masked_lm_positions`, `masked_lm_ids`: int32 [n, predictions]; `masked_lm_weights`:
        float32 [n, predictions]; `next_sentence_labels`: int32 [n].
        """
        spec = {
            name: tf.io.FixedLenFeature([length], tf.float32 if name == _WEIGHTS else tf.int64)
            for name, length in self._lengths.items()
        }
        parsed = tf.io.parse_example(records, spec)
        inputs = {ours: tf.cast(parsed[name], tf.int32) for name, ours in _SEQUENCES.items()}
        inputs |= {name: tf.cast(parsed[name], tf.int32) for name in _PREDICTIONS}
        inputs[_WEIGHTS] = parsed[_WEIGHTS]
        inputs[_NEXT] = tf.cast(parsed[_NEXT][:, 0], tf.int32)
        return inputs

    def _check(self, part, vocab_size):
        """Looks at the first records of a file."""
        records, sound = part.read(np.arange(min(_PROBES, len(part))))
        for number, record in enumerate(records, 1):
            if sound[number - 1]:
                self._check_record(f"{part.path}: record {number}", record, vocab_size)

    def _check_record(self, where, record, vocab_size):
        example = tf.train.Example()
        try:
            example.ParseFromString(record)
        except Exception as e:  # DecodeError; protobuf's module is no dependency of ours
            raise UserError(f"{where}: not a tf.train.Example") from e
        features = example.features.feature
        for name, length in self._lengths.items():
            kind = "float_list" if name == _WEIGHTS else "int64_list"
            found = len(getattr(features[name], kind).value) if name in features else 0
            if found != length:
                raise UserError(
                    f"{where}: feature {name} has {found} numbers, expected {length}:"
                    f" --max_seq_length={self.seq_length} and"
                    f" --max_predictions_per_seq={self.predictions} must be those that the file was"
                    " made with"
                )
        largest = max(features["input_ids"].int64_list.value)
        if vocab_size is not None and largest >= vocab_size:
            raise UserError(
                f"{where}: token id {largest}, expected {vocab_size - 1} at most: the file was made"
                " with another vocabulary"
            )


def make_google_dataset(
    records,
    *,
    batches,
    order=None,
    steps=None,
    start_step=0,
    shard_index=0,
    shard_count=1,
    prefetch=4,
):
    """Returns a dataset of batches of Google's records, as `make_masked_lm_dataset` does of rows.

    Args:
      records: `GoogleRecords`.
      batches, order, steps, start_step, shard_index, shard_count, prefetch: see there.

    Returns:
      `tf.data.Dataset` of what `GoogleRecords.parse` returns.
    """

    def batch(step):
        _, rows = batch_rows(batches(int(step)), order, len(records))
        return records.read(rows[shard_index::shard_count])

    def tensors(step):
        found = tf.numpy_function(batch, [step], tf.string)
        found.set_shape([None])
        return records.parse(found)

    return without_tuner(numbered_batches(start_step, steps).map(tensors).prefetch(prefetch))
