"""Batches of masked rows: resumable, shared out, the same at each evaluation."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.pretraining.corpus import Corpus
from bert_tf.data.pretraining.masking import Masking
from bert_tf.data.pretraining.order import RowOrder
from bert_tf.data.pretraining.pipeline import make_masked_lm_dataset, user_errors
from bert_tf.errors import UserError


@pytest.fixture
def corpus(build):
    return Corpus.open(build()[0])


def collect(dataset):
    return [{name: value.numpy() for name, value in batch.items()} for batch in dataset]


def assert_equal(found, expected):
    assert len(found) == len(expected) > 0
    for batch, other in zip(found, expected, strict=True):
        assert batch.keys() == other.keys()
        for name, value in batch.items():
            np.testing.assert_array_equal(value, other[name])


def training(corpus, **settings):
    order = RowOrder(corpus.rows("train"), 8, seed=1)
    settings = {"batches": order.batch, "order": order, "masking": Masking(), **settings}
    return make_masked_lm_dataset(corpus, "train", **settings)


def unmasked(batch):
    ids = batch["input_word_ids"].copy()
    row, column = np.nonzero(batch["masked_lm_weights"])
    ids[row, batch["masked_lm_positions"][row, column]] = batch["masked_lm_ids"][row, column]
    return ids


def test_batches_have_static_widths_and_no_padding(corpus):
    dataset = training(corpus, steps=3)
    widths = {"input_word_ids": 16, "masked_lm_positions": 2, "masked_lm_ids": 2}
    assert dataset.element_spec == {
        **{name: tf.TensorSpec([None, width], tf.int32) for name, width in widths.items()},
        "masked_lm_weights": tf.TensorSpec([None, 2], tf.float32),
    }
    batches = collect(dataset)
    assert [len(batch["input_word_ids"]) for batch in batches] == [8, 8, 8]
    assert not any((batch["input_word_ids"] == 0).any() for batch in batches)


def test_an_epoch_is_every_row_once_and_the_next_has_other_masks(corpus):
    # (academic-budget-bert's "dist" loader keeps 1/world of each rank's own file: an epoch there
    # reads world files and uses one file's worth.)
    rows = corpus.rows("train")
    order = RowOrder(rows, rows, seed=1)
    first, second = collect(training(corpus, order=order, batches=order.batch, steps=2))
    everything = np.sort(corpus.read("train", np.arange(rows)), axis=0)
    for batch in (first, second):
        np.testing.assert_array_equal(np.sort(unmasked(batch), axis=0), everything)
    places = []
    for epoch, batch in enumerate((first, second)):
        back = np.argsort(order.ids(epoch * rows, rows))
        places.append(batch["masked_lm_positions"][back])
    assert (places[0] != places[1]).any(axis=1).mean() > 0.9


def test_resumed_batches_are_the_same(corpus):
    whole = collect(training(corpus, steps=60))
    assert corpus.rows("train") < 60 * 8  # into the next epoch
    assert_equal(collect(training(corpus, start_step=53, steps=60)), whole[53:])


def test_shards_share_the_batch_out(corpus):
    whole = collect(training(corpus, steps=2))
    parts = [collect(training(corpus, steps=2, shard_index=i, shard_count=3)) for i in range(3)]
    for step, batch in enumerate(whole):
        for i, part in enumerate(parts):
            assert_equal([part[step]], [{name: value[i::3] for name, value in batch.items()}])


def test_a_batch_ramp_goes_through_the_same_stream(corpus):
    sizes = [4, 4, 8, 16]
    starts = np.cumsum([0, *sizes])
    ramp = collect(training(corpus, batches=lambda k: (int(starts[k]), sizes[k]), steps=4))
    whole = collect(training(corpus, steps=4))
    joined = [
        {name: np.concatenate([batch[name] for batch in batches]) for name in whole[0]}
        for batches in (ramp, whole)
    ]
    assert_equal(joined[:1], joined[1:])


def test_validation_is_the_same_each_time_whatever_the_batches(corpus):
    rows = corpus.rows("validation")
    assert rows > 6

    def evaluate(size):
        dataset = make_masked_lm_dataset(
            corpus, "validation", masking=Masking(), steps=-(-rows // size),
            batches=lambda k: (k * size, min(size, rows - k * size)),
        )  # fmt: skip
        batches = collect(dataset)
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

    found = evaluate(5)
    np.testing.assert_array_equal(unmasked(found), corpus.read("validation", np.arange(rows)))
    assert_equal([evaluate(3), evaluate(5)], [found, found])


def test_endless_without_steps(corpus):
    assert len(list(training(corpus, start_step=10**9).take(3))) == 3


def test_too_many_corrupt_rows_stop_with_their_message(build):
    folder, _ = build()
    path = next(folder.glob("train-00000*.ids.npy"))
    ids = np.load(path)
    ids[:, 3] ^= 1
    ids[0, 3] ^= 1  # so that the shard is seen to be this folder's
    np.save(path, ids)
    corpus = Corpus.open(folder, max_corrupt_rows=2)
    with pytest.raises(UserError, match="is corrupt, as are 2 more"), user_errors(corpus):
        list(training(corpus, steps=30))


def test_other_errors_pass_through(corpus):
    def broken(step):
        raise RuntimeError("of the caller")

    with pytest.raises(tf.errors.OpError, match="of the caller"), user_errors(corpus):
        list(training(corpus, batches=broken, steps=1))


def test_split_without_rows(build):
    corpus = Corpus.open(build(validation_fraction=0)[0])
    with pytest.raises(ValueError, match="validation has no rows"):
        make_masked_lm_dataset(corpus, "validation", batches=None, masking=Masking())
