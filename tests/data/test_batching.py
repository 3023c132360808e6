import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.data.batching import eval_plan, train_plan
from bert_tf.errors import UserError

lengths_of = st.lists(st.integers(2, 40), min_size=1, max_size=150).map(np.array)
epochs_of = st.sampled_from([0.5, 1.0, 1.7, 2.0, 3.0])
properties = settings(max_examples=60, deadline=None)


def batches(plan):
    return [plan.ids(step).tolist() for step in range(plan.steps)]


@given(lengths_of, st.integers(1, 40), epochs_of, st.integers(0, 5), st.booleans())
@properties
def test_fixed_size_batches(lengths, batch_size, epochs, seed, bucket):
    plan = train_plan(lengths, batch_size=batch_size, epochs=epochs, seed=seed, bucket=bucket)
    n = len(lengths)
    assert plan.steps == int(n / batch_size * epochs)  # Google's arithmetic
    found = batches(plan)
    assert all(len(batch) == batch_size for batch in found)
    # Every example once per epoch. A batch that holds two epochs is in the order of the stream.
    for epoch in range(int(epochs)):
        if (epoch + 1) * n <= plan.steps * batch_size:
            stream = np.concatenate(found)[epoch * n : (epoch + 1) * n]
            assert sorted(stream) == list(range(n))
    again = train_plan(lengths, batch_size=batch_size, epochs=epochs, seed=seed, bucket=bucket)
    assert batches(again) == found


@given(lengths_of, st.integers(40, 200), epochs_of, st.integers(0, 5), st.booleans())
@properties
def test_token_budget(lengths, budget, epochs, seed, bucket):
    plan = train_plan(lengths, token_budget=budget, epochs=epochs, seed=seed, bucket=bucket)
    found = batches(plan)
    assert all(batch and len(batch) * lengths[batch].max() <= budget for batch in found)
    stream = np.concatenate([np.zeros(0, int), *found])
    n = len(lengths)
    assert abs(len(stream) - epochs * n) <= 0.5
    for epoch in range(int(epochs)):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))
    again = train_plan(lengths, token_budget=budget, epochs=epochs, seed=seed, bucket=bucket)
    assert batches(again) == found


@given(lengths_of, st.integers(1, 20))
@properties
def test_a_longer_run_begins_like_a_shorter_one(lengths, batch_size):
    short = train_plan(lengths, batch_size=batch_size, epochs=1, bucket=False)
    long = train_plan(lengths, batch_size=batch_size, epochs=3, bucket=False)
    assert batches(long)[: short.steps] == batches(short)


@given(lengths_of, st.integers(1, 40))
@properties
def test_evaluation_sees_every_example_once_longest_first(lengths, batch_size):
    for plan in (eval_plan(lengths, batch_size), eval_plan(lengths, token_budget=40 * batch_size)):
        order = np.concatenate(batches(plan))
        assert sorted(order) == list(range(len(lengths)))
        assert (np.diff(lengths[order]) <= 0).all()
    assert len(batches(eval_plan(lengths, batch_size))) == -(-len(lengths) // batch_size)


def test_seeds_and_epochs_give_different_orders():
    lengths = np.full(64, 7)
    one, other = (batches(train_plan(lengths, batch_size=8, epochs=2, seed=s)) for s in (0, 1))
    assert one != other
    assert one[:8] != one[8:]


def test_the_order_is_pinned():
    # A run resumed after an upgrade of NumPy must see the same order.
    plan = train_plan(np.array([3, 9, 4, 8, 5, 7, 6, 6]), batch_size=2, epochs=1, seed=7)
    assert batches(plan) == [[4, 6], [7, 5], [0, 2], [3, 1]]


def test_bucketing_saves_padding_and_keeps_the_order_random():
    lengths = np.random.default_rng(0).geometric(1 / 12, 8000).clip(1, 120) + 2
    bucketed = train_plan(lengths, batch_size=16, epochs=1)
    plain = train_plan(lengths, batch_size=16, epochs=1, bucket=False)
    assert plain.padding_share > 0.5
    assert bucketed.padding_share < 0.08
    assert bucketed.tokens == plain.tokens
    assert train_plan(lengths, token_budget=400, epochs=1).padding_share < 0.06
    firsts = [lengths[bucketed.ids(step)].mean() for step in range(bucketed.steps)]
    assert abs(np.corrcoef(firsts, range(len(firsts)))[0, 1]) < 0.15


def test_statistics_and_epochs():
    lengths = np.array([2, 4, 6, 8])
    plan = train_plan(lengths, batch_size=4, epochs=2, bucket=False)
    assert (plan.steps, plan.tokens, plan.padded_tokens) == (2, 40, 64)
    assert plan.padding_share == 1 - 40 / 64
    assert [plan.epoch_of(step) for step in range(3)] == [0.0, 1.0, 2.0]
    with pytest.raises(IndexError):
        plan.ids(2)


def test_too_few_examples_for_one_batch_make_no_steps():
    plan = train_plan(np.array([3, 4]), batch_size=8, epochs=1)
    assert (plan.steps, plan.padding_share, plan.epoch_of(0)) == (0, 0.0, 0.0)


def test_google_step_counts():
    lengths = np.full(67349, 5)
    assert train_plan(lengths, batch_size=32, epochs=3.0).steps == 6313
    assert train_plan(np.full(3668, 5), batch_size=32, epochs=3.0).steps == 343


def test_wrong_use_is_refused():
    with pytest.raises(UserError, match="--train_token_budget=8: example 1 alone has 9 tokens"):
        train_plan(np.array([3, 9, 4]), token_budget=8)
    with pytest.raises(ValueError, match="either batch_size or token_budget"):
        train_plan(np.array([3, 9]), batch_size=1, token_budget=20)
    with pytest.raises(ValueError, match="no examples"):
        eval_plan(np.array([], int), 4)
