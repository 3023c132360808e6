"""Closed-form factors: what each method minimises, measured."""

import numpy as np
import pytest

from flop.decomposition import METHODS, Decomposition, Statistics, component_scores, for_each, svd

# Vector of specs/flop.md, section g.
KERNEL = np.array([[1, 2, 0], [0, 1, -1], [2, 0, 1], [1, 1, 1]], np.float32)
SIGMA = [3.12104771, 2.15983203, 0.770835127]


@pytest.fixture(scope="module")
def data():
    """(x, g, kernel, bias, statistics) of 400 correlated rows with a mean, kernel 12 x 8."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12)
    g = rng.normal(size=(400, 8)) @ (rng.normal(size=(8, 8)) + np.eye(8))
    statistics = Statistics(
        tokens=400,
        examples=40,
        mean=x.mean(0),
        covariance=np.cov(x.T, bias=True),
        gradient_moment=g.T @ g / len(g),
        row_fisher=rng.uniform(0.1, 5, 12),
    )
    return x, g, rng.normal(size=(12, 8)), rng.normal(size=8), statistics


def measured_loss(method, data, p, q, bias):
    """What the method says it minimises, over the rows themselves."""
    x, g, kernel, old_bias, statistics = data
    if method == "svd":
        return np.sum((p @ q - kernel) ** 2)
    if method == "fisher":
        return np.sum(statistics.row_fisher[:, None] * (p @ q - kernel) ** 2)
    change = x @ (p @ q) + bias - (x @ kernel + old_bias)
    if method == "whitened":
        return np.mean(np.sum(change**2, 1))
    return np.trace(change.T @ change / len(x) @ (g.T @ g / len(g)))


def test_svd_of_a_known_kernel():
    p, q = svd(KERNEL)
    assert p.shape == (4, 3) and q.shape == (3, 3) and p.dtype == q.dtype == np.float32
    np.testing.assert_allclose(p @ q, KERNEL, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), SIGMA, rtol=1e-6)


def test_full_svd_is_numpys_full_matrices():
    p, q = svd(KERNEL, full=True)
    assert p.shape == (4, 4) and q.shape == (4, 3)
    np.testing.assert_allclose(p @ q, KERNEL, atol=1e-6)
    np.testing.assert_allclose(p.T @ p, np.eye(4), atol=1e-6)
    assert not q[3].any()


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4), (1, 3)])
@pytest.mark.parametrize("full", [False, True])
def test_svd_loses_nothing(shape, full):
    kernel = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    p, q = svd(kernel, full)
    rank = shape[0] if full else min(shape)
    assert p.shape == (shape[0], rank) and q.shape == (rank, shape[1])
    np.testing.assert_allclose(p @ q, kernel, atol=1e-5)
    np.testing.assert_allclose(p.T @ p, np.eye(rank), atol=1e-5)


def test_svd_of_a_kernel_without_full_rank():
    rng = np.random.default_rng(2)
    kernel = (rng.normal(size=(20, 3)) @ rng.normal(size=(3, 10))).astype(np.float32)
    for matrix in (kernel, kernel.T, np.zeros([4, 3])):
        p, q = svd(matrix)
        np.testing.assert_allclose(p @ q, matrix, atol=1e-5)
        np.testing.assert_allclose(p.T @ p, np.eye(p.shape[1]), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_dropped_sigma_squared_is_the_loss(data, method):
    decomposition = Decomposition(*data[2:], method)
    assert np.all(np.diff(decomposition.sigma) <= 1e-9)
    for rank in (0, 3, 6, 8):
        predicted = np.sum(decomposition.sigma[rank:] ** 2)
        loss = measured_loss(method, data, *decomposition.truncate(rank))
        assert loss == pytest.approx(predicted, rel=5e-3, abs=1e-6)


@pytest.mark.parametrize("method", ["fisher", "whitened", "two_sided"])
def test_each_method_is_best_at_what_it_minimises(data, method):
    for rank in (2, 5):
        losses = {
            other: measured_loss(method, data, *Decomposition(*data[2:], other).truncate(rank))
            for other in METHODS
        }
        assert min(losses, key=losses.get) == method
        assert losses["svd"] > 1.05 * losses[method]


@pytest.mark.parametrize("method", METHODS)
def test_all_components_are_the_kernel(data, method):
    p, q, bias = Decomposition(*data[2:], method).truncate(8)
    np.testing.assert_allclose(p @ q, data[2], atol=1e-5)
    np.testing.assert_allclose(bias, data[3], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_leaving_out_the_last_components_is_the_best_cut(data, method):
    """What masks on `components` can reach without training: the cut, but for its bias."""
    kernel = data[2]
    decomposition = Decomposition(*data[2:], method)
    p, q = decomposition.components()
    np.testing.assert_allclose(p @ q, kernel, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(p, axis=0), np.linalg.norm(q, axis=1), rtol=1e-4)
    cut_p, cut_q, _ = decomposition.truncate(5)
    assert np.array_equal(p[:, :5], cut_p) and np.array_equal(q[:5], cut_q)


def test_a_kernel_of_zeros_has_components():
    p, q = Decomposition(np.zeros([4, 3]), np.zeros(3)).components()
    assert not (p @ q).any() and np.isfinite(p).all() and np.isfinite(q).all()


def test_without_components_the_layer_gives_its_mean_output(data):
    x, _, kernel, bias, _ = data
    p, q, mean_output = Decomposition(*data[2:], "whitened").truncate(0)
    assert p.shape == (12, 0) and q.shape == (0, 8)
    np.testing.assert_allclose(mean_output, (x @ kernel + bias).mean(0), rtol=1e-5)
    assert Decomposition(kernel, bias).truncate(0)[2] == pytest.approx(bias)


def test_unseen_directions_are_cheap_but_finite(data):
    """Fewer rows than inputs, and no gradient at all: as after a single short example."""
    x, _, kernel, bias, _ = data
    few = Statistics(
        tokens=3,
        examples=1,
        mean=x[:3].mean(0),
        covariance=np.cov(x[:3].T, bias=True),
        gradient_moment=np.zeros([8, 8]),
    )
    p, q, new_bias = Decomposition(kernel, bias, few, "two_sided").truncate(4)
    assert np.isfinite(p).all() and np.isfinite(q).all()
    np.testing.assert_allclose(x[:3] @ (p @ q) + new_bias, x[:3] @ kernel + bias, atol=0.1)


def test_energy_is_the_kept_share():
    decomposition = Decomposition(KERNEL, np.zeros(3))
    total = sum(s**2 for s in SIGMA)
    assert decomposition.energy(0) == 0
    assert decomposition.energy(1) == pytest.approx(SIGMA[0] ** 2 / total)
    assert decomposition.energy(3) == pytest.approx(1)
    assert Decomposition(np.zeros([3, 2]), np.zeros(2)).energy(1) == 1


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_the_loss_of_removing_one_component(data, method):
    _, _, kernel, bias, statistics = data
    p, q = svd(kernel)
    scores = component_scores(p, q, statistics, method)
    for j in (0, 4, 7):
        others = np.arange(8) != j
        loss = measured_loss(method, data, p[:, others], q[others], bias)
        assert scores[j] == pytest.approx(loss, rel=1e-4)


def test_scores_count_only_the_tokens_that_the_kernel_runs_on(data):
    p, q = svd(data[2])
    rare = Statistics(**{**vars(data[4]), "share": 0.25})
    for method, ratio in (("two_sided", 0.25), ("whitened", 0.25), ("fisher", 1.0)):
        scores = component_scores(p, q, rare, method) / component_scores(p, q, data[4], method)
        np.testing.assert_allclose(scores, ratio, rtol=1e-6)


def test_what_a_method_lacks_is_named(data):
    with pytest.raises(ValueError, match="gradient_moment"):
        without = Statistics(**{**vars(data[4]), "gradient_moment": None})
        Decomposition(data[2], data[3], without, "two_sided")
    with pytest.raises(ValueError, match="mean, covariance"):
        component_scores(*svd(data[2]), None, "whitened")
    with pytest.raises(ValueError, match="svd, fisher, whitened, two_sided"):
        Decomposition(data[2], data[3], data[4], "pca")


def test_for_each_keeps_the_order_and_the_errors():
    assert for_each(lambda x: x**2, range(10)) == [x**2 for x in range(10)]
    with pytest.raises(ZeroDivisionError):
        for_each(lambda x: 1 / x, [1, 0])


@pytest.mark.parametrize("method", ["whitened", "two_sided"])
def test_without_a_bias_the_mean_counts_as_data(method):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(200, 6)) + np.eye(6)[0] * 5
    kernel, gradients = rng.normal(size=(6, 5)), rng.normal(size=(200, 5))
    statistics = Statistics(
        tokens=200,
        examples=200,
        mean=x.mean(0),
        covariance=np.cov(x.T, bias=True),
        gradient_moment=gradients.T @ gradients / 200,
    )

    def error(bias):
        part = Decomposition(kernel, bias, statistics, method)
        p, q, found = part.truncate(2)
        assert (found is None) == (bias is None)
        weights = np.linalg.cholesky(statistics.gradient_moment)
        lost = x @ (kernel - p.astype(np.float64) @ q)
        return np.mean((lost if method == "whitened" else lost @ weights) ** 2), part

    bare, part = error(None)
    with_bias, _ = error(np.zeros(5))
    assert bare < 0.9 * with_bias  # which leaves the mean to a bias that is not there
    per_token = 5 * bare  # sigma^2 are sums over outputs
    np.testing.assert_allclose((part.sigma[2:] ** 2).sum(), per_token, rtol=1e-5)
