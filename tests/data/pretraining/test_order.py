"""The order of rows: permutations, resumable, in constant memory."""

import tracemalloc

import numpy as np
import pytest

from bert_tf.data.pretraining.order import RowOrder


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 257])
def test_each_epoch_is_a_permutation(rows):
    order = RowOrder(rows, 4, seed=1)
    for epoch in range(3):
        assert sorted(order.ids(epoch * rows, rows)) == list(range(rows))


def test_epochs_and_seeds_differ():
    order, other = RowOrder(100, 4, seed=1), RowOrder(100, 4, seed=2)
    epochs = [order.ids(epoch * 100, 100).tolist() for epoch in range(4)]
    epochs.append(other.ids(0, 100).tolist())
    assert len(set(map(tuple, epochs))) == 5
    assert all(abs(np.corrcoef(np.arange(100), epoch)[0, 1]) < 0.4 for epoch in epochs)


def test_resumes_at_any_update():
    order = RowOrder(37, 5, seed=3)
    whole = order.ids(0, 5 * 40)
    for update in (0, 7, 13, 39):  # batches that cross the end of an epoch among them
        start, count = order.batch(update)
        fresh = RowOrder(37, 5, seed=3)
        np.testing.assert_array_equal(fresh.ids(start, count), whole[start : start + count])


def test_memory_does_not_grow_with_the_rows():
    peaks = []
    for rows in (10**3, 10**12):
        order = RowOrder(rows, 64, seed=1)
        order.ids(0, 64)
        tracemalloc.start()
        ids = order.ids(rows - 32, 64)  # of two epochs
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(ids) == 64
        assert ids.max() < rows
    assert peaks[1] < peaks[0] + 10_000
