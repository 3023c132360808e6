"""What freezing saves: the table, and the ceilings of AutoFreeze's specification."""

import pytest

from bert_tf.freezing import summary
from tests.freezing import small


@pytest.mark.parametrize(
    ("frozen", "without", "cached"), [(0, 1, 1), (6, 1.5, 2), (11, 2.57, 12), (8, 1.8, 3)]
)
def test_ceilings_of_twelve_equal_layers(frozen, without, cached):
    costs = summary.step_costs(frozen / 12)
    assert 1 / costs[0] == pytest.approx(without, abs=0.01)
    assert 1 / costs[1] == pytest.approx(cached)


def test_a_layers_operations_are_counted():
    encoder = small.make_encoder()
    layer, hidden, wide, length = encoder.encoder_layers[0], 16, 32, 10
    products = 2 * length * (4 * hidden * hidden + 2 * hidden * wide)
    attention = 2 * 2 * length * length * hidden  # scores, and their weighted sum
    assert summary.layer_flops(layer, length) == products + attention
    first = 2 * (2 * length * hidden**2 + 2 * hidden**2 + 2 * hidden * wide)
    first += 2 * 2 * length * hidden
    assert summary.layer_flops(layer, length, first_token_only=True) == first


def test_factorised_kernels_cost_less():
    ranks = {"bert/encoder/layer_0/intermediate/dense_p/kernel": 2}
    layers = small.make_encoder(ranks=ranks).encoder_layers
    saved = summary.layer_flops(layers[1], 10) - summary.layer_flops(layers[0], 10)
    assert saved == 2 * 10 * (16 * 32 - 2 * (16 + 32))


TABLE = """\
part         parameters    MFLOPs  state
embeddings       12,544       0.0  frozen
layer 0         198,272      27.3  frozen
layer 1         198,272       4.6  trained
pooler           16,512       0.0  trained
210,816 of 425,600 parameters are frozen: a step of 64-token examples costs 43% of a full one, \
14% with the outputs of the frozen layers from a cache"""


def test_the_table():
    config = small.CONFIG.replace(
        num_hidden_layers=2, hidden_size=128, intermediate_size=512, max_position_embeddings=64
    )
    encoder = small.make_encoder(config)
    encoder.freeze(1)
    assert summary.freezing_summary(encoder, length=64) == TABLE
    encoder.freeze(-1)
    assert "12,544 of 425,600" in summary.freezing_summary(encoder, length=64)
    encoder.freeze(0)
    assert summary.freezing_summary(encoder, length=64).count("frozen") == 2  # the last line
