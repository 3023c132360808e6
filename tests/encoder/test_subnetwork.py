"""Which layers, heads and neurons a width and a depth keep."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import BertConfig
from bert_tf.encoder import BertEncoder, Subnetwork
from bert_tf.encoder.subnetwork import kept_layers, kept_units
from bert_tf.errors import UserError

CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=16,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=16,
    type_vocab_size=2,
)


@pytest.mark.parametrize(
    ("layers", "depth", "kept"),
    [
        (12, 1.0, range(12)),
        (12, 0.75, [0, 1, 2, 4, 5, 6, 8, 9, 10]),
        (12, 0.5, [0, 2, 4, 6, 8, 10]),
        (12, 0.25, [0, 4, 8]),
        (12, 2 / 3, [0, 1, 3, 4, 6, 7, 9, 10]),
        (12, 1 / 3, [0, 3, 6, 9]),
        (12, 0.375, [0, 2, 5, 8]),
        (12, 0.625, [0, 1, 3, 4, 6, 8, 9, 11]),
        (12, 0.875, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]),
        (6, 0.75, [0, 1, 2, 4]),
        (6, 0.5, [0, 2, 4]),
        (6, 0.25, [0, 4]),
        (4, 0.75, [0, 1, 2]),
        (4, 0.5, [0, 2]),
        (4, 0.625, [0, 1]),
    ],
)
def test_a_depth_keeps_the_originals_layers(layers, depth, kept):
    assert kept_layers(layers, depth) == tuple(kept)


@pytest.mark.parametrize(
    ("layers", "depth", "kept"),
    [
        (12, 1.0, range(12)),
        (12, 0.75, [0, 1, 3, 4, 5, 7, 8, 9, 11]),  # the paper drops 3, 7 and 11, counted from 1
        (12, 0.5, [1, 3, 5, 7, 9, 11]),
        (6, 0.5, [1, 3, 5]),
    ],
)
def test_the_papers_rule_keeps_the_last_layer(layers, depth, kept):
    assert kept_layers(layers, depth, "keep_last") == tuple(kept)


@pytest.mark.parametrize("layers", range(1, 25))
def test_both_rules_keep_as_many_layers_and_one_end(layers):
    for depth in np.linspace(0.6 / layers, 1, 40):
        first, last = (kept_layers(layers, depth, rule) for rule in ("keep_first", "keep_last"))
        assert len(first) == len(last) == round(layers * depth)
        assert first[0] == 0
        assert last[-1] == layers - 1
        assert all(sorted(set(kept)) == list(kept) for kept in (first, last))


@pytest.mark.parametrize(
    ("heads", "neurons", "width", "kept"),
    [
        (12, 3072, 0.25, (3, 768)),
        (12, 3072, 0.5, (6, 1536)),
        (12, 3072, 0.75, (9, 2304)),
        (12, 3072, 2 / 3, (8, 2048)),
        (12, 3072, 0.375, (4, 1024)),
        (12, 3072, 0.125, (2, 512)),
        (12, 3072, 0.9, (11, 2816)),
        (12, 3072, 0.1, (1, 256)),
        (4, 1024, 0.25, (1, 256)),
        (4, 1024, 0.625, (2, 512)),
        (4, 1024, 0.375, (2, 512)),
    ],
)
def test_a_width_keeps_the_originals_units(heads, neurons, width, kept):
    assert kept_units(heads, neurons, width) == kept


@pytest.mark.parametrize("width", [0.125, 0.0, -1.0, 1.5])
def test_a_width_without_a_head_is_refused(width):
    with pytest.raises(UserError, match=r"keeps no head of 4: .*, 0\.25 for one head"):
        kept_units(4, 24, width)


@pytest.mark.parametrize("depth", [0.04, 0.0, 1.25])
def test_a_depth_without_a_layer_is_refused(depth):
    with pytest.raises(UserError, match="keeps no layer of 12"):
        kept_layers(12, depth)


@pytest.mark.parametrize(
    ("layers", "units", "message"),
    [
        ((), (), "one at least"),
        ((1, 0), ((4, 24), (4, 24)), "must grow"),
        ((0, 4), ((4, 24), (4, 24)), "of a model of 4 layers"),
        ((0,), ((5, 24),), "5 heads in layer 0, expected 1 to 4"),
        ((2,), ((4, 0),), "0 neurons in layer 2, expected 1 to 24"),
        ((0, 1), ((4, 24),), "1 layers have units, 2 run"),
    ],
)
def test_a_part_that_the_encoder_has_not_is_refused(layers, units, message):
    with pytest.raises(UserError, match=message):
        Subnetwork(layers, units, "part").check(CONFIG)


def test_units_may_differ_from_layer_to_layer():
    """They are those of an encoder whose configuration has them, with the same first weights."""
    part = Subnetwork((0, 2, 3), ((1, 24), (4, 5), (2, 11)), "mixed")
    encoder = BertEncoder(CONFIG)
    small = BertEncoder(
        CONFIG.replace(
            num_hidden_layers=3,
            attention_head_size=4,
            layer_heads=[1, 4, 2],
            layer_neurons=[24, 5, 11],
        )
    )
    rng = np.random.default_rng(0)
    for variable in encoder.weights:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    layers = [encoder.encoder_layers[i] for i in part.layers]
    pairs = [
        (small.embeddings, encoder.embeddings),
        *zip(small.encoder_layers, layers, strict=True),
    ]
    for ours, whole in pairs:
        for variable, other in zip(ours.weights, whole.weights, strict=True):
            variable.assign(other[tuple(slice(n) for n in variable.shape)])
    ids = tf.constant(rng.integers(1, 30, [2, 6]), tf.int32)
    mask = tf.constant([[1] * 6, [1] * 4 + [0] * 2])
    found, states = encoder.transform(encoder.embed(ids), mask, **part.forward)
    expected, _ = small.transform(small.embed(ids), mask)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(states) == 3
