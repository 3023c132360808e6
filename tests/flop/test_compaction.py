"""Masked kernels made compact: gates folded in, components cut, the cut chosen for a target."""

import numpy as np
import pytest
import tensorflow as tf

from flop import compaction
from flop.compaction import MaskedKernel
from flop.factorized_dense import FactorizedDense


def make_kernel(d_in, d_out, rank, seed=0, mean=0.0):
    rng = np.random.default_rng(seed)
    return MaskedKernel(
        rng.normal(size=(d_in, rank)).astype(np.float32),
        rng.normal(size=(rank, d_out)).astype(np.float32),
        rng.normal(mean, 2, rank).astype(np.float32),
    )


def gates_of(kernels, evaluation="clipped"):
    return {name: kernel.gates(evaluation) for name, kernel in kernels.items()}


def kept_parameters(kernels, keep, merge_dense):
    return sum(
        compaction.parameters(int(keep[n].sum()), k.d_in, k.d_out, merge_dense)
        for n, k in kernels.items()
    )


@pytest.mark.parametrize(
    ("threshold", "p", "q"),
    [
        (0, [[1, 0.706097605], [4, 1.765244013], [7, 2.824390420], [10, 3.883536828]], np.eye(2)),
        (0.3, [[1, 0.706097605], [4, 1.765244013], [7, 2.824390420], [10, 3.883536828]], np.eye(2)),
        (0.5, [[1], [4], [7], [10]], [[1, 0]]),
    ],
)
def test_the_originals_arithmetic(threshold, p, q):
    """remove_mask of the TensorFlow port, run on a small example."""
    kernel = MaskedKernel(
        np.arange(1.0, 13).reshape(4, 3), np.array([[1.0, 0], [0, 1], [1, 1]]), [3, -0.5, -3]
    )
    gates = kernel.gates()
    np.testing.assert_allclose(gates, [1, 0.353048803, 0], atol=1e-7)
    folded = compaction.fold(kernel, gates, compaction.open_components(gates, threshold))
    np.testing.assert_allclose(folded[0], p, rtol=1e-6)
    np.testing.assert_allclose(folded[1], q)


@pytest.mark.parametrize("evaluation", ["clipped", "hard"])
def test_threshold_0_keeps_the_outputs(evaluation):
    kernel = make_kernel(8, 6, 7)
    layer = FactorizedDense(8, 6, 7, "dense", masked=True, evaluation=evaluation)
    layer.kernel_p.assign(kernel.p)
    layer.kernel_q.assign(kernel.q)
    layer.mask.log_alpha.assign(kernel.log_alpha)
    gates = kernel.gates(evaluation)
    keep = compaction.open_components(gates)
    assert 0 < keep.sum() < 7
    p, q = compaction.fold(kernel, gates, keep)
    x = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_allclose(x @ p @ q, layer(tf.constant(x)), atol=1e-5)
    np.testing.assert_allclose(x @ compaction.merge(p, q), layer(tf.constant(x)), atol=1e-5)


def test_break_even():
    assert compaction.is_cheaper_dense(384, 768, 768)
    assert not compaction.is_cheaper_dense(383, 768, 768)
    assert compaction.parameters(400, 768, 768) == 768**2
    assert compaction.parameters(400, 768, 768, merge_dense=False) == 400 * 1536


@pytest.mark.parametrize("merge_dense", [True, False])
@pytest.mark.parametrize("base", ["dense", "factorized"])
@pytest.mark.parametrize("target", [0.7, 0.75, 0.9, 1.0])
def test_a_target_is_met_to_the_component(target, base, merge_dense):
    shapes = {"a": (16, 16, 16), "b": (16, 48, 16), "c": (48, 16, 48)}
    kernels = {n: make_kernel(*s, seed=i, mean=2) for i, (n, s) in enumerate(shapes.items())}
    total = {"dense": 16 * 16 + 2 * 16 * 48, "factorized": 16 * 32 + 16 * 64 + 48 * 64}[base]
    keep = compaction.choose_cut(kernels, gates_of(kernels), target, base, merge_dense)
    kept = kept_parameters(kernels, keep, merge_dense)
    assert (1 - target) * total - 64 < kept <= (1 - target) * total


def test_the_lowest_gates_go_first_over_all_kernels():
    kernels = {"a": make_kernel(8, 8, 8, seed=1, mean=3), "b": make_kernel(8, 8, 8, seed=2, mean=3)}
    keep = compaction.choose_cut(kernels, gates_of(kernels), 0.6)
    cut = np.concatenate([kernels[n].log_alpha[~keep[n]] for n in kernels])
    kept = np.concatenate([kernels[n].log_alpha[keep[n]] for n in kernels])
    assert cut.max() < kept.min()


def test_equal_gates_go_by_the_size_of_their_component():
    scale = np.array([3, 1, 4, 2], np.float32)
    kernel = MaskedKernel(np.eye(4, dtype=np.float32) * scale, np.eye(4), np.full(4, 5.0))
    keep = compaction.choose_cut({"a": kernel}, {"a": kernel.gates()}, 0.5, merge_dense=False)
    assert keep["a"].tolist() == [False, False, True, False]


def test_all_zero_components_are_cut_whatever_their_gate():
    kernel = make_kernel(6, 4, 6, mean=5)
    kernel.q[4:] = 0  # what a full SVD has beyond the rank
    kernel.log_alpha[4:] = 9
    keep = compaction.choose_cut(
        {"a": kernel}, {"a": kernel.gates()}, 0.5, "factorized", merge_dense=False
    )
    assert keep["a"].sum() == 3 and not keep["a"][4:].any()


def test_a_kernel_that_is_merged_keeps_all_its_open_components():
    kernels = {
        "strong": make_kernel(10, 10, 10, seed=1, mean=30),
        "weak": make_kernel(10, 10, 10, seed=2, mean=5),
    }
    kernels["strong"].log_alpha[:2] = -1  # below all of weak's: cut first, but it saves nothing
    keep = compaction.choose_cut(kernels, gates_of(kernels), 0.4)
    assert keep["strong"].all() and keep["weak"].sum() == 1


def test_kernels_that_stay_dense_count_and_are_not_cut():
    kernels = {"a": make_kernel(10, 10, 10, mean=5)}
    keep = compaction.choose_cut(kernels, gates_of(kernels), 0.25, dense_parameters=100)
    assert keep["a"].sum() == 2  # 40 + 100 of 200
    keep = compaction.choose_cut(kernels, gates_of(kernels), 0.5, dense_parameters=100)
    assert keep["a"].sum() == 0
    with pytest.raises(ValueError, match=r"leave a sparsity of 0\.5000"):
        compaction.choose_cut(kernels, gates_of(kernels), 0.6, dense_parameters=100)


def test_closed_gates_stay_where_they_close_more_than_the_target():
    kernel = make_kernel(10, 10, 10, mean=5)
    kernel.log_alpha[2:] = -np.arange(3, 11)
    gates = kernel.gates()
    keep = compaction.choose_cut({"a": kernel}, {"a": gates}, 0.6)["a"]
    assert keep.sum() == 2
    keep = compaction.choose_cut({"a": kernel}, {"a": gates}, 0.3)["a"]
    assert np.flatnonzero(keep).tolist() == [0, 1, 2]  # 60 of 70
    kept = compaction.kept_gates(kernel, gates, keep)
    assert kept[2] == pytest.approx(1 / (1 + np.exp(0.8 * 3))) and (kept[3:] == 0).all()


def test_a_target_below_what_does_nothing_cannot_be_met():
    kernel = make_kernel(10, 10, 10, mean=5)
    kernel.q[2:] = 0
    kernels = {"a": kernel}
    with pytest.raises(ValueError, match=r"sparsity is 0\.6000 already"):
        compaction.choose_cut(kernels, gates_of(kernels), 0.3)


def test_wrong_arguments():
    kernels = {"a": make_kernel(4, 4, 4)}
    with pytest.raises(ValueError, match=r"target_sparsity=1\.5"):
        compaction.choose_cut(kernels, gates_of(kernels), 1.5)
    with pytest.raises(ValueError, match="base='thin'"):
        compaction.choose_cut(kernels, gates_of(kernels), 0.5, base="thin")


@pytest.mark.parametrize("evaluation", ["clipped", "hard"])
def test_rank_0(evaluation):
    empty = MaskedKernel(np.zeros((4, 0)), np.zeros((0, 3)), np.zeros(0))
    gates = empty.gates(evaluation)
    p, q = compaction.fold(empty, gates, compaction.open_components(gates))
    assert p.shape == (4, 0) and q.shape == (0, 3)
    np.testing.assert_array_equal(compaction.merge(p, q), np.zeros((4, 3)))
    keep = compaction.choose_cut({"a": empty}, {"a": gates}, 1.0)
    assert keep["a"].shape == (0,)


def test_a_layer_of_rank_0_is_its_bias_in_a_graph_too():
    layer = FactorizedDense(4, 3, 0, "dense", masked=True, activation="relu")
    layer.bias.assign([1.0, 2.0, 3.0])

    @tf.function
    def loss_gradients(x):
        with tf.GradientTape() as tape:
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs)
        return outputs, tape.gradient(loss, layer.trainable_variables)

    outputs, gradients = loss_gradients(tf.ones([2, 5, 4]))
    np.testing.assert_array_equal(outputs, np.broadcast_to([1, 2, 3], (2, 5, 3)))
    assert [g.shape for g in gradients] == [v.shape for v in layer.trainable_variables]
