"""Expected sparsity and the Lagrangian against numbers of the original's formulas."""

import numpy as np
import pytest
import tensorflow as tf

from flop import sparsity
from flop.factorized_dense import FactorizedDense
from flop.pruner import Pruner


def masked(d_in, d_out, log_alpha):
    layer = FactorizedDense(d_in, d_out, len(log_alpha), scope=f"m{d_in}", masked=True)
    layer.mask.log_alpha.assign(log_alpha)
    return layer


@pytest.fixture
def toy():
    """The specification's two matrices."""
    return [masked(4, 6, [3, 0, -2, -5]), masked(6, 4, [5, 1, 0, -1, -3, -6])]


def base(layers, name):
    return sparsity.base_parameters([(x.input_units, x.units, x.rank) for x in layers], name)


def test_expected_sparsity_of_the_toy(toy):
    np.testing.assert_allclose(sparsity.expected_parameters(toy), 66.452936729, rtol=1e-6)
    assert (base(toy, "factorized"), base(toy, "dense")) == (100, 48)
    pruner = Pruner(toy, 0.5, base_parameters=100)
    np.testing.assert_allclose(pruner.expected_sparsity(), 0.335470633, atol=1e-6)
    thin = [toy[0], masked(6, 4, [5, 1, 0, -1])]
    pruner = Pruner(thin, 0.5, base_parameters=base(thin, "factorized"))
    np.testing.assert_allclose(pruner.expected_sparsity(), 0.216888900, atol=1e-6)


def test_sparsity_if_removed_counts_open_gates(toy):
    # Open above -ln 11: 3 of 4 and 4 of 6; merged, a kernel costs at most 24.
    pruner = Pruner(toy, 0.5, base_parameters=100)
    assert pruner.removed_sparsity(merge_dense=False) == pytest.approx(1 - (30 + 40) / 100)
    assert pruner.removed_sparsity() == pytest.approx(1 - (24 + 24) / 100)


def test_kernels_without_gates_are_kept(toy):
    pruner = Pruner(toy, 0.5, base_parameters=150, fixed_parameters=50)
    np.testing.assert_allclose(pruner.expected_sparsity(), 1 - (50 + 66.4529367) / 150, atol=1e-6)


def test_gates_of_a_layer_that_is_not_trainable_stay_and_count(toy):
    toy[0].trainable = False
    pruner = Pruner(toy, 0.5, base_parameters=100)
    assert pruner.gates == [toy[1].mask.log_alpha]
    np.testing.assert_allclose(pruner.expected_sparsity(), 0.335470633, atol=1e-6)
    before = toy[0].mask.log_alpha.numpy()
    pruner.update(tf.constant(0, tf.int64), [tf.ones([6])])
    np.testing.assert_array_equal(toy[0].mask.log_alpha, before)
    assert np.any(toy[1].mask.log_alpha.numpy() != [5, 1, 0, -1, -3, -6])
    toy[1].trainable = False
    with pytest.raises(ValueError, match="none of the masked layers is trainable"):
        Pruner(toy, 0.5)


@pytest.mark.parametrize(
    ("lambdas", "target", "expected", "loss", "slope"),
    [((1.5, 2.5), 0.3, 0.1, 0.4, -2.5), ((-0.5, 2.0), 0.2, 0.35, 0.12, 1.1)],
)
def test_lagrangian_of_the_original(toy, lambdas, target, expected, loss, slope, monkeypatch):
    sparsity_now = tf.Variable(expected)
    monkeypatch.setattr(Pruner, "gates", [sparsity_now])
    monkeypatch.setattr(Pruner, "expected_sparsity", lambda self: tf.identity(sparsity_now))
    optimizers = [Recorder(), Recorder()]
    pruner = Pruner(
        toy, target, gate_optimizer=optimizers[0], lambda_optimizer=optimizers[1],
        base_parameters=100,
    )  # fmt: skip
    pruner.lambda_1.assign([lambdas[0]])
    pruner.lambda_2.assign([lambdas[1]])
    logs = pruner.update(0, [tf.constant(0.0)])
    np.testing.assert_allclose(logs["lagrangian_loss"], loss, atol=1e-6)
    np.testing.assert_allclose(optimizers[0].gradients, [slope], atol=1e-6)
    # Ascent: the optimizer gets what descends.
    gap = target - expected
    np.testing.assert_allclose(np.ravel(optimizers[1].gradients), [-gap, -(gap**2)], atol=1e-6)


class Recorder:
    learning_rate = 0.5

    def apply_gradients(self, pairs, **kwargs):
        self.gradients = [gradient.numpy() for gradient, _ in pairs]


def test_target_rises_in_a_line():
    pruner = Pruner([masked(4, 6, [0])], 0.8, target_warmup=10, initial_sparsity=-0.2)
    found = [float(pruner.target(step)) for step in (0, 5, 10, 20)]
    np.testing.assert_allclose(found, [-0.2, 0.3, 0.8, 0.8], atol=1e-6)
    assert float(Pruner([masked(4, 6, [0])], 0.8).target(0)) == pytest.approx(0.8)


def test_gates_close_until_the_target_is_met():
    tf.random.set_seed(0)
    layers = [masked(16, 16, np.linspace(4.0, 5.0, 16)) for _ in range(2)]
    pruner = Pruner(layers, 0.5, target_warmup=100, initial_sparsity=-1.0)
    for step in range(400):
        pruner.update(step, [tf.zeros([16])] * 2)
    assert abs(float(pruner.expected_sparsity()) - 0.5) < 0.1


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="none of the layers has a mask"):
        Pruner([FactorizedDense(4, 6, 2, scope="x")], 0.5)
    with pytest.raises(ValueError, match=r"target_sparsity=1.5: expected a share in \[0, 1\]"):
        Pruner([masked(4, 6, [0])], 1.5)
    with pytest.raises(ValueError, match="base='thin': expected one of dense, factorized"):
        sparsity.base_parameters([(4, 6, 2)], "thin")
