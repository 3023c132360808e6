"""Google's TFRecords: what TensorFlow reads and writes, damage skipped up to a limit."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from bert_tf import locks
from bert_tf.data.pretraining.google_records import (
    GoogleRecords,
    make_google_dataset,
    serialize,
    write_records,
)
from bert_tf.data.pretraining.order import RowOrder
from bert_tf.errors import UserError

LENGTH, PREDICTIONS, COUNT = 8, 2, 11


def example(i, length=LENGTH, predictions=PREDICTIONS):
    ids = np.zeros(length, np.int64)
    ids[: 3 + i % 5] = 100 * i + np.arange(3 + i % 5)  # records of several sizes
    return {
        "input_ids": ids,
        "input_mask": (ids > 0).astype(np.int64),
        "segment_ids": np.arange(length) % 2,
        "masked_lm_positions": np.arange(predictions),
        "masked_lm_ids": np.full(predictions, i),
        "masked_lm_weights": np.full(predictions, 0.5, np.float32),
        "next_sentence_labels": np.array([i % 2]),
    }


@pytest.fixture
def paths(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.tfrecord", "b.tfrecord")]
    write_records([serialize(example(i)) for i in range(COUNT)], paths)
    return paths


def opened(paths, **settings):
    return GoogleRecords(paths, LENGTH, PREDICTIONS, **settings)


def numbers_of(records, rows):
    """Which examples these records are."""
    return records.parse(records.read(rows))["masked_lm_ids"][:, 0].numpy().tolist()


def test_files_are_filled_in_turn_and_tensorflow_reads_them(paths):
    counts = [len(list(tf.data.TFRecordDataset(path))) for path in paths]
    assert counts == [6, 5]
    records = opened(paths)
    assert len(records) == COUNT
    assert numbers_of(records, np.arange(COUNT)) == [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9]


def test_the_digest_is_of_the_records_in_their_order_not_of_their_place(paths, tmp_path):
    digest = opened(paths).digest
    moved = [str(tmp_path / "elsewhere" / name) for name in ("x.tfrecord", "y.tfrecord")]
    write_records([serialize(example(i)) for i in range(COUNT)], moved)
    assert opened(moved).digest == digest
    assert opened(moved[::-1]).digest != digest
    for numbers in ([*range(COUNT - 1), 99], [1, 0, *range(2, COUNT)]):
        write_records([serialize(example(i)) for i in numbers], moved)
        assert opened(moved).digest != digest


def test_two_processes_do_not_write_one_set_of_files(paths):
    lock = pathlib.Path(paths[0]).with_name(".a.tfrecord.lock")
    with locks.hold(lock), pytest.raises(UserError, match="another process is writing this file"):
        write_records([serialize(example(0))], paths)
    assert len(opened(paths)) == COUNT


def test_records_become_the_models_inputs(paths):
    batch = opened(paths).parse(opened(paths).read([1]))
    expected = example(2)
    for ours, theirs in (
        ("input_word_ids", "input_ids"),
        ("input_mask", "input_mask"),
        ("input_type_ids", "segment_ids"),
        ("masked_lm_positions", "masked_lm_positions"),
        ("masked_lm_ids", "masked_lm_ids"),
        ("masked_lm_weights", "masked_lm_weights"),
    ):
        assert batch[ours].numpy().tolist() == [expected[theirs].tolist()]
        assert batch[ours].dtype == (tf.float32 if ours.endswith("weights") else tf.int32)
    assert batch["next_sentence_labels"].numpy().tolist() == [0]


def test_dataset_is_resumable_and_shared_out(paths):
    records = opened(paths)
    order = RowOrder(COUNT, 4, seed=1)

    def collect(**settings):
        dataset = make_google_dataset(
            records, batches=order.batch, order=order, steps=9, **settings
        )
        return [batch["masked_lm_ids"][:, 0].numpy().tolist() for batch in dataset]

    whole = collect()
    flat = [number for batch in whole for number in batch]
    assert sorted(flat[:COUNT]) == sorted(flat[COUNT : 2 * COUNT]) == list(range(COUNT))
    assert collect(start_step=4) == whole[4:]
    assert collect(shard_index=1, shard_count=2) == [batch[1::2] for batch in whole]


def flip(path, record, byte):
    """Changes a byte of a record: its data, or with byte=None its length."""
    data = bytearray(pathlib.Path(path).read_bytes())
    place = 0
    for _ in range(record):
        place += 16 + int.from_bytes(data[place : place + 8], "little")
    data[place if byte is None else place + 12 + byte] ^= 4
    pathlib.Path(path).write_bytes(data)


def test_corrupt_records_are_skipped_up_to_a_limit(paths):
    flip(paths[0], 1, byte=40)
    flip(paths[1], 0, byte=30)
    records = opened(paths, max_corrupt_records=2)
    assert numbers_of(records, [0, 1, 2, 6, 7]) == [0, 4, 4, 3, 3]
    assert records.corrupt_rows == 2
    records = opened(paths, max_corrupt_records=1)
    with pytest.raises(UserError, match=r"b\.tfrecord: row 1 is corrupt, as are 1 more: 1 at most"):
        records.read(np.arange(COUNT))


def test_damage_that_hides_what_follows(paths):
    flip(paths[0], 2, byte=None)
    with pytest.raises(UserError, match=r"a\.tfrecord: record 3 is truncated, or its length"):
        opened(paths)


def test_truncated_missing_empty_and_foreign_files(paths, tmp_path):
    data = pathlib.Path(paths[0]).read_bytes()
    for content, message in (
        (data[:-1], r"record 6 is truncated"),
        (b"", "cannot read, expected a TFRecord file"),
        (b"some text that is no record\n", "record 1 is truncated"),
    ):
        path = tmp_path / "x.tfrecord"
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"x\.tfrecord: " + message):
            opened([str(path)])
    with pytest.raises(UserError, match=r"gone: cannot read.*No such file"):
        opened([str(tmp_path / "gone")])


def test_files_made_with_other_settings(paths, tmp_path):
    message = r"record 1: feature input_ids has 8 numbers, expected 16: --max_seq_length=16 and"
    with pytest.raises(UserError, match=message):
        GoogleRecords(paths, 16, PREDICTIONS)
    with pytest.raises(UserError, match="masked_lm_positions has 2 numbers, expected 3"):
        GoogleRecords(paths, LENGTH, 3)
    with pytest.raises(UserError, match=r"record 2: token id 204, expected 102 at most"):
        opened(paths, vocab_size=103)
    with tf.io.TFRecordWriter(str(tmp_path / "junk")) as writer:
        writer.write(b"\xff\xfe junk")
    with pytest.raises(UserError, match=r"junk: record 1: not a tf\.train\.Example"):
        opened([str(tmp_path / "junk")])


def test_files_appear_together(tmp_path):
    def records():
        yield serialize(example(0))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(records(), [str(tmp_path / name) for name in "ab"])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="cannot write"):
        write_records([b"x"], [str(tmp_path)])
