"""AutoFreeze in a user's own `fit`, against the same training done by hand."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from bert_tf.freezing import AutoFreeze, rule
from bert_tf.freezing.layers import find_encoder
from bert_tf.freezing.monitor import GradientMonitor
from bert_tf.step_callback import StepCallback
from bert_tf.training.optimization import make_optimizer
from bert_tf.training.summaries import Summaries
from tests import needs, tiny
from tests.freezing import small
from tests.freezing.small import LAYERS, make_dataset, make_model

BATCHES = 8
INTERVALS = 4  # of 2 updates
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_official(optimizer):
    from official.nlp.modeling import models

    model = models.BertClassifier(small.make_encoder(), num_classes=2, dropout_rate=0.0)
    small.randomize(model)
    model.compile(optimizer, LOSS, run_eagerly=True)
    return model


def make_functional(optimizer):
    encoder = small.make_encoder()
    outputs = encoder(encoder.inputs)
    logits = keras.layers.Dense(2)(outputs["pooled_output"])
    model = keras.Model(encoder.inputs, logits)
    small.randomize(model)
    model.compile(optimizer, LOSS, run_eagerly=True)
    return model


def make_ours(optimizer):
    return make_model(optimizer, clip_norm=None, run_eagerly=True)


def train_by_hand(model, metric, percentile):
    """Updates, norms, etas and decisions in plain NumPy; returns [(norms, frozen layers)]."""
    encoder, reference, frozen, history = find_encoder(model), None, 0, []
    sums = [0.0] * LAYERS
    for step, (inputs, labels) in enumerate(make_dataset(BATCHES), 1):
        with tf.GradientTape() as tape:
            loss = LOSS(labels, model(inputs, training=True))
        variables = model.trainable_variables
        pairs = list(zip(tape.gradient(loss, variables), variables, strict=True))
        for i, layer in enumerate(encoder.encoder_layers):
            names = {v.name for v in layer.trainable_variables}
            found = np.concatenate([g.numpy().ravel() for g, v in pairs if v.name in names] or [[]])
            sums[i] = sums[i] + (found if metric == "signed_sum" else np.abs(found).sum())
        model.optimizer.apply_gradients(pairs)
        if step % (BATCHES // INTERVALS) or step == BATCHES:
            continue
        norms, sums = [float(np.abs(s).sum()) for s in sums], [0.0] * LAYERS
        if reference:
            etas = [abs(a - b) / a for a, b in zip(reference, norms, strict=True) if b > 0]
            threshold = np.percentile(etas, percentile)
            frozen += int(np.argmax(np.array(etas) >= threshold))
            encoder.freeze(frozen)
        reference = norms
        history.append((norms, frozen))
    return history


@pytest.mark.parametrize(
    ("make", "optimizer", "metric"),
    [
        (make_ours, lambda: make_optimizer("adamw", 1e-3), "signed_sum"),
        (make_ours, lambda: make_optimizer("adamw", 1e-3), "norm_sum"),
        pytest.param(
            make_official, lambda: keras.optimizers.Adam(1e-3), "norm_sum", marks=needs.tf_models
        ),
        (make_functional, lambda: keras.optimizers.legacy.Adam(1e-3), "signed_sum"),
    ],
    ids=["ours", "ours, norms", "official", "functional"],
)
def test_decisions_are_those_of_the_gradients(make, optimizer, metric):
    callback = AutoFreeze(num_intervals=INTERVALS, percentile=90, metric=metric)
    model = make(optimizer())
    model.fit(make_dataset(BATCHES), verbose=0, callbacks=[callback])
    expected = train_by_hand(make(optimizer()), metric, percentile=90)
    assert [d["step"] for d in callback.decisions] == [2, 4, 6]
    assert [d["frozen"] for d in callback.decisions] == [frozen for _, frozen in expected]
    assert callback.frozen == expected[-1][1]
    assert callback.frozen or metric == "norm_sum", "a test of nothing"
    for decision, (norms, _) in zip(callback.decisions, expected, strict=True):
        np.testing.assert_allclose(decision["norms"], norms, rtol=1e-3)
    assert (find_encoder(model).gradient_start or 0) == callback.frozen


def decisions(batches=BATCHES, optimizer=None, config=small.CONFIG, **compile_arguments):
    model = make_model(
        optimizer or make_optimizer("adamw", 1e-3),
        config,
        small.make_encoder(config),
        **compile_arguments,
    )
    callback = AutoFreeze(num_intervals=batches // 2, percentile=90)
    model.fit(make_dataset(batches), verbose=0, callbacks=[callback])
    return callback.decisions


@pytest.fixture(scope="module")
def plain():
    return decisions(run_eagerly=True)


def assert_same_decisions(found, expected, rtol):
    assert [d["step"] for d in found] == [d["step"] for d in expected]
    assert [d["frozen"] for d in found] == [d["frozen"] for d in expected]
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine["norms"], theirs["norms"], rtol=rtol)


def test_gradients_of_micro_batches_count_once(plain):
    assert_same_decisions(decisions(run_eagerly=True, accumulation_steps=2), plain, rtol=1e-3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"steps_per_execution": 2},
        pytest.param({"jit_compile": True, "steps_per_execution": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_compiled_training_decides_the_same(arguments):
    config = small.CONFIG.replace(num_hidden_layers=2)
    expected = decisions(batches=6, config=config, run_eagerly=True)
    assert expected[-1]["frozen"] == 1, "a test of nothing"
    assert_same_decisions(decisions(batches=6, config=config, **arguments), expected, rtol=1e-3)


@pytest.fixture
def policy(request):
    keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"], indirect=True)
def test_half_precision_measures_the_same(plain, policy):
    optimizer = make_optimizer("adamw", 1e-3)
    if policy == "mixed_float16":  # the first updates overflow, and are skipped
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=2.0**18)
    found = decisions(optimizer=optimizer, run_eagerly=True)
    for decision in found:
        assert None not in decision["norms"], "not finite"
    assert all(n > 0 for n in found[-1]["norms"][found[-2]["frozen"] :])
    if policy == "mixed_bfloat16":
        np.testing.assert_allclose(found[0]["norms"], plain[0]["norms"], rtol=0.1)


def test_factorised_kernels_are_measured_too():
    ranks = {
        f"bert/encoder/layer_{i}/{place}_p/kernel": 4
        for i in range(LAYERS)
        for place in ("attention/self/query", "intermediate/dense")
    }
    model = make_model(encoder=small.make_encoder(ranks=ranks), run_eagerly=True)
    callback = AutoFreeze(policy=rule.Schedule({1: 1, 3: 2}))
    callback.policy.needs_gradients = True
    model.fit(make_dataset(4), verbose=0, callbacks=[callback])
    assert [d["frozen"] for d in callback.decisions] == [1, 2]
    assert [n > 0 for n in callback.decisions[1]["norms"]] == [False, True, True]
    assert sorted(tuple(s.shape) for s in callback.trackable().layer_2.sums) == sorted(
        tuple(v.shape) for v in find_encoder(model).encoder_layers[2].trainable_variables
    )


class Recorder(rule.RandomChange):
    """Notes when it is asked, and freezes one more layer each time from the second on."""

    def __init__(self, layers=LAYERS):
        super().__init__(layers)

    def decide(self, step, reference, norms, frozen):
        return rule.Decision(frozen if reference is None else min(frozen + 1, self.layers - 1))


def run_batches(callback, *, epochs, batches, model=None):
    """Calls the callback as `fit` does, without any training; returns the steps of its tests."""
    callback.set_model(model or make_model())
    callback.set_params({"epochs": epochs, "steps": batches})
    callback.on_train_begin()
    for epoch in range(epochs):
        callback.on_epoch_begin(epoch)
        for batch in range(batches):
            callback.on_train_batch_end(batch)
        callback.on_epoch_end(epoch)
    return [d["step"] for d in callback.decisions]


def test_vector_10_tests_of_25000_examples_in_batches_of_6():
    callback = AutoFreeze(num_intervals=20, policy=Recorder())
    steps = run_batches(callback, epochs=4, batches=4167)
    assert steps == list(range(833, 16661, 833))
    assert [d["frozen"] for d in callback.decisions[:3]] == [0, 1, 2], "from step 1666 on"


def test_an_interval_has_at_least_one_update_and_nothing_is_tested_at_the_end():
    assert run_batches(AutoFreeze(20, policy=Recorder()), epochs=1, batches=5) == [1, 2, 3, 4]
    assert run_batches(AutoFreeze(5, policy=Recorder()), epochs=2, batches=5) == [2, 4, 6, 8]


def test_several_updates_at_once_are_tested_at_their_end():
    callback = AutoFreeze(num_intervals=4, policy=Recorder(), total_steps=12)
    callback.set_model(make_model())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for batch in (3, 7, 11):  # steps_per_execution=4
        callback.on_train_batch_end(batch)
    assert [d["step"] for d in callback.decisions] == [4, 8]


def test_another_fit_is_another_training():
    model = make_model()
    model.global_step.assign(100)
    assert run_batches(AutoFreeze(4, policy=Recorder()), epochs=1, batches=8, model=model) == [
        102, 104, 106,
    ]  # fmt: skip
    whole = AutoFreeze(4, policy=Recorder(), total_steps=108)
    assert run_batches(whole, epochs=1, batches=8, model=model) == []  # 27, 54, 81 are over


def test_what_happens_during_the_warm_up_does_not_count(plain):
    model = make_model(make_optimizer("adamw", 1e-3), run_eagerly=True)
    callback = AutoFreeze(num_intervals=INTERVALS, percentile=0, warmup_steps=2)
    model.fit(make_dataset(BATCHES), verbose=0, callbacks=[callback])
    assert [d["step"] for d in callback.decisions] == [4, 6]
    assert callback.decisions[0]["etas"] is None
    # As without a warm-up, one interval later.
    np.testing.assert_allclose(callback.decisions[0]["norms"], plain[1]["norms"], rtol=1e-3)


def test_the_length_must_be_known():
    model = make_model(run_eagerly=True)
    dataset = make_dataset(2).repeat(2).filter(lambda *_: True)
    with pytest.raises(ValueError, match="give total_steps, or steps_per_epoch to fit"):
        model.fit(dataset, verbose=0, callbacks=[AutoFreeze()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_intervals": 0}, "num_intervals=0: expected 1 or more"),
        ({"percentile": 101}, "percentile=101: expected 0 to 100"),
        ({"guard": "panic"}, "guard='panic': expected one of off, stop, unfreeze"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        AutoFreeze(**arguments)


def test_no_more_layers_than_allowed():
    model = make_model(run_eagerly=True)
    callback = AutoFreeze(num_intervals=INTERVALS, percentile=100, max_frozen_layers=1)
    model.fit(make_dataset(BATCHES), verbose=0, callbacks=[callback])
    assert callback.frozen <= 1


class DevMetric(StepCallback):
    """Puts a metric of our choice in the logs of each epoch, as validation would."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_accuracy"] = self.values[epoch]


@pytest.mark.parametrize(
    ("guard", "frozen", "end"), [("off", 2, 2), ("stop", 1, 1), ("unfreeze", 0, None)]
)
def test_the_guard_acts_when_the_metric_falls_by_more_than_the_margin(guard, frozen, end, tmp_path):
    model = make_model(run_eagerly=True)
    callback = AutoFreeze(
        policy=rule.Schedule({2: 1, 5: 2}),
        guard=guard,
        guard_margin=0.02,
        log_path=tmp_path / "freezing.jsonl",
    )
    dev = DevMetric([0.9, 0.87, 0.95])
    callbacks = [dev, callback]
    model.fit(make_dataset(2), epochs=3, verbose=0, callbacks=callbacks)
    assert callback.frozen == frozen
    assert find_encoder(model).gradient_start == end
    lines = [json.loads(line) for line in (tmp_path / "freezing.jsonl").open()]
    events = [line for line in lines if "guard" in line]
    expected = {"step": 4, "guard": guard, "dev": 0.87, "frozen": frozen}
    assert events == ([] if guard == "off" else [expected])
    if guard == "unfreeze":
        assert len(model.optimizer.variables) == 1 + 2 * len(model.trainable_variables)


@pytest.mark.parametrize("values", [[0.9, 0.885, 0.9], [0.5, 0.9, 0.9]])
def test_the_guard_leaves_small_falls_and_rises_alone(values):
    callback = AutoFreeze(guard="unfreeze", guard_margin=0.02, policy=rule.Schedule({1: 1}))
    callback.set_model(make_model())
    callback.frozen = 1
    for step, value in enumerate(values):
        callback.on_evaluation(step, value)
    assert not callback.stopped


def test_decisions_are_written_down(tmp_path):
    model = make_model(run_eagerly=True)
    summaries = Summaries(tmp_path)
    callback = AutoFreeze(
        num_intervals=INTERVALS,
        percentile=90,
        log_path=tmp_path / "freezing.jsonl",
        summaries=summaries,
    )
    model.fit(make_dataset(BATCHES), verbose=0, callbacks=[callback])
    summaries.flush()
    lines = [json.loads(line) for line in (tmp_path / "freezing.jsonl").open()]
    assert lines == callback.decisions
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert lines[0]["etas"] is None and lines[0]["threshold"] is None
    scalars, _ = tiny.read_events(tmp_path)
    assert scalars["freezing/frozen_layers"] == [(x["step"], x["frozen"]) for x in lines]
    assert scalars["freezing/threshold"] == [
        (x["step"], pytest.approx(x["threshold"])) for x in lines[1:]
    ]
    for i in range(LAYERS):
        assert scalars[f"freezing/eta/layer_{i}"] == [
            (x["step"], pytest.approx(x["etas"][i])) for x in lines[1:]
        ]


def test_norms_that_are_no_numbers_are_written_as_null(tmp_path, monkeypatch):
    callback = AutoFreeze(num_intervals=3, log_path=tmp_path / "log", total_steps=9)
    callback.set_model(make_model())
    norms = [1.0, float("nan"), float("inf")]
    monkeypatch.setattr(GradientMonitor, "take", lambda self: norms)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for batch in range(7):
        callback.on_train_batch_end(batch)
    lines = [json.loads(x, parse_constant=pytest.fail) for x in (tmp_path / "log").open()]
    assert lines[1]["norms"] == [1.0, None, None]
    assert lines[1]["frozen"] == 0


@needs.tf_models
def test_the_optimizer_is_watched_by_the_latest_callback_only():
    model = make_official(keras.optimizers.SGD(1e-3))
    original = type(model.optimizer).apply_gradients
    for _ in range(3):
        callback = AutoFreeze(num_intervals=2)
        model.fit(make_dataset(3), verbose=0, callbacks=[callback])
    assert model.optimizer.apply_gradients.__wrapped__.__func__ is original
    assert callback.decisions[0]["norms"][0] > 0
    model.compile(keras.optimizers.SGD(1e-3), LOSS, run_eagerly=True)
    model.fit(make_dataset(3), verbose=0, callbacks=[callback])
    assert callback.decisions[-1]["norms"][-1] > 0, "the new optimizer is watched"


def test_variables_do_not_add_up():
    """Neither the optimizer's nor the monitor's grow with the number of freezes."""
    model = make_model(run_eagerly=True)
    callback = AutoFreeze(num_intervals=5, policy=Recorder())
    callback.policy.needs_gradients = True
    counts = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            root = callback.trackable()  # the view does not keep it alive
            parts = tf.train.TrackableView(root).descendants()
            sums = sum(isinstance(x, tf.Variable) for x in parts)
            counts.append((len(model.optimizer.variables), sums, len(model.variables)))

    model.fit(make_dataset(5), verbose=0, callbacks=[callback, Count()])
    assert [d["frozen"] for d in callback.decisions] == [0, 1, 2, 2]
    optimizer, sums, every = zip(*counts, strict=True)
    per_layer = len(model.encoder.encoder_layers[0].weights)
    embeddings = len(model.encoder.embeddings.weights)
    slots = [-2 * (per_layer + embeddings), -2 * per_layer, 0, 0]
    assert np.diff(optimizer).tolist() == slots
    assert np.diff(sums).tolist() == [-per_layer, -per_layer, 0, 0]
    assert len(set(every)) == 1
