"""Google BERT's classification TFRecord files, written from and read into feature stores."""

import pathlib

import numpy as np
import tensorflow as tf

from bert_tf import files
from bert_tf.data.features import FeatureStore, fingerprint
from bert_tf.errors import UserError

_SEQUENCES = ("input_ids", "input_mask", "segment_ids")
_CHUNK = 1024


def write_tfrecord(store, path, max_seq_length):
    """Writes the store with Google's feature names, every example padded to `max_seq_length`.

    The features are input_ids, input_mask, segment_ids (int64 [max_seq_length]), label_ids (int64,
    or float for scores; 0 where there is no label) and is_real_example (1).

    Raises:
      UserError: an example is longer than max_seq_length, or the file cannot be written.
    """
    if store.lengths.max(initial=0) > max_seq_length:
        raise UserError(
            f"{path}: example {int(store.lengths.argmax())} has {int(store.lengths.max())} tokens,"
            f" expected max_seq_length={max_seq_length} at most"
        )
    with files.atomic_path(path) as temporary:
        try:
            with tf.io.TFRecordWriter(temporary) as writer:
                for start in range(0, len(store), _CHUNK):
                    rows = np.arange(start, min(start + _CHUNK, len(store)))
                    for record in _serialized(*store.batch(rows, pad_to=max_seq_length)):
                        writer.write(record)
        except tf.errors.OpError as e:
            raise UserError(f"{path}: cannot write: {e.message}") from e


def read_tfrecord(path, *, regression=False, num_labels=None):
    """Reads such a file, whatever length it is padded to; examples that are not real are dropped.

    Args:
      path: the file.
      regression: label_ids are float scores, not classes.
      num_labels: classes there are, to check the labels against; None checks nothing.

    Returns:
      `FeatureStore`, in memory.

    Raises:
      UserError: the file is missing, empty, truncated or corrupt, or a record lacks a feature or
        has one of another form; the message names the file and the record (from 1).
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected a TFRecord file")
    chunks = []
    records = tf.data.TFRecordDataset(str(path)).batch(_CHUNK)
    try:
        for number, batch in enumerate(records):
            chunks.append(_parse(batch, path, number * _CHUNK, regression, num_labels))
    except tf.errors.DataLossError as e:
        raise UserError(
            f"{path}: record {_readable_records(path) + 1} is truncated or corrupt, expected a"
            " TFRecord file"
        ) from e
    arrays = [np.concatenate(column) for column in zip(*chunks, strict=True)]
    if not arrays or not len(arrays[1]):
        raise UserError(f"{path}: no records of examples")
    ids, lengths, first_lengths, labels = arrays
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    key = fingerprint("tfrecord", ids, offsets, first_lengths, labels)
    return FeatureStore(ids, offsets, first_lengths, labels, key)


def _serialized(inputs, labels):
    """Yields the serialised `tf.train.Example` of each row."""
    if labels is None:
        labels = np.zeros(len(inputs["input_mask"]), np.int32)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    columns = zip(*(inputs[name].tolist() for name in names), labels.tolist(), strict=True)
    scores = labels.dtype.kind == "f"
    for *sequences, label in columns:
        features = dict(zip(_SEQUENCES, map(_ints, sequences), strict=True))
        features["label_ids"] = (
            tf.train.Feature(float_list=tf.train.FloatList(value=[label]))
            if scores
            else _ints([label])
        )
        features["is_real_example"] = _ints([1])
        example = tf.train.Example(features=tf.train.Features(feature=features))
        yield example.SerializeToString()


def _ints(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _parse(records, path, start, regression, num_labels):
    """Returns (ids, lengths, first_lengths, labels) of a batch of serialised records."""
    label_type = tf.float32 if regression else tf.int64
    spec = {name: tf.io.RaggedFeature(tf.int64) for name in _SEQUENCES}
    spec["label_ids"] = tf.io.FixedLenFeature([], label_type)
    spec["is_real_example"] = tf.io.FixedLenFeature([], tf.int64, default_value=1)
    try:
        parsed = tf.io.parse_example(records, spec)
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as e:
        # (TensorFlow's own message about a record that is no message at all is not UTF-8.)
        raise _fault(records, path, start, label_type) from e
    labels, real = parsed["label_ids"].numpy(), parsed["is_real_example"].numpy() != 0

    def check(holds, expected):
        if not (holds | ~real).all():
            number = start + int(np.argmin(holds | ~real)) + 1
            raise UserError(f"{path}: record {number}: {expected}")

    sizes = np.stack([parsed[name].row_lengths().numpy() for name in _SEQUENCES])
    check(
        (sizes == sizes[0]).all(0) & (sizes[0] > 0),
        f"{', '.join(_SEQUENCES)} must be there and equally long",
    )
    rows, masks, types = (_rectangle(parsed[name], max(sizes.max(), 1)) for name in _SEQUENCES)
    check(((rows >= 0) & (rows < 2**31)).all(1), "input_ids must be vocabulary positions")
    check(((masks == 0) | (masks == 1)).all(1), "input_mask must be 0 or 1")
    check(((types == 0) | (types == 1)).all(1), "segment_ids must be 0 or 1")
    prefix = (masks[:, 0] == 1) & (np.diff(masks) <= 0).all(1)
    check(prefix, "input_mask must be ones, then zeros")
    types = np.where(masks == 1, types, 1)
    check((np.diff(types) >= 0).all(1), "segment_ids must be zeros, then ones")
    if regression:
        check(np.isfinite(labels), "label_ids must be a finite score")
    else:
        limit = num_labels or 2**31
        check((labels >= 0) & (labels < limit), f"label_ids must be a class below {limit}")
    return (
        rows[real][masks[real] == 1].astype(np.int32),
        masks[real].sum(1),
        (types == 0).sum(1)[real].astype(np.int32),
        labels[real].astype(np.float32 if regression else np.int32),
    )


def _rectangle(ragged, width):
    return ragged.to_tensor(shape=[None, width]).numpy()


def _fault(records, path, start, label_type):
    """The `UserError` for the first record of the batch that cannot be parsed."""
    kinds = dict.fromkeys((*_SEQUENCES, "is_real_example"), "int64_list")
    kinds["label_ids"] = "float_list" if label_type == tf.float32 else "int64_list"
    for number, record in enumerate(records.numpy(), start + 1):
        example = tf.train.Example()
        try:
            example.ParseFromString(record)
        except Exception:  # DecodeError; protobuf's module is no dependency of ours
            return UserError(f"{path}: record {number}: not a tf.train.Example")
        features = example.features.feature
        for name, kind in kinds.items():
            found = features[name].WhichOneof("kind") if name in features else None
            if found != kind and not (name == "is_real_example" and found is None):
                return UserError(
                    f"{path}: record {number}: feature {name} is {found or 'missing'}, expected"
                    f" {kind}"
                )
        if len(getattr(features["label_ids"], kinds["label_ids"]).value) != 1:
            return UserError(f"{path}: record {number}: feature label_ids must be one number")
    return UserError(f"{path}: record {start + 1} or a later one cannot be parsed")


def _readable_records(path):
    """How many records there are before the first damaged one."""
    count = 0
    try:
        for _ in tf.data.TFRecordDataset(str(path)):
            count += 1
    except tf.errors.DataLossError:
        pass
    return count
