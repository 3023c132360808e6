"""Scores of heads and neurons, against derivatives by a gate on each and the paper's numbers."""

import io
import zipfile

import numpy as np
import pytest
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.data.batching import train_plan
from bert_tf.dynabert.importance import (
    Importance,
    head_scores,
    importance,
    input_scores,
    neuron_scores,
    read,
    write,
)
from bert_tf.errors import UserError
from tests.dynabert.reference import (
    CONFIG,
    KINDS,
    GatedLoss,
    make_arrays,
    make_model,
    make_store,
    multiplied_out,
)

BATCH = 3  # of six rows


def assert_same(found, expected, rtol=1e-3):
    for part in ("heads", "neurons"):
        for ours, theirs in zip(getattr(found, part), getattr(expected, part), strict=True):
            assert ours.dtype == np.float64
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-6, err_msg=part)


def by_gates(config, arrays, store, batches):
    """The `Importance` as the sum over batches of |derivative by a gate|."""
    loss, sums = GatedLoss(config, arrays), {}
    for ids in batches:
        for place, values in loss.derivatives(*store.batch(ids)).items():
            sums[place] = sums.get(place, 0) + np.abs(values)
    neurons = [sums[i, "up"] + sums[i, "down"] + sums.get((i, "gate"), 0) for i in range(2)]
    return Importance([sums[i, "heads"] for i in range(2)], neurons)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_derivatives_by_gates(kind):
    config, arrays = make_arrays(**KINDS[kind])
    store = make_store()
    plan = train_plan(store.lengths, batch_size=BATCH, epochs=1.0, seed=42)
    batches = [plan.ids(step) for step in range(plan.steps)]
    assert len(batches) >= 2
    expected = by_gates(config, arrays, store, batches)
    assert all(scores.min() >= 0 and scores.max() > 1e-3 for scores in expected.heads)
    found = importance(make_model(config, arrays), store, batch_size=BATCH)
    assert_same(found, expected)


@pytest.mark.parametrize("kind", ["factorised", "masked"])
def test_factors_score_as_their_product(kind):
    config, arrays = make_arrays(**KINDS[kind])
    product = {name: a.astype(np.float32) for name, a in multiplied_out(arrays).items()}
    store = make_store()
    found, expected = (importance(make_model(config, x), store, BATCH) for x in (arrays, product))
    assert_same(found, expected)


def test_kernels_of_rank_zero_score_zero():
    found = importance(make_model(*make_arrays(rank=0)), make_store())
    assert not np.concatenate(found.heads).any()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_scores_alike(policy):
    store, (config, arrays) = make_store(), make_arrays(**KINDS["everything"])
    expected = importance(make_model(config, arrays), store, BATCH)
    keras.mixed_precision.set_global_policy(policy)
    try:
        found = importance(make_model(config, arrays), store, BATCH)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    for part in ("heads", "neurons"):
        ours, theirs = np.concatenate(getattr(found, part)), np.concatenate(getattr(expected, part))
        np.testing.assert_allclose(ours, theirs, atol=0.03 * theirs.max())


def test_the_same_seed_gives_the_same_scores():
    model, store = make_model(*make_arrays()), make_store()
    first, second, other = (
        importance(model, store, BATCH, examples=3, seed=seed) for seed in (1, 1, 2)
    )
    assert_same(first, second, rtol=0)
    assert not np.allclose(first.heads[0], other.heads[0])


def test_examples_are_so_many_at_most():
    model, store = make_model(*make_arrays()), make_store()
    assert_same(importance(model, store, examples=100), importance(model, store))


def test_fewer_examples_than_a_batch_are_one():
    config, arrays = make_arrays()
    store = make_store()
    plan = train_plan(store.lengths, batch_size=2, epochs=2 / len(store), seed=42)
    expected = by_gates(config, arrays, store, [plan.ids(i) for i in range(plan.steps)])
    assert_same(importance(make_model(config, arrays), store, examples=2), expected)


def test_weights_stay_as_they_are():
    config, arrays = make_arrays()
    model = make_model(config, arrays)
    importance(model, make_store())
    for variable in model.model_weights:
        np.testing.assert_array_equal(variable, arrays[variable.name.removesuffix(":0")])


def test_overflow_is_refused():
    config, arrays = make_arrays()
    arrays["bert/encoder/layer_1/output/dense/kernel"] *= 1e38
    with pytest.raises(UserError, match="layer_0/heads is not finite: the model overflows"):
        importance(make_model(config, arrays), make_store())


def test_what_has_no_gradients_is_refused():
    model = make_model(*make_arrays())
    with pytest.raises(ValueError, match="without labels"):
        importance(model, make_store(labels=None))
    model.encoder.freeze(1)
    with pytest.raises(ValueError, match="frozen"):
        importance(model, make_store())


def test_neuron_scores_of_the_original():
    up = np.array([[1, 2], [3, -1], [0.5, 0.5]]).T
    up_gradient = np.array([[0.3, -0.1], [0.2, 0.1], [0, 0.4]]).T
    bias, bias_gradient = np.array([0.5, -1, 2]), np.array([0.2, 0.1, -0.3])
    down = np.array([[1, 0, 2], [-1, 1, 1]]).T
    down_gradient = np.array([[0.3, 0.1, -0.2], [0.1, -0.2, 0.1]]).T
    into = input_scores(up, up_gradient, bias, bias_gradient)
    np.testing.assert_allclose(into, [0.2, 0.4, 0.4])
    scores = neuron_scores(up, up_gradient, bias, bias_gradient, down, down_gradient)
    np.testing.assert_allclose(scores, [0.4, 0.6, 0.7])
    without = neuron_scores(up, up_gradient, None, None, down, down_gradient)
    np.testing.assert_allclose(without, [0.3, 0.7, 0.5])


def test_gradients_are_reset_for_each_batch():
    """The original adds them up over batches, and so takes the last head for the first."""
    kernel = np.ones([3, 1])
    first, second = np.array([[2], [1], [-1]]), np.array([[-2], [1], [-1.5]])

    def order(*gradients):
        scores = sum(head_scores(kernel, g, 3).numpy() for g in gradients)
        return scores.tolist(), np.argsort(-scores).tolist()

    assert order(first, second) == ([4, 2, 2.5], [0, 2, 1])
    assert order(first, first + second) == ([2, 3, 3.5], [2, 1, 0])


def test_a_head_is_a_block_of_rows():
    kernel, gradient = np.ones([6, 2]), np.array([[1, 1], [1, -4], [2, 2], [0, 0], [1, -1], [0, 0]])
    assert head_scores(kernel, gradient, 3).numpy().tolist() == [1, 4, 0]


def random_scores(seed=0):
    rng = np.random.default_rng(seed)
    return Importance([rng.random(4) for _ in range(2)], [rng.random(12) for _ in range(2)])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "importance.npz"
    write(path, random_scores())
    return path


def test_files_keep_every_bit(path):
    assert_same(read(path, CONFIG), random_scores(), rtol=0)
    assert list(path.parent.iterdir()) == [path]


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"none.npz: the scores .* cannot be read: No such file"):
        read(tmp_path / "none.npz", CONFIG)


def test_an_older_file_outlives_a_write_that_fails(path):
    with pytest.raises(UserError, match="cannot write"):
        write(path / "below", random_scores())
    assert_same(read(path, CONFIG), random_scores(), rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 1}, "has layer_1/heads: not the scores of a model of 1 layers"),
        ({"num_hidden_layers": 3}, "lacks layer_2/heads"),
        ({"num_attention_heads": 2}, r"layer_0/heads is float64 \[4\], not 2 numbers"),
        ({"intermediate_size": 16}, r"layer_0/neurons is float64 \[12\], not 16 numbers"),
    ],
)
def test_scores_of_another_model_are_refused(path, changes, message):
    with pytest.raises(UserError, match=f"importance.npz: {message}.* compute those of this"):
        read(path, CONFIG.replace(**changes))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.full(12, np.nan), "layer_1/neurons is not finite"),
        (np.full(12, np.inf), "layer_1/neurons is not finite"),
        (np.zeros([12, 1]), "layer_1/neurons is float64"),
        (np.zeros(12, complex), "layer_1/neurons is complex128"),
        (np.array(["1"] * 12), "layer_1/neurons is <U1"),
        (np.array([{}] * 12, object), "cannot be read"),
    ],
)
def test_what_are_no_scores_is_refused(tmp_path, value, message):
    found = random_scores()
    arrays = {f"layer_{i}/heads": found.heads[i] for i in range(2)}
    arrays |= {"layer_0/neurons": found.neurons[0], "layer_1/neurons": value}
    arrays = {k: v for k, v in arrays.items() if v.dtype != object}
    np.savez(tmp_path / "bad.npz", **arrays)
    if value.dtype == object:
        with zipfile.ZipFile(tmp_path / "bad.npz", "a") as archive:
            archive.writestr("layer_1/neurons.npy", pickled(value))
    with pytest.raises(UserError, match=f"bad.npz: .*{message}"):
        read(tmp_path / "bad.npz", CONFIG)


def pickled(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"text", b"version https://git-lfs.github.com/spec/v1", b"\x93NUMPY\x01\x00"]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"bad.npz: "):
        read(tmp_path / "bad.npz", CONFIG)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damaged_files_are_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "damaged.npz"
    write(path, random_scores())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path.write_bytes(content[:end])
    try:
        found = read(path, CONFIG)
    except UserError as e:
        assert str(path) in str(e)
    else:
        assert_same(found, random_scores(), rtol=0)
