"""Statistics of kernels, against the same numbers from one example at a time."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints import names
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.classification.model import SequenceClassifier
from bert_tf.data.features import FeatureStore
from bert_tf.errors import UserError
from bert_tf.pruning import statistics
from bert_tf.pruning.factorization import token_shares
from tests import tiny

LENGTHS = np.array([4, 9, 2, 7, 6, 3])
LAYER = "bert/encoder/layer_"


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(config, arrays) of a dense classifier of two layers and three labels."""
    from bert_tf.checkpoints.model_folder import load_model

    folder = tiny.make_model(tmp_path_factory.mktemp("model"), num_hidden_layers=2)
    loaded = load_model(folder)
    rng = np.random.default_rng(5)
    arrays = {
        name: array + rng.normal(scale=0.1, size=array.shape).astype(np.float32)
        for name, array in loaded.arrays.items()
    }
    arrays["output_weights"] = rng.normal(size=(3, 16)).astype(np.float32)
    arrays["output_bias"] = np.zeros(3, np.float32)
    return loaded.config, arrays


def make_store(labels):
    rng = np.random.default_rng(1)
    return FeatureStore(
        ids=rng.integers(1, len(tiny.TOKENS), LENGTHS.sum()).astype(np.int32),
        offsets=np.cumsum([0, *LENGTHS]),
        first_lengths=LENGTHS,
        labels=labels,
        fingerprint="test",
    )


@pytest.fixture(scope="module")
def store():
    return make_store(np.array([0, 1, 2, 1, 0, 2], np.int32))


@pytest.fixture(scope="module")
def gradients(model, store):
    """Per example: {variable name: gradient of its own loss}."""
    config, arrays = model
    classifier = SequenceClassifier(config, 3)
    assign_arrays(classifier.trainable_variables, arrays, "test")
    found = []
    for i in range(len(LENGTHS)):
        inputs, labels = store.batch([i])
        with tf.GradientTape() as tape:
            loss = classifier.example_losses(labels, classifier(inputs, training=False))
        variables = classifier.trainable_variables
        found.append(
            {v.name.split(":")[0]: np.asarray(tf.convert_to_tensor(g))
             for v, g in zip(variables, tape.gradient(loss, variables), strict=True)}
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def first_layer_outputs(model, store):
    """Outputs of layer 0 at all real tokens [tokens, hidden]: what layer 1 is given."""
    config, arrays = model
    classifier = SequenceClassifier(config, 3)
    assign_arrays(classifier.trainable_variables, arrays, "test")
    rows = []
    for i in range(len(LENGTHS)):
        inputs, _ = store.batch([i])
        rows.append(classifier.encoder(inputs)["encoder_outputs"][0].numpy()[0])
    return np.concatenate(rows)


def test_inputs_of_all_real_tokens(model, store, first_layer_outputs):
    found = statistics.collect(*model, store, "whitened", labels=3)
    assert list(found) == list(names.dense_scopes(model[0]))
    key = found[f"{LAYER}1/attention/self/key"]
    assert key.tokens == LENGTHS.sum() and key.examples == 6 and key.share == 1
    np.testing.assert_allclose(key.mean, first_layer_outputs.mean(0), atol=1e-5)
    expected = np.cov(first_layer_outputs.T, bias=True)
    np.testing.assert_allclose(key.covariance, expected, atol=1e-5)
    assert key.gradient_moment is None and key.row_fisher is None


def test_last_layer_sees_first_tokens_only(model, store, first_layer_outputs):
    found = statistics.collect(*model, store, "two_sided", labels=3)
    firsts = first_layer_outputs[np.cumsum([0, *LENGTHS[:-1]])]
    query = found[f"{LAYER}1/attention/self/query"]
    np.testing.assert_allclose(query.mean, firsts.mean(0), atol=1e-5)
    shares = token_shares(model[0], LENGTHS.mean())
    assert {scope: f.share for scope, f in found.items()} == pytest.approx(shares)


def test_output_gradients_are_those_of_each_examples_loss(model, store, gradients):
    """A kernel that sees one token per example has the gradient of its bias."""
    found = statistics.collect(*model, store, "two_sided", labels=3)
    for place in ("attention/self/query", "attention/output/dense", "output/dense"):
        scope = f"{LAYER}1/{place}"
        rows = np.stack([gradient[f"{scope}/bias"] for gradient in gradients])
        moment = found[scope].gradient_moment
        np.testing.assert_allclose(moment, rows.T @ rows / 6, rtol=1e-3, atol=1e-7)
        assert np.trace(moment) > 0


def test_row_fisher_is_that_of_each_examples_kernel_gradient(model, store, gradients):
    found = statistics.collect(*model, store, "fisher", labels=3)
    for scope, kernel in found.items():
        squares = [np.sum(g[f"{scope}/kernel"] ** 2, axis=1) for g in gradients]
        np.testing.assert_allclose(kernel.row_fisher, np.mean(squares, 0), rtol=1e-3, atol=1e-9)
        assert kernel.covariance is None


@pytest.mark.parametrize("method", ["two_sided", "fisher"])
def test_batches_and_their_padding_make_no_difference(model, store, method, monkeypatch):
    whole = statistics.collect(*model, store, method, labels=3)
    monkeypatch.setattr(statistics, "TOKEN_BUDGET", 9)
    single = statistics.collect(*model, store, method, labels=3)
    for scope, one in single.items():
        for name, value in vars(one).items():
            if value is not None:
                np.testing.assert_allclose(value, getattr(whole[scope], name), rtol=1e-3, atol=1e-5)


def test_regression(model):
    config, arrays = model
    arrays = {**arrays, "output_weights": arrays["output_weights"][:1], "output_bias": np.zeros(1)}
    scores = make_store(np.linspace(0, 5, 6).astype(np.float32))
    found = statistics.collect(config, arrays, scores, "two_sided", labels=1)
    assert all(np.trace(kernel.gradient_moment) > 0 for kernel in found.values())


def test_without_labels_all_tokens_count_everywhere(model):
    config, arrays = model
    arrays = {n: a for n, a in arrays.items() if not n.startswith(("output_", "bert/pooler"))}
    unlabelled = make_store(None)
    found = statistics.collect(config, arrays, unlabelled, "whitened")
    assert {kernel.tokens for kernel in found.values()} == {LENGTHS.sum()}
    with pytest.raises(ValueError, match="labelled"):
        statistics.collect(config, arrays, unlabelled, "two_sided")


def test_the_drawn_examples_depend_on_the_seed_only(model, store):
    scope = f"{LAYER}0/attention/self/key"
    draws = [
        statistics.collect(*model, store, "whitened", labels=3, examples=2, seed=seed)[scope]
        for seed in (0, 0, 1)
    ]
    assert [draw.examples for draw in draws] == [2, 2, 2]
    assert np.array_equal(draws[0].mean, draws[1].mean)
    assert not np.array_equal(draws[0].mean, draws[2].mean)


def test_another_number_of_labels_is_refused(model, store):
    with pytest.raises(UserError, match="no classifier with 2 outputs"):
        statistics.collect(*model, store, "two_sided", labels=2)


def test_statistics_that_are_not_finite_name_the_kernel(model, store):
    config, arrays = model
    name = "bert/encoder/layer_0/intermediate/dense/kernel"
    arrays = {**arrays, name: np.full_like(arrays[name], 3e38)}
    with pytest.raises(UserError, match=r"statistics of bert/encoder/layer_\d/.* is not finite"):
        statistics.collect(config, arrays, store, labels=3)
