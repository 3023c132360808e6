"""Budgets shared over kernels."""

import numpy as np
import pytest

from flop.ranks import Cost, parameter_costs, share_ranks

SHAPES = {"a": (24, 24), "b": (24, 96), "c": (96, 24)}
DENSE = 24 * 24 + 2 * 24 * 96


def spectra(seed=0):
    rng = np.random.default_rng(seed)
    return {name: np.sort(rng.exponential(size=24))[::-1] for name in SHAPES}


def kept(ranks):
    costs = parameter_costs(SHAPES)
    return sum(costs[name].of(rank) for name, rank in ranks.items())


@pytest.mark.parametrize("sharing", ["uniform", "global"])
@pytest.mark.parametrize("target", [0.1, 0.5, 0.75, 0.9, 0.99])
@pytest.mark.parametrize("multiple", [1, 4])
def test_the_budget_is_met_within_one_step(sharing, target, multiple):
    ranks = share_ranks(spectra(), parameter_costs(SHAPES), target, sharing, multiple=multiple)
    budget = (1 - target) * DENSE
    assert budget - multiple * (24 + 96) < kept(ranks) <= budget
    assert all(rank is None or rank % multiple == 0 for rank in ranks.values())


def test_a_target_of_zero_leaves_everything_dense():
    for sharing in ("uniform", "global"):
        ranks = share_ranks(spectra(), parameter_costs(SHAPES), 0.0, sharing)
        assert ranks == dict.fromkeys(SHAPES)


def test_uniform_cuts_all_kernels_to_the_same_share():
    ranks = share_ranks(spectra(), parameter_costs(SHAPES), 0.5, "uniform")
    for name, (d_in, d_out) in SHAPES.items():
        step = (d_in + d_out) / (d_in * d_out)
        assert ranks[name] * step == pytest.approx(0.5, abs=step)


def test_global_takes_the_components_that_matter_most_per_parameter():
    costs = parameter_costs({"small": (10, 10), "large": (10, 40)})
    sigma = np.linspace(1, 0.1, 10)
    ranks = share_ranks({"small": sigma, "large": sigma}, costs, 0.75, "global")
    chosen = {(name, j) for name, rank in ranks.items() for j in range(rank)}
    gain = {(name, j): sigma[j] ** 2 / costs[name].unit for name in costs for j in range(10)}
    others = [gain[key] for key in gain if key not in chosen]
    assert min(gain[key] for key in chosen) >= max(others)
    assert ranks["small"] > ranks["large"]


def test_weights_make_a_rarely_used_kernel_cheap_to_cut():
    sigma = {"a": np.ones(24), "b": np.ones(24), "c": np.ones(24)}
    weights = {"a": 1.0, "b": 0.01, "c": 1.0}
    ranks = share_ranks(sigma, parameter_costs(SHAPES), 0.6, "global", weights)
    assert ranks["b"] == 0


def test_a_kernel_stays_dense_where_factors_would_cost_as_much():
    """Break-even of 24 x 24 is rank 12; the kernel that matters is not paid for twice."""
    costs = parameter_costs({"much": (24, 24), "little": (24, 24)})
    sigma = {"much": np.full(24, 9.0), "little": np.linspace(1, 0.5, 24)}
    ranks = share_ranks(sigma, costs, 0.25, "global")
    assert ranks == {"much": None, "little": 6}


def test_flops_count_only_the_tokens_that_a_kernel_runs_on():
    costs = parameter_costs({"all": (8, 8), "first": (8, 8)}, {"all": 128.0, "first": 1.0})
    assert costs["all"].dense == 128 * 64 and costs["first"].unit == 16
    ranks = share_ranks({name: np.ones(8) for name in costs}, costs, 0.5, "global")
    assert ranks["first"] is None and ranks["all"] == 1


def test_a_kernel_whose_factors_are_never_faster_stays_dense():
    costs = {"slow": Cost(dense=1.0, unit=0.01, base=1.5), "fast": Cost(dense=9.0, unit=0.5)}
    ranks = share_ranks({"slow": np.ones(24), "fast": np.ones(24)}, costs, 0.5, "global")
    assert ranks["slow"] is None and ranks["fast"] == 8


def test_bad_arguments():
    costs = parameter_costs(SHAPES)
    for target in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="target_sparsity"):
            share_ranks(spectra(), costs, target)
    with pytest.raises(ValueError, match="uniform, global"):
        share_ranks(spectra(), costs, 0.5, "equal")
    with pytest.raises(ValueError, match="multiple 0"):
        share_ranks(spectra(), costs, 0.5, multiple=0)


@pytest.mark.parametrize("runtime", ["tensorflow", "onnxruntime"])
def test_measured_costs_rise_with_the_rank(runtime):
    pytest.importorskip(runtime)
    from flop.latency_cost import latency_costs, tensorflow_product
    from flop.onnx_products import onnxruntime_product

    products = {"tensorflow": tensorflow_product, "onnxruntime": onnxruntime_product}
    shapes = {"a": (16, 32), "b": (16, 32), "c": (32, 16)}
    costs = latency_costs(shapes, {"a": 4, "b": 4, "c": 4}, products[runtime])
    assert costs["a"] is costs["b"]
    for cost in costs.values():
        assert cost.dense > 0 and cost.factorized(0) == 0
        assert 0 < cost.factorized(1) < cost.factorized(8)
    ranks = share_ranks({name: np.ones(16) for name in shapes}, costs, 0.5, "global")
    spent = sum(costs[name].of(rank) for name, rank in ranks.items())
    assert spent <= 0.5 * sum(cost.dense for cost in costs.values()) * (1 + 1e-9)
