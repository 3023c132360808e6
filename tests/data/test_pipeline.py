import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batching import eval_plan, train_plan
from bert_tf.data.pipeline import make_dataset

LENGTHS = np.random.default_rng(1).integers(3, 20, 50)


@pytest.fixture
def store(make_store):
    return make_store(LENGTHS, labels=np.arange(50, dtype=np.int32) % 3, first_lengths=LENGTHS // 2)


def collect(dataset):
    return [
        ({name: value.numpy() for name, value in inputs.items()}, labels.numpy())
        for inputs, labels in dataset
    ]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for (inputs, labels), (other_inputs, other_labels) in zip(found, expected, strict=True):
        assert labels.tolist() == other_labels.tolist()
        assert inputs.keys() == other_inputs.keys()
        for name, value in inputs.items():
            np.testing.assert_array_equal(value, other_inputs[name])


def test_batches_are_the_plans(store):
    plan = train_plan(store.lengths, batch_size=8, epochs=2)
    dataset = make_dataset(store, plan)
    assert dataset.element_spec == (
        {
            name: tf.TensorSpec([None, None], tf.int32)
            for name in ("input_word_ids", "input_mask", "input_type_ids")
        },
        tf.TensorSpec([None], tf.int32),
    )
    assert int(dataset.cardinality()) == plan.steps
    assert_equal(collect(dataset), [store.batch(plan.ids(i)) for i in range(plan.steps)])


@pytest.mark.parametrize("start", [0, 1, 7, 11, 12])
def test_a_resumed_run_sees_what_is_left(store, start):
    plan = train_plan(store.lengths, batch_size=8, epochs=2)
    assert plan.steps == 12
    whole = collect(make_dataset(store, plan))
    assert_equal(collect(make_dataset(store, plan, start_step=start)), whole[start:])


def test_no_tuner_keeps_the_end_of_a_training_waiting(store):
    """With tf.data's tuner each `fit` and each evaluation ended with up to a minute of nothing."""
    dataset = make_dataset(store, eval_plan(store.lengths, batch_size=8))
    assert dataset.options().autotune.enabled is False


@pytest.mark.parametrize("shards", [2, 3])
def test_shards_make_up_the_global_batch(store, shards):
    plan = train_plan(store.lengths, batch_size=8, epochs=1)
    whole = collect(make_dataset(store, plan))
    parts = [
        collect(make_dataset(store, plan, shard_index=i, shard_count=shards)) for i in range(shards)
    ]
    for step, (inputs, labels) in enumerate(whole):
        for i in range(shards):
            shard_inputs, shard_labels = parts[i][step]
            assert shard_labels.tolist() == labels[i::shards].tolist()
            for name, value in inputs.items():
                np.testing.assert_array_equal(shard_inputs[name], value[i::shards])


def test_padding(store):
    plan = eval_plan(store.lengths, 16)
    for inputs, _ in make_dataset(store, plan, pad_to=24):
        assert inputs["input_mask"].shape[1] == 24
    widths = [x["input_mask"].shape[1] for x, _ in make_dataset(store, plan, pad_multiple=8)]
    assert set(widths) <= {8, 16, 24}


def test_scores_and_missing_labels(make_store):
    scored = make_store([3, 4], labels=np.array([0.5, 2], np.float32))
    dataset = make_dataset(scored, eval_plan(scored.lengths, 2))
    assert dataset.element_spec[1].dtype == tf.float32
    assert collect(dataset)[0][1].tolist() == [2.0, 0.5]
    plain = make_store([3, 4])
    assert collect(make_dataset(plain, eval_plan(plain.lengths, 2)))[0][1].tolist() == [-1, -1]


def test_more_shards_than_examples_leaves_empty_batches(make_store):
    store = make_store([3, 5], labels=np.array([0, 1], np.int32))
    plan = eval_plan(store.lengths, 1)
    (inputs, labels), *_ = collect(make_dataset(store, plan, shard_index=1, shard_count=2))
    assert inputs["input_mask"].shape == (0, 5)
    assert labels.shape == (0,)
