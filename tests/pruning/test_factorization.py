"""Models whose kernels became factors."""

import numpy as np
import pytest

from bert_tf.checkpoints import names
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.checkpoints.shapes import check_shapes
from bert_tf.config import BertConfig
from bert_tf.encoder import kernels
from bert_tf.errors import UserError
from bert_tf.pruning import factorization
from flop.decomposition import Statistics
from tests import tiny

QUERY = "bert/encoder/layer_0/attention/self/query"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(config, arrays) of a dense encoder of two layers, with a classifier."""
    loaded = load_model(tiny.make_model(tmp_path_factory.mktemp("model"), num_hidden_layers=2))
    rng = np.random.default_rng(5)
    arrays = {n: a + rng.normal(scale=0.1, size=a.shape) for n, a in loaded.arrays.items()}
    arrays["output_weights"] = rng.normal(size=(3, 16))
    arrays["output_bias"] = rng.normal(size=3)
    return loaded.config, {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def statistics(model):
    """Made-up statistics for `two_sided`; the last layer's query sees every fifth token."""
    rng = np.random.default_rng(6)
    found = {}
    for scope, (d_in, d_out) in names.dense_scopes(model[0]).items():
        x, g = rng.normal(size=(50, d_in)), rng.normal(size=(50, d_out))
        found[scope] = Statistics(
            tokens=50,
            examples=10,
            share=0.2 if scope == "bert/encoder/layer_1/attention/self/query" else 1.0,
            mean=x.mean(0),
            covariance=np.cov(x.T, bias=True),
            gradient_moment=g.T @ g / 50,
        )
    return found


def pooled(config, arrays):
    """The encoder's pooled output on fixed tokens, built as the arrays say."""
    import tensorflow as tf

    from bert_tf.encoder import BertEncoder

    encoder = BertEncoder(config, dense_factory=kernels.factory(config, arrays))
    assign_arrays(encoder.trainable_variables, arrays, "test")
    ids = np.random.default_rng(0).integers(1, 25, (4, 9)).astype(np.int32)
    return encoder({"input_word_ids": tf.constant(ids)})["pooled_output"].numpy()


@pytest.mark.parametrize("svd", ["thin", "full"])
def test_factorised_equals_dense(model, svd):
    config, arrays = model
    new_config, factors, report = factorization.factorize(config, arrays, svd)
    assert new_config == config
    check_shapes(new_config, factors, "test")
    np.testing.assert_allclose(pooled(config, factors), pooled(config, arrays), atol=1e-5)
    wide = factors["bert/encoder/layer_1/output/dense_p/kernel"]
    assert wide.shape == ((32, 32) if svd == "full" else (32, 16))
    assert np.array_equal(factors[f"{QUERY}_q/bias"], arrays[f"{QUERY}/bias"])
    assert f"{QUERY}/kernel" not in factors and f"{QUERY}/bias" not in factors
    others = [name for name in arrays if name in factors]
    assert len(others) == len(arrays) - 2 * 12 and "output_weights" in others
    assert report.notes[f"{QUERY}/kernel"] == "now query_p/kernel and query_q/kernel"
    assert set(report.scores) == set(names.dense_scopes(config))


def test_scores_without_data_are_sigma_squared_per_parameter(model):
    _, _, report = factorization.factorize(*model)
    sigma = np.linalg.svd(model[1][f"{QUERY}/kernel"], compute_uv=False)
    np.testing.assert_allclose(report.scores[QUERY], sigma**2 / 32, rtol=1e-3)


@pytest.mark.parametrize("method", ["svd", "two_sided"])
@pytest.mark.parametrize("target", [0.5, 0.9])
def test_compress_meets_the_target(model, statistics, method, target, tmp_path):
    config, arrays = model
    new_config, compact, report = factorization.compress(
        config, arrays, target, method=method, statistics=statistics if method != "svd" else None
    )
    shapes = names.dense_scopes(config)
    kept = sum(
        array.size for name, array in compact.items() if name.endswith(("_p/kernel", "_q/kernel"))
    ) + sum(compact[f"{s}/kernel"].size for s in shapes if f"{s}/kernel" in compact)
    dense = sum(d_in * d_out for d_in, d_out in shapes.values())
    assert (report.before, report.after) == (dense, kept)
    assert (1 - target) * dense - 48 < kept <= (1 - target) * dense
    save_model_folder(tmp_path, new_config, compact)
    again = load_model(tmp_path)
    assert kernels.factorized_ranks(again.config) == {
        row.scope: row.rank for row in report.rows if row.rank is not None
    }
    assert np.isfinite(pooled(again.config, again.arrays)).all()


def test_a_target_of_zero_is_the_dense_model(model):
    config, arrays, report = factorization.compress(*model, 0.0)
    assert config == model[0] and not report.scores and not report.notes
    tiny.assert_same_bits(arrays, model[1])


def test_little_is_lost_where_kernels_have_low_rank(model):
    """Kernels of rank 4 come out as they were at the cost of rank 4."""
    config, arrays = model
    rng = np.random.default_rng(1)
    arrays = dict(arrays)
    for scope, (d_in, d_out) in names.dense_scopes(config).items():
        low = rng.normal(size=(d_in, 4)) @ rng.normal(size=(4, d_out)) * 0.1
        arrays[f"{scope}/kernel"] = low.astype(np.float32)
    new_config, compact, report = factorization.compress(config, arrays, 0.5)
    assert all(row.rank >= 4 and row.energy > 0.9999 for row in report.rows)
    np.testing.assert_allclose(pooled(new_config, compact), pooled(config, arrays), atol=1e-4)


def test_predicted_loss_is_half_the_dropped_energy_of_an_examples_tokens(model, statistics):
    from flop.decomposition import Decomposition

    config, arrays = model
    *_, report = factorization.compress(
        config, arrays, 0.6, method="two_sided", statistics=statistics
    )
    row = next(row for row in report.rows if row.rank is not None)
    kernel, bias = arrays[f"{row.scope}/kernel"], arrays[f"{row.scope}/bias"]
    sigma = Decomposition(kernel, bias, statistics[row.scope], "two_sided").sigma
    assert row.loss == pytest.approx(0.5 * 5 * np.sum(sigma[row.rank :] ** 2))
    assert row.energy == pytest.approx(np.sum(sigma[: row.rank] ** 2) / np.sum(sigma**2))
    *_, plain = factorization.compress(config, arrays, 0.6)
    assert {row.loss for row in plain.rows} == {None}


def test_global_sharing_cuts_what_few_tokens_run_through(model, statistics):
    *_, report = factorization.compress(*model, 0.6, method="two_sided", statistics=statistics)
    ranks = {row.scope: row.rank for row in report.rows}
    rare = ranks.pop("bert/encoder/layer_1/attention/self/query")
    square = [rank for scope, rank in ranks.items() if "/self/" in scope]
    assert rare < min(rank for rank in square if rank is not None)


def test_all_ranks_of_a_kernel_may_go(model, statistics):
    config, arrays = model
    arrays = {**arrays, f"{QUERY}/kernel": np.zeros([16, 16], np.float32)}
    new_config, compact, _ = factorization.compress(
        config, arrays, 0.8, method="two_sided", statistics=statistics
    )
    assert new_config.pruned_layers_dim[f"{QUERY}_p/kernel"] == 0
    assert compact[f"{QUERY}_p/kernel"].shape == (16, 0)
    check_shapes(new_config, compact, "test")
    assert np.isfinite(pooled(new_config, compact)).all()


def test_rank_multiple_and_flops(model):
    config, arrays = model
    costs = factorization.kernel_costs(config, "flops", 10, factorization.token_shares(config, 10))
    *_, report = factorization.compress(config, arrays, 0.5, costs=costs, rank_multiple=4)
    assert all(row.rank is None or row.rank % 4 == 0 for row in report.rows)
    spent = sum(costs[row.scope].of(row.rank) for row in report.rows)
    assert spent <= 0.5 * sum(cost.dense for cost in costs.values())
    first = costs["bert/encoder/layer_1/output/dense"].dense
    assert first == pytest.approx(costs["bert/encoder/layer_0/output/dense"].dense / 10)


def test_the_table_has_a_line_per_kernel_and_the_totals(model):
    *_, report = factorization.compress(*model, 0.5)
    lines = report.table().splitlines()
    assert len(lines) == 1 + 12 + 1
    assert QUERY in lines[1] and "16x16" in lines[1]
    assert f"{report.after:,} of {report.before:,} kernel parameters" in lines[-1]


@pytest.mark.parametrize(
    ("kind", "message"),
    [("factorised", "factorised already"), ("masked", "masked already"), ("compact", "compact al")],
)
def test_what_is_not_dense_is_refused(model, kind, message):
    config, arrays, _ = factorization.factorize(*model)
    if kind == "masked":
        arrays[f"{QUERY}_g/log_alpha"] = np.zeros(16, np.float32)
    if kind == "compact":
        config, arrays, _ = factorization.compress(*model, 0.5)
    for call in (factorization.factorize, lambda c, a: factorization.compress(c, a, 0.5)):
        with pytest.raises(UserError, match=message):
            call(config, arrays)


@pytest.mark.slow
@pytest.mark.parametrize(("svd", "count"), [("full", 233_570_304), ("thin", 127_401_984)])
def test_bert_base_has_the_published_number_of_entries(svd, count):
    config = BertConfig(vocab_size=100)
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(scale=0.02, size=shape).astype(np.float32)
        for name, shape in names.encoder_shapes(config).items()
    }
    _, factors, _ = factorization.factorize(config, arrays, svd)
    parts = [a for n, a in factors.items() if n.endswith(("_p/kernel", "_q/kernel"))]
    assert sum(part.size for part in parts) == count
    for scope in ("bert/encoder/layer_3/output/dense", "bert/encoder/layer_7/intermediate/dense"):
        product = factors[f"{scope}_p/kernel"] @ factors[f"{scope}_q/kernel"]
        kernel = arrays[f"{scope}/kernel"]
        assert np.linalg.norm(product - kernel) < 1e-5 * np.linalg.norm(kernel)
