import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.data import inputs
from bert_tf.data.features import FeatureStore
from bert_tf.data.tfrecord import read_tfrecord, write_tfrecord
from bert_tf.errors import UserError
from tests import tiny

GOOD = {
    "input_ids": [2, 7, 3, 9, 3, 0],
    "input_mask": [1, 1, 1, 1, 1, 0],
    "segment_ids": [0, 0, 0, 1, 1, 0],
    "label_ids": [1],
    "is_real_example": [1],
}


def record(values):
    feature = {}
    for name, value in values.items():
        if isinstance(value[0], float):
            feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        else:
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(path, *rows):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            writer.write(row if isinstance(row, bytes) else record(row))
    return path


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_round_trip(tmp_path, make_store, dtype):
    lengths = np.random.default_rng(0).integers(2, 12, 40)
    store = make_store(lengths, (np.arange(40) / 2).astype(dtype), first_lengths=lengths // 2 + 1)
    write_tfrecord(store, tmp_path / "a.tf_record", 12)
    again = read_tfrecord(tmp_path / "a.tf_record", regression=dtype == np.float32)
    for name in ("ids", "offsets", "first_lengths", "labels", "lengths"):
        np.testing.assert_array_equal(getattr(again, name), getattr(store, name))
        assert getattr(again, name).dtype == getattr(store, name).dtype


def test_features_are_googles(tmp_path):
    store = FeatureStore(
        np.array([2, 7, 3, 9, 3], np.int32), [0, 5], [3], np.array([1], np.int32), "x"
    )
    write_tfrecord(store, tmp_path / "a.tf_record", 6)
    (raw,) = tf.data.TFRecordDataset(str(tmp_path / "a.tf_record"))
    found = tf.train.Example.FromString(raw.numpy()).features.feature
    assert {name: list(value.int64_list.value) for name, value in found.items()} == GOOD


def test_missing_labels_are_written_as_the_first_class(tmp_path, make_store):
    write_tfrecord(make_store([3, 2]), tmp_path / "a.tf_record", 4)
    assert read_tfrecord(tmp_path / "a.tf_record").labels.tolist() == [0, 0]


def test_padding_examples_are_dropped(tmp_path):
    fake = {**GOOD, "is_real_example": [0], "label_ids": [0]}
    fake |= {name: [0] * 6 for name in ("input_ids", "input_mask", "segment_ids")}
    store = read_tfrecord(write(tmp_path / "a.tf_record", fake, GOOD, fake))
    assert (len(store), store.labels.tolist(), store.first_lengths.tolist()) == (1, [1], [3])
    with pytest.raises(UserError, match="no records of examples"):
        read_tfrecord(write(tmp_path / "b.tf_record", fake))


def test_files_without_is_real_example_are_read(tmp_path):
    row = {name: value for name, value in GOOD.items() if name != "is_real_example"}
    assert len(read_tfrecord(write(tmp_path / "a.tf_record", row))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": None}, "input_ids, input_mask, segment_ids must be there"),
        ({"segment_ids": [0, 0]}, "input_ids, input_mask, segment_ids must be there"),
        ({"label_ids": None}, "feature label_ids is missing, expected int64_list"),
        ({"label_ids": [0.5]}, "feature label_ids is float_list, expected int64_list"),
        ({"label_ids": [0, 1]}, "feature label_ids must be one number"),
        ({"label_ids": [2]}, "label_ids must be a class below 2"),
        ({"label_ids": [-1]}, "label_ids must be a class below 2"),
        ({"input_ids": [0.5] * 6}, "feature input_ids is float_list, expected int64_list"),
        ({"input_ids": [-4, 7, 3, 9, 3, 0]}, "input_ids must be vocabulary positions"),
        ({"input_mask": [1, 0, 1, 1, 1, 0]}, "input_mask must be ones, then zeros"),
        ({"input_mask": [0] * 6}, "input_mask must be ones, then zeros"),
        ({"input_mask": [2, 1, 1, 1, 1, 0]}, "input_mask must be 0 or 1"),
        ({"segment_ids": [0, 1, 0, 1, 1, 0]}, "segment_ids must be zeros, then ones"),
        ({"segment_ids": [0, 0, 0, 3, 3, 0]}, "segment_ids must be 0 or 1"),
    ],
)
def test_bad_records_are_named(tmp_path, change, message):
    row = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    path = write(tmp_path / "a.tf_record", GOOD, row, GOOD)
    with pytest.raises(UserError, match=message) as error:
        read_tfrecord(path, num_labels=2)
    assert str(error.value).startswith(f"{path}: record 2: ")


def test_records_that_are_no_examples(tmp_path):
    path = write(tmp_path / "a.tf_record", GOOD, b"\xff\xfe not a message")
    with pytest.raises(UserError, match=r"record 2: not a tf.train.Example"):
        read_tfrecord(path)


def test_damaged_files(tmp_path):
    path = write(tmp_path / "a.tf_record", GOOD, GOOD, GOOD)
    data = path.read_bytes()
    third = len(data) // 3
    for damaged in (data[:-7], data[: 2 * third + 40] + b"\xff" + data[2 * third + 41 :]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="record 3 is truncated or corrupt"):
            read_tfrecord(path)
    path.write_bytes(b"this is a text file, and no TFRecord file at all\n")
    with pytest.raises(UserError, match="record 1 is truncated or corrupt"):
        read_tfrecord(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="no records"):
        read_tfrecord(path)
    with pytest.raises(UserError, match="no such file"):
        read_tfrecord(tmp_path / "absent.tf_record")


def test_too_long_examples_and_unwritable_files(tmp_path, make_store):
    with pytest.raises(UserError, match="example 1 has 9 tokens, expected max_seq_length=8"):
        write_tfrecord(make_store([3, 9]), tmp_path / "a.tf_record", 8)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_tfrecord(make_store([3]), tmp_path / "file" / "a.tf_record", 8)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("write", [True, False])
def test_one_process_of_a_run_writes_the_files(write, tmp_path):
    source = load_model(tiny.make_model(tmp_path / "model"))
    options = tiny.options(
        do_train=True, task_name="sst-2", data_dir=tiny.make_sst2(tmp_path / "sst2"),
        max_seq_length=16, write_tfrecord=True, output_dir=tmp_path / "run",
    )  # fmt: skip
    (tmp_path / "run").mkdir()
    task = inputs.task_of(options, source)
    inputs.build(options, source, task, tmp_path / "run", write=write)
    assert (tmp_path / "run" / "train.tf_record").exists() == write
