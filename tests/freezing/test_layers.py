"""freeze(model, n): what stands still, what goes on, and what becomes of the optimizer."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from bert_tf.freezing import freeze
from bert_tf.freezing.layers import match_slots
from bert_tf.training.optimization import AdamW, make_optimizer
from tests import needs
from tests.freezing import small
from tests.freezing.small import LAYERS, is_frozen, make_dataset, make_model, values

OPTIMIZERS = {
    "adamw": lambda: make_optimizer("adamw", 1e-2),
    "lamb": lambda: make_optimizer("lamb", 1e-2),
    "keras adam": lambda: keras.optimizers.Adam(1e-2),
    "keras adam with averages": lambda: keras.optimizers.Adam(1e-2, use_ema=True),
    "momentum": lambda: keras.optimizers.SGD(10.0, momentum=0.9),
    "no slots": lambda: keras.optimizers.SGD(10.0),
    "loss scaling": lambda: keras.mixed_precision.LossScaleOptimizer(make_optimizer("adamw", 1e-2)),
    "loss scaling of lamb": lambda: keras.mixed_precision.LossScaleOptimizer(
        make_optimizer("lamb", 1e-2)
    ),
}


def fit(model, batches=1, seed=0, **kwargs):
    return model.fit(make_dataset(batches, seed=seed), verbose=0, **kwargs)


def slots(model):
    """{(variable, slot): array} of the optimizer."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    found = {}
    for value in variables_of(optimizer):
        path = value.name.removesuffix(":0")
        for variable in model.model_weights:
            name = variable.name.removesuffix(":0")
            before, after = path.removesuffix(f"/{name}"), path.rpartition("/")
            if before != path:
                found[variable.name, before.rpartition("/")[2]] = value.numpy()
            elif after[0].endswith(name):  # the older kind puts the slot last
                found[variable.name, after[2]] = value.numpy()
    return found


def variables_of(optimizer):
    variables = optimizer.variables
    return variables() if callable(variables) else variables


def count_variables(optimizer):
    return len(variables_of(optimizer))


@pytest.mark.parametrize("num_layers", [0, -1, 2, LAYERS])
def test_what_is_frozen_stands_still_and_the_rest_moves(num_layers):
    model = make_model(run_eagerly=True)
    freeze(model, num_layers)
    before = values(model)
    fit(model)
    for name, value in values(model).items():
        same = value.tobytes() == before[name].tobytes()
        if not name.endswith("/key/bias:0"):  # attention does not depend on it
            assert same == is_frozen(name, num_layers), name
    assert {name for name, _ in slots(model)} == {
        name for name in before if not is_frozen(name, num_layers)
    }


@pytest.mark.parametrize("num_layers", [-2, LAYERS + 1])
def test_layers_that_are_not_there(num_layers):
    model = make_model()
    with pytest.raises(ValueError, match=f"cannot freeze {num_layers} layers: expected -1 to 3"):
        freeze(model, num_layers)


def test_a_model_needs_exactly_one_encoder():
    with pytest.raises(ValueError, match="has 0 bert_tf encoders"):
        freeze(keras.Sequential([keras.layers.Dense(1)]), 1)


@pytest.mark.parametrize("name", needs.each_of(OPTIMIZERS))
def test_live_slots_stay_and_frozen_ones_go(name):
    model = make_model(OPTIMIZERS[name](), run_eagerly=True)
    fit(model)
    before, count = slots(model), count_variables(model.optimizer)
    freeze(model, 2)
    after = slots(model)
    expected = {key: value for key, value in before.items() if not is_frozen(key[0], 2)}
    assert after.keys() == expected.keys()
    for key, value in after.items():
        np.testing.assert_array_equal(value, expected[key])
    assert count - count_variables(model.optimizer) == len(before) - len(after)
    still = values(model)
    fit(model, seed=1)
    assert slots(model).keys() == expected.keys()
    for variable, value in values(model).items():
        same = value.tobytes() == still[variable].tobytes()
        assert same == is_frozen(variable, 2) or variable.endswith("/key/bias:0"), variable


@pytest.mark.parametrize("name", needs.each_of(["adamw", "lamb", "keras adam with averages"]))
def test_what_thaws_begins_with_fresh_slots(name):
    model = make_model(OPTIMIZERS[name](), run_eagerly=True)
    fit(model)
    every = slots(model).keys()
    freeze(model, 3)
    before = slots(model)
    freeze(model, 1)
    for key, value in slots(model).items():
        if key in before:
            np.testing.assert_array_equal(value, before[key])
        elif "average" not in key[1]:
            assert not value.any()
    still = values(model)
    freeze(model, 0)
    fit(model, seed=1)
    assert slots(model).keys() == every
    moved = [n for n, v in values(model).items() if v.tobytes() != still[n].tobytes()]
    assert {small.layer_of(n) for n in moved} == {-1, *range(LAYERS + 1)}


@pytest.mark.parametrize("name", needs.each_of(["adamw", "lamb"]))
def test_slots_that_are_kept_are_there_when_it_thaws(name):
    model = make_model(OPTIMIZERS[name](), run_eagerly=True)
    fit(model)
    before = slots(model)
    freeze(model, 2, keep_slots=True)
    freeze(model, 0, keep_slots=True)
    after = slots(model)
    assert after.keys() == before.keys()
    for key, value in after.items():
        np.testing.assert_array_equal(value, before[key])
    fit(model, seed=1)


def test_a_model_frozen_from_the_start_can_thaw_with_kept_slots():
    model = make_model(run_eagerly=True)
    freeze(model, 2)
    fit(model)
    freeze(model, 0, keep_slots=True)
    still = values(model)
    fit(model, seed=1)
    moved = [n for n, v in values(model).items() if v.tobytes() != still[n].tobytes()]
    assert {small.layer_of(n) for n in moved} == {-1, *range(LAYERS + 1)}


@pytest.mark.parametrize("name", ["adamw", "keras adam"])
def test_a_checkpoint_of_a_frozen_run_fits_a_model_frozen_at_once(name, tmp_path):
    model = make_model(OPTIMIZERS[name](), run_eagerly=True)
    fit(model)
    tf.train.Checkpoint(optimizer=model.optimizer).write(str(tmp_path / "before"))
    freeze(model, 3)
    freeze(model, 1)  # thawing puts slots between those that stayed
    fit(model)
    path = tf.train.Checkpoint(optimizer=model.optimizer).write(str(tmp_path / "state"))
    other = make_model(OPTIMIZERS[name](), run_eagerly=True)
    freeze(other, 1)
    other.optimizer.build(other.trained_weights)
    tf.train.Checkpoint(optimizer=other.optimizer).read(path).assert_consumed()
    expected = slots(model)
    assert slots(other).keys() == expected.keys()
    for key, value in slots(other).items():
        np.testing.assert_array_equal(value, expected[key], err_msg=str(key))


class TrainedLayers(keras.callbacks.Callback):
    """Notes which layers have trainable variables while `fit` runs."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def on_train_batch_end(self, batch, logs=None):
        self.seen |= {small.layer_of(v.name) for v in self.model.trainable_variables}


def test_a_second_fit_does_not_thaw():
    """Keras sets `trainable` back to what it was at compile, unless it is told otherwise."""
    model = make_model(run_eagerly=True, accumulation_steps=2)
    fit(model)
    freeze(model, 2)
    before, trained = values(model), TrainedLayers()
    fit(model, seed=1, callbacks=[trained])
    fit(model, seed=2, callbacks=[trained])
    assert trained.seen == {2, LAYERS}
    changed = {n for n, v in values(model).items() if v.tobytes() != before[n].tobytes()}
    assert {small.layer_of(n) for n in changed} == {2, LAYERS}


@needs.tf_models
def test_a_plain_keras_model_stays_frozen_too():
    from official.nlp.modeling import models

    model = models.BertClassifier(small.make_encoder(), num_classes=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, run_eagerly=True)
    fit(model)
    freeze(model, 2)
    before, trained = {v.name: v.numpy() for v in model.weights}, TrainedLayers()
    fit(model, seed=1, callbacks=[trained])
    fit(model, seed=2, callbacks=[trained])
    assert trained.seen == {2, LAYERS}
    changed = {v.name for v in model.weights if v.numpy().tobytes() != before[v.name].tobytes()}
    assert {small.layer_of(n) for n in changed} == {2, LAYERS}


class FreezeAt(keras.callbacks.Callback):
    def __init__(self, layers_at):
        super().__init__()
        self.layers_at = layers_at

    def on_train_batch_end(self, batch, logs=None):
        if batch in self.layers_at:
            freeze(self.model, self.layers_at[batch])


def test_a_freeze_costs_one_trace_and_gives_memory_back(tmp_path):
    model = make_model(config=small.CONFIG.replace(num_hidden_layers=2))
    traces, train_step = [], model.train_step
    model.train_step = lambda data: traces.append(1) or train_step(data)
    fit(model)
    tf.train.Checkpoint(optimizer=model.optimizer).write(str(tmp_path / "state"))
    first = len(traces)
    slots = [weakref.ref(v) for v in variables_of(model.optimizer) if "m/bert/" in v.name]
    fit(model, 5, callbacks=[FreezeAt({0: 1, 2: 2})])
    assert len(traces) == first + 2
    gc.collect()
    left = [slot() for slot in slots if slot() is not None]
    assert {small.layer_of(slot.name.removeprefix("m/")) for slot in left} == {LAYERS}


@pytest.mark.parametrize("name", needs.each_of(["adamw", "lamb", "keras adam"]))
def test_vector_15_no_jump_at_a_freeze(name):
    """With the same gradients, the live weights go exactly where they would go without a freeze."""
    frozen, free = (
        make_model(OPTIMIZERS[name](), clip_norm=None, run_eagerly=True) for _ in range(2)
    )
    for model in (frozen, free):
        fit(model, 2)
    freeze(frozen, 2)
    losses = [fit(m, 1, seed=1).history["loss"] for m in (frozen, free)]
    assert losses[0] == losses[1]
    expected = values(free)
    for variable, value in values(frozen).items():
        if not is_frozen(variable, 2):
            np.testing.assert_array_equal(value, expected[variable], err_msg=variable)


def test_vector_15_moments_without_bias_correction():
    """Update / rate under a constant gradient: after a reset, and across a freeze."""
    optimizer = AdamW(1e-3, weight_decay=0, epsilon=0, bias_correction=False)
    live, other = tf.Variable([0.0], name="live"), tf.Variable([0.0], name="other")
    rates = []

    def step(variables):
        before = live.numpy()[0]
        optimizer.apply_gradients([(tf.constant([1.0]), v) for v in variables])
        live.assign([live.numpy()[0] - before])
        rates.append(-live.numpy()[0] / 1e-3)
        live.assign([0.0])

    for _ in range(100):
        step([other, live])
    match_slots(optimizer, [live])
    step([live])
    np.testing.assert_allclose([rates[0], rates[11], rates[99]], [3.162, 6.569, 3.241], atol=2e-3)
    assert rates[100] == pytest.approx(rates[99], abs=0.02)
    assert rates[100] < rates[99]
