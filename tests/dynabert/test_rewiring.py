"""Rewired models compute what they did, and their first units are the most important ones."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.checkpoints import shapes
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.config import BertConfig
from bert_tf.dynabert.importance import Importance
from bert_tf.dynabert.rewiring import is_rewired, orders, rewire
from bert_tf.encoder.subnetwork import kept_heads
from bert_tf.errors import UserError
from tests import tiny
from tests.dynabert.reference import CONFIG, KINDS, make_arrays, make_model, make_store

LAYER = "bert/encoder/layer_0"
VECTOR = [0.1, 0.9, 0.4, 0.7]  # scores of four heads


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def models():
    """{kind: (config, arrays, model)}."""
    return {
        kind: (*made, make_model(*made))
        for kind, made in ((kind, make_arrays(**KINDS[kind])) for kind in KINDS)
    }


def scores(seed):
    rng = np.random.default_rng(seed)
    return Importance([rng.random(4) for _ in range(2)], [rng.random(12) for _ in range(2)])


def outputs(model, arrays):
    """Logits and all hidden states of three examples."""
    assign_arrays(model.model_weights, arrays, "test")
    inputs, _ = make_store().batch([0, 1, 2])
    logits, states = model.forward(inputs, training=False, first_token_only=False)
    return [x.numpy() for x in (logits, *states)]


def assert_same_outputs(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_function_stays(models, kind, seed):
    config, arrays, model = models[kind]
    before = {name: array.copy() for name, array in arrays.items()}
    changed, rewired = rewire(config, arrays, scores(seed))
    assert_same_outputs(outputs(model, rewired), outputs(model, arrays))
    shapes.check_shapes(changed, rewired, "the rewired model")
    tiny.assert_same_bits(arrays, before)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kernel_of_the_units_is_sorted(models, kind):
    config, arrays, _ = models[kind]
    rising = Importance([np.arange(4)] * 2, [np.arange(12)] * 2)
    _, rewired = rewire(config, arrays, rising)
    changed = {n.rsplit("/", 1)[0] for n in arrays if not np.array_equal(arrays[n], rewired[n])}
    up, down = ("_q", "_p") if "rank" in KINDS[kind] else ("", "")
    expected = {f"attention/self/{part}{up}" for part in ("query", "key", "value")}
    expected |= {f"attention/output/dense{down}", f"intermediate/dense{up}", f"output/dense{down}"}
    expected |= {f"intermediate/gate{up}"} if config.gated_ffn else set()
    assert changed == {f"bert/encoder/layer_{i}/{place}" for i in range(2) for place in expected}


def vector_model():
    """(config, arrays) of one layer of four heads of size 2, whose weights number the units."""
    config = CONFIG.replace(hidden_size=8, num_hidden_layers=1, intermediate_size=3)
    arrays = {}
    for part, units in (("attention/self/query", 8), ("intermediate/dense", 3)):
        arrays[f"{LAYER}/{part}/kernel"] = np.tile(np.arange(units), [8, 1])
        arrays[f"{LAYER}/{part}/bias"] = np.arange(units)
    for part, units in (("attention/output/dense", 8), ("output/dense", 3)):
        arrays[f"{LAYER}/{part}/kernel"] = np.tile(np.arange(units)[:, None], [1, 8])
        arrays[f"{LAYER}/{part}/bias"] = np.arange(8)
    return config, arrays


def test_heads_move_as_blocks():
    config, arrays = vector_model()
    found = Importance([np.array(VECTOR)], [np.array([0.4, 0.6, 0.7])])
    heads, neurons = orders(found)[0]
    assert heads.tolist() == [1, 3, 2, 0] and neurons.tolist() == [2, 1, 0]
    _, rewired = rewire(config, arrays, found)
    rows = [2, 3, 6, 7, 4, 5, 0, 1]
    assert rewired[f"{LAYER}/attention/self/query/kernel"].tolist() == [rows] * 8
    assert rewired[f"{LAYER}/attention/self/query/bias"].tolist() == rows
    assert rewired[f"{LAYER}/attention/output/dense/kernel"][:, 0].tolist() == rows
    assert rewired[f"{LAYER}/attention/output/dense/bias"].tolist() == list(range(8))
    assert rewired[f"{LAYER}/intermediate/dense/kernel"].tolist() == [[2, 1, 0]] * 8
    assert rewired[f"{LAYER}/intermediate/dense/bias"].tolist() == [2, 1, 0]
    assert rewired[f"{LAYER}/output/dense/kernel"][:, 0].tolist() == [2, 1, 0]
    assert rewired[f"{LAYER}/output/dense/bias"].tolist() == list(range(8))


@pytest.mark.parametrize(("width", "kept"), [(0.5, {1, 3}), (0.25, {1}), (0.75, {1, 3, 2})])
def test_a_width_keeps_the_most_important_heads(width, kept):
    (heads, _), *_ = orders(Importance([VECTOR], [[0.0]]))
    assert set(heads[: kept_heads(4, width)].tolist()) == kept


def test_equal_scores_keep_their_order():
    """Of many units: sorts that need not be stable are so for a few."""
    heads, neurons = orders(Importance([[1.0, 2.0, 1.0, 2.0]], [np.tile([1.0, 2.0], 100)]))[0]
    assert heads.tolist() == [1, 3, 0, 2]
    assert neurons.tolist() == [*range(1, 200, 2), *range(0, 200, 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_less_width_runs_the_most_important_units(models, kind):
    """As if the rows behind all others were zero; and a wider network has all units of it."""
    config, arrays, model = models[kind]
    found, down = scores(3), "_p/kernel" if "rank" in KINDS[kind] else "/kernel"
    _, rewired = rewire(config, arrays, found)
    inputs, _ = make_store().batch([1, 3])
    former = [set()] * 4
    for heads in (1, 2, 3, 4):
        cut, units = dict(arrays), []
        for i, (head_order, neuron_order) in enumerate(orders(found)):
            rows = np.isin(np.arange(16) // 4, head_order[:heads])
            neurons = np.isin(np.arange(12), neuron_order[: 3 * heads])
            for part, kept in (("attention/output/dense", rows), ("output/dense", neurons)):
                name = f"bert/encoder/layer_{i}/{part}{down}"
                cut[name] = arrays[name] * kept[:, None]
                units.append(set(np.flatnonzero(kept)))
        assert all(few < more for few, more in zip(former, units, strict=True))
        former = units
        assign_arrays(model.model_weights, rewired, "test")
        narrow = transformed(model, inputs, heads / 4)
        assign_arrays(model.model_weights, cut, "test")
        assert_same_outputs(narrow, transformed(model, inputs, 1.0))


def transformed(model, inputs, width):
    hidden = model.encoder.embed(tf.constant(inputs["input_word_ids"]))
    return model.encoder.transform(hidden, inputs["input_mask"], width=width)[1]


def test_the_configuration_records_it():
    config, arrays = make_arrays()
    config = config.replace(extra={"do_lower_case": True, "dynabert": {"widths": [0.5, 1.0]}})
    assert not is_rewired(config)
    changed, _ = rewire(config, arrays, scores(0))
    assert is_rewired(changed) and is_rewired(BertConfig.from_dict(changed.to_dict()))
    recorded = {"widths": [0.5, 1.0], "rewired": True}
    assert changed.extra == {"do_lower_case": True, "dynabert": recorded}
    assert config.extra["dynabert"] == {"widths": [0.5, 1.0]}
    assert dataclasses.replace(changed, extra=config.extra) == config


def test_rewiring_twice_is_refused():
    rewired = rewire(*make_arrays(), scores(0))
    with pytest.raises(UserError, match=r"rewired already .*: go on without rewiring, or start"):
        rewire(*rewired, scores(1))


def test_a_damaged_record_is_refused():
    config, arrays = make_arrays()
    config = config.replace(extra={"dynabert": "yes"})
    with pytest.raises(UserError, match=r"dynabert .* must be a JSON object, found 'yes'"):
        rewire(config, arrays, scores(0))


def test_scores_of_another_model_are_refused():
    config, arrays = make_arrays()
    found = scores(0)
    with pytest.raises(ValueError, match="scores of 1 layers for 2"):
        rewire(config, arrays, Importance(found.heads[:1], found.neurons[:1]))
    with pytest.raises(ValueError, match=r"12 units of .*query/kernel"):
        rewire(config, arrays, Importance([np.ones(3)] * 2, found.neurons))
    with pytest.raises(ValueError, match=r"9 units of .*intermediate/dense/kernel"):
        rewire(config, arrays, Importance(found.heads, [np.ones(9)] * 2))
