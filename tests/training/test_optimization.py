import concurrent.futures
import multiprocessing

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import bert_tf  # noqa: F401
from bert_tf.errors import UserError
from bert_tf.training import optimization, schedules
from tests import needs

ROWS, WIDTH = 11, 3


def variables(seed=0):
    """A table, a kernel, a LayerNorm scale and a bias, as BERT names them."""
    rng = np.random.default_rng(seed)
    shapes = {
        "bert/embeddings/word_embeddings": (ROWS, WIDTH),
        "bert/encoder/layer_0/output/dense/kernel": (WIDTH, 4),
        "bert/embeddings/LayerNorm/gamma": (WIDTH,),
        "output_bias": (2,),
    }
    return [tf.Variable(rng.normal(size=s).astype("f"), name=n) for n, s in shapes.items()]


def gradients(step, sparse=True):
    """Gradients of step `step`; the table's touches rows 7 (twice) and 2."""
    rng = np.random.default_rng(100 + step)
    rows, values = np.array([7, 2, 7]), rng.normal(size=(3, WIDTH)).astype("f")
    table = np.zeros((ROWS, WIDTH), "f")
    np.add.at(table, rows, values)
    rest = [rng.normal(size=s).astype("f") for s in [(WIDTH, 4), (WIDTH,), (2,)]]
    slices = tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([ROWS, WIDTH]))
    return [slices if sparse else tf.constant(table), *map(tf.constant, rest)]


def train(optimizer, steps, sparse=True, first=0, weights=None, run=tf.function):
    weights = weights or variables()

    @run
    def step(grads):
        optimizer.apply_gradients(zip(grads, weights, strict=True))

    for i in range(first, first + steps):
        step(gradients(i, sparse))
    return weights


def values(weights):
    return [w.numpy() for w in weights]


def assert_equal(a, b, **tolerance):
    for x, y in zip(values(a), values(b), strict=True):
        np.testing.assert_allclose(x, y, **(tolerance or {"rtol": 0, "atol": 0}))


def close():
    return {"rtol": 3e-6, "atol": 3e-7}


@pytest.mark.parametrize("fused", [True, False])
def test_without_bias_correction_it_is_googles_optimizer(fused):
    weight = tf.Variable([1.0, -2.0, 0.5])
    optimizer = optimization.AdamW(1e-3, bias_correction=False, fused=fused)
    expected = [[0.996828222, -1.996827691, 0.499995], [0.992569137, -1.992567614, 0.49999]]
    for row in expected:
        optimizer.apply_gradients([(tf.constant([0.2, -0.01, 0.0]), weight)])
        np.testing.assert_allclose(weight.numpy(), row, rtol=2e-7)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
def test_with_bias_correction_it_is_keras_adamw_on_the_dense_gradient(fused, sparse):
    # Keras adds epsilon after the correction is moved out of the root; a tiny one hides that.
    oracle = keras.optimizers.AdamW(2e-2, weight_decay=0.1, epsilon=1e-12)
    oracle.exclude_from_weight_decay(var_names=["LayerNorm", "bias"])
    expected = train(oracle, 5, sparse=False)
    ours = optimization.AdamW(2e-2, weight_decay=0.1, epsilon=1e-12, fused=fused)
    assert_equal(train(ours, 5, sparse), expected, **close())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("correct", [True, False])
def test_epsilon_is_added_to_the_corrected_root(fused, correct):
    weight, w, m, v = tf.Variable([1.0, -2.0]), np.array([1.0, -2.0]), 0.0, 0.0
    optimizer = optimization.AdamW(0.1, epsilon=0.1, bias_correction=correct, fused=fused)
    for t in range(1, 4):
        g = np.array([0.3, -0.02]) * t
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        fix_m, fix_v = (1 - 0.9**t, 1 - 0.999**t) if correct else (1, 1)
        w = w - 0.1 * (m / fix_m / (np.sqrt(v / fix_v) + 0.1) + 0.01 * w)
        optimizer.apply_gradients([(tf.constant(g, tf.float32), weight)])
        np.testing.assert_allclose(weight.numpy(), w, rtol=3e-6)


def test_every_row_of_the_table_decays_and_keeps_moving():
    weights = variables()
    before = weights[0].numpy()
    optimizer = optimization.AdamW(0.1, weight_decay=0.5)
    train(optimizer, 1, weights=weights)
    np.testing.assert_allclose(weights[0].numpy()[0], before[0] * 0.95, rtol=1e-6)
    after, idle = weights[0].numpy(), tf.IndexedSlices(tf.ones([1, WIDTH]), [0])
    optimizer.apply_gradients([(idle, weights[0])])
    assert np.abs(weights[0].numpy()[7] - after[7] * 0.95).min() > 1e-3


def test_layer_norm_and_biases_do_not_decay():
    weights = variables()
    before = values(weights)
    nothing = [tf.zeros_like(w) for w in weights]
    optimization.AdamW(0.1, weight_decay=0.5).apply_gradients(zip(nothing, weights, strict=True))
    for w, old, factor in zip(weights, before, [0.95, 0.95, 1, 1], strict=True):
        np.testing.assert_allclose(w.numpy(), old * np.float32(factor), rtol=1e-6)


@pytest.mark.parametrize(
    "run", [lambda f: f, tf.function(jit_compile=True)], ids=["eager", "whole step in XLA"]
)
def test_the_way_it_is_run_does_not_matter(run):
    expected = train(optimization.AdamW(1e-2), 3)
    optimizer, weights = optimization.AdamW(1e-2), variables()
    optimizer.build(weights)
    assert_equal(train(optimizer, 3, weights=weights, run=run), expected, **close())


def _train_on_two_replicas():
    """Three steps, each replica giving half of every gradient; returns both replicas' weights."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        weights, optimizer = variables(), optimization.AdamW(1e-2)

    def replica(grads):
        half = [_half(g) if isinstance(g, tf.IndexedSlices) else 0.5 * g for g in grads]
        optimizer.apply_gradients(zip(half, weights, strict=True))

    step = tf.function(lambda grads: strategy.run(replica, (grads,)))
    for i in range(3):
        step(gradients(i))
    return [[strategy.experimental_local_results(w)[i].numpy() for w in weights] for i in (0, 1)]


def test_two_replicas_sum_their_gradients():
    # In a process of its own: logical devices must be set before TensorFlow starts.
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        replicas = pool.submit(_train_on_two_replicas).result()
    expected = values(train(optimization.AdamW(1e-2), 3))
    for replica in replicas:
        for w, e in zip(replica, expected, strict=True):
            np.testing.assert_allclose(w, e, **close())


def _half(slices):
    return tf.IndexedSlices(0.5 * slices.values, slices.indices, slices.dense_shape)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_weights_and_slots_in_float32(policy):
    model = keras.Sequential([keras.layers.Dense(2, dtype=keras.mixed_precision.Policy(policy))])
    x, y = np.ones([4, 3], "f"), np.zeros([4, 2], "f")
    model.build([None, 3])
    optimizer = optimization.AdamW(1e-2)
    if policy == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    model.compile(optimizer, "mse")
    before = model.get_weights()[0]
    model.fit(x, y, epochs=2, verbose=0)
    assert np.abs(model.get_weights()[0] - before).max() > 1e-3
    assert {v.dtype for v in optimizer.variables if v.shape.rank} == {tf.float32}


def test_an_overflow_under_loss_scaling_leaves_everything_as_it_was():
    weights = variables()
    optimizer = keras.mixed_precision.LossScaleOptimizer(optimization.AdamW(1e-2))
    before = values(weights)
    bad = [tf.fill(w.shape, np.inf) for w in weights]
    optimizer.apply_gradients(zip(bad, weights, strict=True))
    for w, old in zip(weights, before, strict=True):
        np.testing.assert_array_equal(w.numpy(), old)


def test_a_restored_checkpoint_continues_bit_for_bit(tmp_path):
    def make():
        schedule = schedules.make_schedule("linear", 1e-2, 10, 3)
        return optimization.AdamW(schedule), variables()

    optimizer, weights = make()
    train(optimizer, 6, weights=weights)
    cut, half = make()
    train(cut, 3, weights=half)
    path = tf.train.Checkpoint(optimizer=cut, weights=half).save(str(tmp_path / "state"))
    again, rest = make()
    again.build(rest)
    status = tf.train.Checkpoint(optimizer=again, weights=rest).restore(path)
    status.assert_existing_objects_matched()
    train(again, 3, first=3, weights=rest)
    assert_equal(rest, weights)
    assert_equal(again.variables, optimizer.variables)


def test_the_optimizer_comes_back_from_its_config():
    schedule = schedules.make_schedule("linear", 1e-2, 10, 3)
    optimizer = optimization.AdamW(schedule, weight_decay=0.3, bias_correction=False)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert_equal(train(again, 4), train(optimizer, 4))


def test_clipping_takes_the_norm_of_the_dense_gradient():
    expected, norm = tf.clip_by_global_norm(gradients(0, sparse=False), 0.7)
    clip = tf.function(lambda: optimization.clip_by_global_norm([None, *gradients(0)], 0.7))
    grads, ours = clip()
    np.testing.assert_allclose(ours, norm, rtol=1e-6)
    assert grads[0] is None
    for g, e in zip(grads[1:], expected, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(g), e, rtol=1e-6)


def test_small_gradients_are_not_clipped_and_no_limit_only_measures():
    for limit in (1e3, None, 0):
        grads, norm = optimization.clip_by_global_norm(gradients(0), limit)
        assert float(norm) > 1
        for g, e in zip(grads, gradients(0), strict=True):
            np.testing.assert_array_equal(tf.convert_to_tensor(g), tf.convert_to_tensor(e))


def test_an_infinite_norm_shows():
    grads, _ = optimization.clip_by_global_norm([tf.constant([np.inf, 1.0])], 1.0)
    assert np.isnan(grads[0]).all()


def test_clipping_works_in_xla():
    clip = tf.function(optimization.clip_by_global_norm, jit_compile=True)
    grads, norm = clip(gradients(0), 0.7)
    expected, dense = tf.clip_by_global_norm(gradients(0, sparse=False), 0.7)
    np.testing.assert_allclose(norm, dense, rtol=1e-6)
    np.testing.assert_allclose(tf.convert_to_tensor(grads[0]), expected[0], rtol=1e-6)


@needs.tf_models
def test_lamb_scales_each_update_to_its_weights():
    schedule = schedules.make_schedule("constant", 0.1, 10)
    weights = variables()
    before = values(weights)
    optimizer = optimization.make_optimizer("lamb", schedule, weight_decay=0.0)
    train(optimizer, 1, weights=weights)
    moved = [np.linalg.norm(w.numpy() - b) for w, b in zip(weights, before, strict=True)]
    np.testing.assert_allclose(moved[:2], [0.1 * np.linalg.norm(b) for b in before[:2]], rtol=1e-4)
    np.testing.assert_allclose(np.abs(weights[2].numpy() - before[2]), 0.1, rtol=1e-4)
    assert optimization.current_learning_rate(optimizer) == pytest.approx(0.1)


def test_the_rate_shown_is_that_of_the_latest_update():
    optimizer = optimization.make_optimizer("adamw", schedules.make_schedule("linear", 1.0, 10, 5))
    train(optimizer, 3)
    assert optimization.current_learning_rate(optimizer) == pytest.approx(0.4)


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="adam: unknown; expected one of adamw, lamb"):
        optimization.make_optimizer("adam", 1e-3)
    with pytest.raises(UserError, match="no effect"):
        optimization.make_optimizer("lamb", 1e-3, bias_correction=False)
