"""The activation cache beside the layers it saves: equal states, less computing, no fault fatal."""

import concurrent.futures
import re
import threading
import types

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from absl import logging

from bert_tf.data.features import FeatureStore
from bert_tf.freezing import ActivationCache, CacheConfig, activation_cache, freeze
from bert_tf.freezing.activation_store import ActivationStore, StoreFault
from bert_tf.freezing.entries import FileEntries
from tests import tiny
from tests.freezing import small

CONFIG = small.CONFIG.replace(num_hidden_layers=4, hidden_dropout_prob=0.5)
COUNT = 12
ALL = np.arange(COUNT)


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, COUNT)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(1, 30, offsets[-1]).astype(np.int32)
    labels = np.arange(COUNT, dtype=np.int32) % 2
    return FeatureStore(ids, offsets, lengths.astype(np.int32), labels, "features")


@pytest.fixture(scope="module")
def encoder():
    return small.randomize(small.make_encoder(CONFIG))


@pytest.fixture
def make(encoder, features, tmp_path):
    """Makes a cache; its files, if any, are in tmp_path."""
    made = []

    def build(mode="memory", encoder=encoder, **changes):
        config = CacheConfig(mode, tmp_path / "activations", **changes)
        made.append(ActivationCache(encoder, features, config))
        return made[-1]

    yield build
    for cache in made:
        cache.close()


@pytest.fixture(params=["memory", "disk"])
def mode(request):
    return request.param


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "warning", lambda message, *args: found.append(message % args))
    return found


def names(folder):
    """The files of the cache, without the digests in their names."""
    paths = (folder / "activations").glob("*")
    return sorted(re.sub(r"(depth-\d+)-\w+", r"\1", path.name) for path in paths)


def file(folder, depth, suffix):
    (found,) = (folder / "activations").glob(f"depth-{depth}-*.{suffix}")
    return found


def expected_states(encoder, features, depth, ids, length=None):
    """(hidden states computed layer by layer, mask) of a batch."""
    inputs, _ = features.batch(ids, pad_to=length)
    hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"], training=False)
    layers = range(depth)
    states = encoder.transform(hidden, inputs["input_mask"], layers, training=False)[1][-1]
    return states.numpy(), inputs["input_mask"].astype(bool)


def read(cache, features, depth, ids, length=None):
    return cache.at(depth)(np.asarray(ids), features.batch(ids, pad_to=length)[0])


def assert_states(cache, encoder, features, depth, ids, length=None, atol=1e-6):
    found = read(cache, features, depth, ids, length)
    expected, mask = expected_states(encoder, features, depth, ids, length)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    difference = np.abs(found.astype(np.float32) - expected.astype(np.float32))
    np.testing.assert_array_less(difference[mask], atol)


class Calls:
    """What a cache computes: {(first layer, layer after the last): examples}."""

    def __init__(self, cache):
        self.counts, compute = {}, cache._compute

        def counting(inputs, rows, start, stop, *states):
            self.counts[start, stop] = self.counts.get((start, stop), 0) + len(rows)
            return compute(inputs, rows, start, stop, *states)

        cache._compute = counting

    def take(self):
        counts, self.counts = self.counts, {}
        return counts


def test_states_are_those_of_the_layers(make, encoder, features, mode):
    cache = make(mode)
    for order in (ALL, ALL[::-1], np.random.default_rng(1).permutation(COUNT)):
        for ids in np.split(order, 3):
            assert_states(cache, encoder, features, 2, ids)
    assert_states(cache, encoder, features, 2, [5, 5, 0], length=13)
    assert_states(cache, encoder, features, 2, np.array([], int))


def test_vector_11_entries_belong_to_examples_not_to_positions(make, encoder, features):
    cache = make()
    assert_states(cache, encoder, features, 1, [2, 0, 1])
    calls = Calls(cache)
    assert_states(cache, encoder, features, 1, [1, 2, 0])
    assert calls.take() == {}


def test_vector_12_files_have_one_entry_per_example(make, features, tmp_path):
    cache = make("disk")
    read(cache, features, 2, ALL[:5])
    size = int(features.lengths.sum()) * CONFIG.hidden_size * 4
    assert names(tmp_path) == ["depth-2.data", "depth-2.filled", "depth-2.json"]
    assert file(tmp_path, 2, "data").stat().st_size == size
    filled = file(tmp_path, 2, "filled").read_bytes()
    assert filled == b"\1" * 5 + b"\0" * 7


@pytest.mark.parametrize(
    ("depths", "expected"),
    [
        ([0, 2, 4, 4], [{(0, 2): COUNT}, {(2, 4): COUNT}, {}]),
        ([0, 2, 2, 2], [{(0, 2): COUNT}, {}, {}]),
    ],
)
def test_vector_13_each_epoch_computes_only_what_is_new(make, features, mode, depths, expected):
    cache = make(mode)
    calls = Calls(cache)
    found = []
    for depth in depths[1:]:
        for ids in np.split(np.random.default_rng(depth).permutation(COUNT), 4):
            read(cache, features, depth, ids)
        found.append(calls.take())
    assert found == expected


def test_a_boundary_that_moves_within_an_epoch_uses_what_is_there(make, encoder, features, mode):
    cache = make(mode)
    for ids in np.split(ALL[:6], 2):
        read(cache, features, 1, ids)
    calls = Calls(cache)
    for ids in ([4, 9, 1, 10], [0, 2, 3, 5], [6, 7, 8, 11]):
        assert_states(cache, encoder, features, 3, ids)
    assert calls.take() == {(1, 3): 6, (0, 3): 6}
    for ids in np.split(ALL, 3):
        assert_states(cache, encoder, features, 3, ids)
    assert calls.take() == {}


def test_the_old_depths_files_go_when_the_new_ones_are_complete(make, features, tmp_path):
    cache = make("disk")
    read(cache, features, 1, ALL)
    read(cache, features, 2, ALL[:6])
    assert "depth-1.data" in names(tmp_path)
    read(cache, features, 2, ALL[6:])
    assert names(tmp_path) == ["depth-2.data", "depth-2.filled", "depth-2.json"]


def test_what_is_cached_is_not_computed(features, make):
    """Embeddings and frozen layers may hold anything once their outputs are stored."""
    model = small.make_model(
        config=CONFIG, encoder=small.make_encoder(CONFIG), run_eagerly=True, clip_norm=None
    )
    freeze(model, 2)
    cache = make(encoder=model.encoder)
    read(cache, features, 2, ALL)
    inputs, labels = features.batch(ALL)

    def losses():
        model.global_step.assign(0)  # the dropout masks of the first step
        hidden = tf.constant(read(cache, features, 2, ALL))
        return float(model.train_step(({**inputs, "hidden": hidden}, labels))["loss"])

    weights = model.get_weights()
    expected = losses()
    model.set_weights(weights)
    for part in (model.encoder.embeddings, *model.encoder.encoder_layers[:2]):
        for variable in part.weights:
            variable.assign(np.full(variable.shape, np.nan))
    assert losses() == expected
    logits = model({**inputs, "hidden": tf.constant(read(cache, features, 2, ALL))})
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize(("dtype", "atol"), [("float16", 5e-3), ("bfloat16", 5e-2)])
def test_smaller_numbers_are_close(make, encoder, features, mode, dtype, atol):
    cache = make(mode, dtype=dtype)
    for _ in range(2):
        assert_states(cache, encoder, features, 3, ALL, atol=atol)
    assert cache._stores[0].bytes_used == features.lengths.sum() * CONFIG.hidden_size * 2


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_compute_precision_loses_nothing(make, features, mode, policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        encoder = small.randomize(small.make_encoder(CONFIG))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    cache = make(mode, encoder=encoder)
    inputs, _ = features.batch(ALL)
    first, again = (read(cache, features, 2, ALL) for _ in range(2))
    mask = inputs["input_mask"].astype(bool)
    np.testing.assert_array_equal(first[mask], again[mask])
    assert cache.at(2).dtype == encoder.compute_dtype == again.dtype
    assert_states(cache, encoder, features, 2, ALL, atol=1e-1)


def refuse(*_, **__):
    raise StoreFault("no more room")


@pytest.mark.parametrize("method", ["__init__", "write", "read"])
def test_a_fault_costs_a_warning_and_nothing_else(
    make, encoder, features, mode, method, warnings, monkeypatch
):
    cache = make(mode)
    if method != "__init__":
        read(cache, features, 1, ALL[:6])
    monkeypatch.setattr(ActivationStore, method, refuse)
    for depth in (1, 2):
        for ids in (ALL[:6], ALL[6:], ALL[:6]):
            assert_states(cache, encoder, features, depth, ids)
    assert len(warnings) == 1 and "no more room" in warnings[0]


def test_a_full_disk_keeps_what_it_has(make, encoder, features, warnings, monkeypatch):
    cache = make("disk")
    read(cache, features, 1, ALL[:6])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileEntries, "write", full)
    for _ in range(2):
        for ids in (ALL[:6], ALL[6:]):
            assert_states(cache, encoder, features, 1, ids)
    calls = Calls(cache)
    read(cache, features, 1, ALL[:6])
    assert calls.take() == {}
    assert len(warnings) == 1 and "No space left" in warnings[0]


def test_a_file_cut_short(make, encoder, features, warnings, tmp_path):
    cache = make("disk")
    read(cache, features, 1, ALL)
    with open(file(tmp_path, 1, "data"), "r+b") as f:
        f.truncate(100)
    for ids in (ALL[6:], ALL[:6], ALL):
        assert_states(cache, encoder, features, 1, ids)
    assert len(warnings) == 1 and "cut short" in warnings[0]


def test_no_more_is_stored_than_the_budget(make, encoder, features, mode, warnings):
    limit = int(features.lengths[:5].sum()) * CONFIG.hidden_size * 4
    cache = make(mode, budget_bytes=limit)
    for depth in (1, 2):
        for _ in range(2):
            for ids in np.split(ALL, 4):
                assert_states(cache, encoder, features, depth, ids)
        assert 0 < sum(store.bytes_used for store in cache._stores) <= limit
    assert len(warnings) == 1 and "the budget is" in warnings[0]


def test_two_depths_share_the_budget(make, encoder, features, mode, warnings):
    total = int(features.lengths.sum()) * CONFIG.hidden_size * 4
    cache = make(mode, budget_bytes=int(1.2 * total))
    for depth in (1, 3):
        assert_states(cache, encoder, features, depth, ALL)
        assert sum(store.bytes_used for store in cache._stores) == total
    assert not warnings


@pytest.mark.parametrize("killed", [False, True])
def test_files_of_other_weights_are_not_used(make, features, warnings, tmp_path, killed):
    cache = make("disk", keep=True)
    read(cache, features, 2, ALL)
    if killed:
        cache._stores = []
    cache.close()
    other = small.randomize(small.make_encoder(CONFIG), scale=0.3)
    again = make("disk", encoder=other)
    assert_states(again, other, features, 2, ALL)
    assert len(warnings) == killed and all("made for something else" in x for x in warnings)
    again.close()
    assert len(names(tmp_path)) == (0 if killed else 3), "what is to be kept stays"


def test_two_runs_at_once_keep_apart(make, encoder, features, warnings, tmp_path):
    """One data set, one folder; the same weights in two of the runs and others in the third."""
    other = small.randomize(small.make_encoder(CONFIG), scale=0.3)
    caches = [make("disk"), make("disk"), make("disk", encoder=other)]
    for part in np.split(ALL, 3):
        for cache in caches:
            assert_states(cache, cache.encoder, features, 2, part)
    calls = [Calls(cache) for cache in caches]
    for cache in caches:
        assert_states(cache, cache.encoder, features, 2, ALL)
    assert [call.take() for call in calls] == [{}, {}, {}]
    caches[0].close()
    for cache in caches[1:]:
        assert_states(cache, cache.encoder, features, 2, ALL)
        cache.close()
    assert names(tmp_path) == [] and not warnings


def test_weights_above_the_boundary_do_not_matter(make, encoder, features, warnings):
    cache = make("disk", keep=True)
    read(cache, features, 2, ALL)
    cache.close()
    other = small.randomize(small.make_encoder(CONFIG))
    other.encoder_layers[2].query.weights[0].assign_add(np.ones([16, 16]))
    again = make("disk", encoder=other)
    calls = Calls(again)
    assert_states(again, encoder, features, 2, ALL)
    assert calls.take() == {} and not warnings


@pytest.mark.parametrize("keep", [False, True])
def test_files_are_removed_at_the_end_unless_kept(make, features, tmp_path, keep):
    cache = make("disk", keep=keep)
    read(cache, features, 2, ALL[:6])
    cache.close()
    assert bool(names(tmp_path)) == keep
    again = make("disk")
    calls = Calls(again)
    read(again, features, 2, ALL)
    assert calls.take() == {(0, 2): 6 if keep else COUNT}
    again.close()
    assert names(tmp_path) == []


def test_a_killed_processs_files_at_both_depths_are_taken_over(make, features, tmp_path):
    killed = make("disk")
    read(killed, features, 1, ALL)
    read(killed, features, 2, ALL[:6])
    killed._stores = []  # it never closes them
    again = make("disk")
    calls = Calls(again)
    read(again, features, 2, ALL)
    assert calls.take() == {(1, 2): 6}
    again.close()
    assert names(tmp_path) == []


def test_what_a_forgotten_dataset_still_asks_is_no_fault(make, encoder, features, warnings):
    cache = make()
    read(cache, features, 2, ALL)
    old = cache.at(2)
    cache.close()
    assert_states(cache, encoder, features, 3, ALL)
    found = old(ALL, features.batch(ALL)[0])
    expected, mask = expected_states(encoder, features, 2, ALL)
    np.testing.assert_allclose(found[mask], expected[mask], atol=1e-6)
    assert not warnings
    calls = Calls(cache)
    read(cache, features, 3, ALL)
    assert calls.take() == {}, "the cache goes on"


def slow(cache, name, monkeypatch):
    """Time passes in the method `name` of the cache only."""
    now, real = [0.0], getattr(cache, name)
    monkeypatch.setattr(activation_cache, "time", types.SimpleNamespace(monotonic=lambda: now[0]))

    def slowly(*args):
        now[0] += 0.05
        return real(*args)

    setattr(cache, name, slowly)


@pytest.mark.parametrize(("slower", "cached"), [("_compute", True), ("_read", False)])
def test_auto_measures_and_says_so(make, features, monkeypatch, slower, cached):
    monkeypatch.setattr(activation_cache, "_TRIALS", 2)
    said = []
    monkeypatch.setattr(logging, "info", lambda message, *args: said.append(message % args))
    cache = make("auto")
    slow(cache, slower, monkeypatch)
    for ids in np.split(ALL[:9], 3):
        read(cache, features, 1, ids)
    assert any("reading a batch takes" in x and ("not worth" in x) != cached for x in said)
    calls = Calls(cache)
    read(cache, features, 1, ALL[:6])
    assert calls.take() == ({} if cached else {(0, 1): 6})
    read(cache, features, 2, ALL)
    assert bool(cache._stores) == cached


@pytest.mark.parametrize("slower", ["_compute", "_read"])
def test_two_threads_that_end_the_trial_at_once_come_to_one_verdict(
    make, encoder, features, monkeypatch, warnings, slower
):
    monkeypatch.setattr(activation_cache, "_TRIALS", 1)
    said = []
    monkeypatch.setattr(logging, "info", lambda message, *args: said.append(message % args))
    expected, mask = expected_states(encoder, features, 1, ALL)
    cache, together = make("auto"), threading.Barrier(2, timeout=60)
    slow(cache, slower, monkeypatch)
    timed = cache._read

    def read_together(*args):
        found = timed(*args)
        together.wait()  # each has measured before one of them has a verdict
        return found

    cache._read = read_together
    batch = cache.at(1)

    def work(ids):
        return batch(ids, features.batch(ids, pad_to=mask.shape[1])[0])

    parts = np.split(ALL, 2)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = np.concatenate(list(pool.map(work, parts)))
    np.testing.assert_allclose(found[mask], expected[mask], atol=1e-6)
    assert sum("reading a batch takes" in x for x in said) == 1
    assert not warnings


@pytest.mark.parametrize("free", [0, 10**9])
def test_auto_takes_memory_if_there_is_room(make, features, monkeypatch, tmp_path, free):
    monkeypatch.setattr(activation_cache, "_free_memory", lambda: free)
    read(make("auto"), features, 1, ALL)
    assert bool(names(tmp_path)) == (free == 0)


def test_time_is_told(make, features):
    cache = make("disk")
    read(cache, features, 1, ALL)
    read(cache, features, 1, ALL)
    assert set(cache.seconds) == {"read", "compute", "write"}
    assert min(cache.seconds.values()) > 0
