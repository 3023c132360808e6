"""Each private name of another library: what is relied on, and what would go wrong without it."""

import functools
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow.python.eager import context
from tf_keras.src.engine import training

import bert_tf
import flop
from bert_tf import keras_internals
from bert_tf.training import distribution
from bert_tf.training.optimization import AdamW
from bert_tf.training.run_options import RunOptions
from tests import needs


def make_model():
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(2), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    return model


def fit(model, **kwargs):
    model.fit(np.ones([2, 2], "f"), np.ones([2, 1], "f"), verbose=0, **kwargs)


def variables(*names):
    return [tf.Variable([1.0, 2.0], name=name) for name in names]


def update(optimizer, weights, gradient=(1.0, 1.0)):
    optimizer.apply_gradients([(tf.constant(gradient), w) for w in weights])


def slot_names(optimizer):
    found = optimizer.variables
    return [v.name.removesuffix(":0") for v in (found() if callable(found) else found)]


def norm_of_accumulated():
    """Sums of 216 MB, as gradient accumulation makes them, and the sum of their norms."""
    with tf.device("CPU:0"):
        _, sums = tf.while_loop(
            lambda index, _: index < 1,
            lambda index, sums: (index + 1, [x + 1.0 for x in sums]),
            (tf.constant(0), [tf.zeros([18 * 2**20])] * 3),
        )
        return tf.add_n([tf.nn.l2_loss(x) for x in sums])


def begin_run():
    distribution.start(RunOptions())


@pytest.mark.parametrize("prepare", [keras_internals.add_in_order, begin_run, None])
def test_add_in_order(monkeypatch, prepare):
    """`_config`, `function_call_options`: a run with accumulation would not be the same twice."""
    own = context.context()
    monkeypatch.setattr(own, "_config", None)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    own.function_call_options = None
    if prepare:
        prepare()
    context.enable_graph_collection()
    tf.function(norm_of_accumulated)()
    graphs = own.export_run_metadata().function_graphs
    context.disable_graph_collection()
    own.function_call_options = None
    ops = {node.op for graph in graphs for node in graph.post_optimization_graph.node}
    assert ("AddN" in ops, "TemporaryVariable" in ops) == (bool(prepare), not prepare)


def test_layers_of():
    """`_flatten_layers` goes into layers, lists and dicts: an encoder there would not be found."""

    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.parts = [{"inner": keras.layers.Dense(1, name="inner")}]

    model = keras.Sequential([Outer()])
    found = keras_internals.layers_of(model)
    assert found[0] is model
    assert [layer.name for layer in found if isinstance(layer, keras.layers.Dense)] == ["inner"]


@pytest.mark.parametrize("kept", [True, False])
def test_keep_trainable(kept):
    """`_compiled_trainable_state`, `_get_trainable_state`: `fit` would train what is frozen."""
    model = make_model()
    model.layers[0].trainable = False
    if kept:
        keras_internals.keep_trainable(model)
    before = model.layers[0].get_weights()[0]
    fit(model)
    assert np.array_equal(before, model.layers[0].get_weights()[0]) == kept


@pytest.mark.parametrize("taken", [True, False])
def test_take_tensors(taken):
    """`_supports_tf_logs`: Keras would wait for the device after every step."""

    class Kinds(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.is_tensor = tf.is_tensor(logs["loss"])

    callback = Kinds()
    if taken:
        keras_internals.take_tensors(callback)
    fit(make_model(), callbacks=[callback])
    assert callback.is_tensor == taken


def test_report_first_replica(monkeypatch):
    """`distribute_reduction_method`: on two replicas all logs would be twice as large."""
    reduce, seen = training.reduce_per_replica, []

    def noted(values, strategy, reduction):
        seen.append(reduction)
        return reduce(values, strategy, reduction)

    monkeypatch.setattr(training, "reduce_per_replica", noted)
    model = make_model()
    keras_internals.report_first_replica(model)
    fit(model)
    assert seen == ["first"]


def test_hooks_that_are_overridden():
    """`_apply_weight_decay`, `_deduplicate_sparse_grad`: each is called, and once, by an update.

    Under another name weights would decay twice, and repeated rows cost a second pass.
    """
    calls = []

    class Noted(keras.optimizers.SGD):
        def _apply_weight_decay(self, variables):
            calls.append("decay")

        def _deduplicate_sparse_grad(self, grads):
            calls.append("rows")
            return grads

    update(Noted(), variables("a", "b"))
    assert sorted(calls) == ["decay", "rows"]


def test_weight_decay_happens_once():
    """`_apply_weight_decay`, `_use_weight_decay`: by `exclude_from_weight_decay`, in one pass."""
    weights = variables("kernel", "bias")
    update(AdamW(0.1, weight_decay=0.5), weights, gradient=(0.0, 0.0))
    np.testing.assert_allclose(weights[0], [0.95, 1.9])
    np.testing.assert_allclose(weights[1], [1.0, 2.0])


def test_learning_rates():
    """`_build_learning_rate`, `_learning_rate`: the rate could not be set, or would not move."""
    (weight,) = variables("w")
    constant, schedule = AdamW(0.5), AdamW(keras.optimizers.schedules.PolynomialDecay(0.5, 10))
    constant.learning_rate = 0.25
    for _ in range(3):
        update(constant, [weight])
        update(schedule, [weight])
    assert float(constant.learning_rate) == 0.25
    assert float(schedule.learning_rate) == pytest.approx(0.4, abs=1e-3)  # of the third update


def test_configuration():
    """`_serialize_hyperparameter`, `_exclude_from_weight_decay_names`: a saved one would differ."""
    rate = keras.optimizers.schedules.PolynomialDecay(0.5, 10)
    config = AdamW(rate, exclude_from_weight_decay=["gain"], name="mine").get_config()
    assert config["learning_rate"]["config"]["initial_learning_rate"] == 0.5
    assert config["exclude_from_weight_decay"] == ["gain"]
    assert AdamW.from_config(dict(config)).get_config() == config
    assert AdamW(0.5).get_config()["learning_rate"] == 0.5


def test_slots_are_built_once():
    """`_built`: an update would begin with new slots. Keras looks at it, too."""
    optimizer, weights = AdamW(0.5), variables("a", "b")
    assert not keras_internals.has_slots(optimizer)
    optimizer.build(weights)
    assert keras_internals.has_slots(optimizer)
    m, _ = optimizer.slots_of(weights[1])
    update(optimizer, weights)
    assert optimizer.slots_of(weights[1])[0] is m
    assert m.numpy().any()
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["b"])


def test_slots_are_those_of_the_variable():
    """`_index_dict`, `_var_key`: a variable would be updated by the moments of another one."""
    optimizer, weights = AdamW(0.5), variables("a", "b", "c")
    optimizer.build(weights)
    for weight in weights:
        names = [slot.name.removesuffix(":0") for slot in optimizer.slots_of(weight)]
        assert names == [f"{slot}/{weight.name.removesuffix(':0')}" for slot in "mv"]


@pytest.mark.parametrize("make", [AdamW, keras.optimizers.Adam])
def test_kept_slots_are_all_that_a_checkpoint_has(make, tmp_path):
    """`_variables`, `_coalesced_children`: a checkpoint would still hold what was dropped."""
    optimizer, weights = make(0.5), variables("a", "b", "c")
    optimizer.build(weights)
    update(optimizer, weights)
    checkpoint = tf.train.Checkpoint(optimizer=optimizer)
    checkpoint.write(str(tmp_path / "before"))
    keep = getattr(
        optimizer, "keep_slots", functools.partial(keras_internals.keep_slots, optimizer)
    )
    keep(weights[1:])
    assert sorted(slot_names(optimizer)) == ["iteration", "m/b", "m/c", "v/b", "v/c"]
    keep(weights)
    assert sorted(slot_names(optimizer))[1:4] == ["m/a", "m/b", "m/c"]
    by_name = {v.name: v.numpy() for v in optimizer.variables}
    assert not by_name["m/a:0"].any() and by_name["m/b:0"].all()
    keep(weights[:1])
    checkpoint.write(str(tmp_path / "after"))
    shapes = [shape for _, shape in tf.train.list_variables(str(tmp_path / "after"))]
    assert shapes.count([2]) == 2


def test_legacy_slots():
    """`_create_all_weights`, `_slots`, `_weights`, `_var_key`: of an optimizer such as LAMB."""
    optimizer, weights = keras.optimizers.legacy.Adam(0.5), variables("a", "b")
    keras_internals.create_legacy_slots(optimizer, weights)
    assert slot_names(optimizer) == ["iter", "a/m", "b/m", "a/v", "b/v"]
    keras_internals.drop_legacy_slots(optimizer, weights[1:])
    assert slot_names(optimizer) == ["iter", "b/m", "b/v"]
    with pytest.raises(KeyError):
        optimizer.get_slot(weights[0], "m")


@needs.tf_models
def test_parts_of_official_models():
    """The attributes of its layers: a kernel would be written where another one belongs."""
    from official.nlp.modeling import networks

    encoder = networks.BertEncoderV2(
        vocab_size=11, hidden_size=8, num_layers=1, num_attention_heads=2,
        max_sequence_length=6, type_vocab_size=3, inner_dim=12, embedding_width=4,
    )  # fmt: skip
    encoder(encoder.inputs)
    parts = keras_internals.parts_of_official_layer(encoder.transformer_layers[0])
    assert {scope: part.name for scope, part in parts.items()} == {
        "attention/self/query": "query",
        "attention/self/key": "key",
        "attention/self/value": "value",
        "attention/output/dense": "attention_output",
        "attention/output/LayerNorm": "self_attention_layer_norm",
        "intermediate/dense": "intermediate",
        "output/dense": "output",
        "output/LayerNorm": "output_layer_norm",
    }
    tables, norm, projection = keras_internals.embeddings_of_official_encoder(encoder)
    assert {name: tuple(table.shape) for name, table in tables.items()} == {
        "word_embeddings": (11, 4),
        "token_type_embeddings": (3, 4),
        "position_embeddings": (6, 4),
    }
    assert norm.name == "embeddings/layer_norm"
    assert tuple(projection.kernel.shape) == (4, 8)


def subclasses(of):
    return {found for sub in of.__subclasses__() for found in (sub, *subclasses(sub))}


def test_no_other_class_relies_on_a_private_name_of_its_keras_base_or_takes_its_place():
    """The linter refuses `layer._name`; it cannot know whose `self._name` is."""
    for package in (bert_tf, flop):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if needs.HAS_TF_MODELS or "tf_models" not in module.name:
                importlib.import_module(module.name)
    bases = {
        keras.layers.Layer: keras.layers.Layer(),
        keras.Model: keras.Model(),
        keras.callbacks.Callback: keras.callbacks.Callback(),
        keras.optimizers.Optimizer: keras.optimizers.SGD(),
    }
    checked = 0
    for base, instance in bases.items():
        private = {name for name in dir(instance) if name.startswith("_") and name[1] != "_"}
        for cls in subclasses(base) - {keras_internals.SlotOptimizer}:
            if cls.__module__.startswith(("bert_tf.", "flop.")):
                functions = [f for f in vars(cls).values() if inspect.isfunction(f)]
                used = {name for f in functions for name in (f.__name__, *f.__code__.co_names)}
                assert not used & private, cls
                checked += 1
    assert checked > 20
