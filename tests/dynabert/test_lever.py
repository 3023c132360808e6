"""A step over all sub-networks: which passes it has, what they learn, and what they reach."""

import collections
import types

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints.model_folder import LoadedModel
from bert_tf.classification.model import SequenceClassifier
from bert_tf.config import BertConfig
from bert_tf.distillation.lever import Distillation
from bert_tf.distillation.losses import DistillationLoss, hidden_losses
from bert_tf.distillation.options import Distilled
from bert_tf.dynabert.lever import DynaBert
from bert_tf.encoder import Subnetwork
from bert_tf.heads import softened_losses
from bert_tf.training.optimization import make_optimizer
from tests import tiny

CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=16,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=32,
    max_position_embeddings=16,
    type_vocab_size=2,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    extra={"dynabert": {"rewired": True}},
)
GRID = {"width_mult_list": "0.25,0.5,0.75,1.0", "depth_mult_list": "0.5,0.75,1.0"}
ORDER = [f"w{w:g}_d{d:g}" for d in (1.0, 0.75, 0.5) for w in (1.0, 0.75, 0.5, 0.25)]


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


def make_model(seed=0, regression=False):
    model = SequenceClassifier(CONFIG, 1 if regression else 2, regression)
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    return model


def batch(regression=False):
    rng = np.random.default_rng(0)
    mask = np.arange(7) < rng.integers(3, 8, [4, 1])
    found = {"input_word_ids": rng.integers(1, 30, [4, 7]), "input_mask": mask}
    found["input_type_ids"] = np.zeros([4, 7])
    inputs = {name: tf.constant(value, tf.int32) for name, value in found.items()}
    labels = rng.normal(size=4) if regression else rng.integers(0, 2, 4)
    return inputs, tf.constant(labels, tf.float32 if regression else tf.int32)


def lever_of(model, tmp_path, **flags):
    """A `DynaBert` of a rewired model, told of its run."""
    options = tiny.options(do_train=True, output_dir=tmp_path, **{**GRID, **flags})
    lever = DynaBert(options)
    lever.source(LoadedModel(CONFIG, {}, "model"))
    lever.begin(
        types.SimpleNamespace(
            options=options, model=model, chief=True, strategy=None, output_dir=tmp_path
        )
    )
    return lever


def gradients(model, levers=()):
    """({name: gradient as an array}, logs) of a step's passes."""
    model.compile(make_optimizer("adamw", 1e-3), levers=levers)
    logs, found = model.batch_gradients(batch(model.regression), model.trained_weights)
    pairs = zip(model.trained_weights, found, strict=True)
    arrays = {v.name: np.zeros(v.shape) if g is None else tf.convert_to_tensor(g).numpy()
              for v, g in pairs}  # fmt: skip
    return arrays, {name: float(x) for name, x in logs.items()}


def test_a_step_has_a_pass_for_each_subnetwork_the_largest_first(tmp_path):
    model = make_model()
    lever = lever_of(model, tmp_path, training_phase="dynabert")
    passes = lever.passes((model.task_pass(),))
    assert list(lever.views()) == ORDER
    expected = [
        Subnetwork.of(CONFIG, w, d).forward for d in (1, 0.75, 0.5) for w in (1, 0.75, 0.5, 0.25)
    ]
    assert [one.forward for one in passes] == expected
    assert {one.when for one in passes} == {None}


def test_the_gradients_of_all_subnetworks_are_added_up(tmp_path):
    model = make_model()
    lever = lever_of(model, tmp_path)
    found, logs = gradients(model, [lever])
    sums, total = collections.Counter(), 0.0
    for forward in lever.views().values():
        inputs, labels = batch()
        with tf.GradientTape() as tape:
            logits, _ = model.forward(inputs, **forward)
            loss = tf.reduce_mean(model.example_losses(labels, logits))
        total += float(loss)
        for v, g in zip(
            model.trained_weights, tape.gradient(loss, model.trained_weights), strict=True
        ):
            sums[v.name] = sums[v.name] + (0 if g is None else tf.convert_to_tensor(g).numpy())
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
    for name, expected in sums.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("width", "depth", "dropped"),
    [("0.5", "1.0", ()), ("1.0", "0.5", (1, 3)), ("0.5", "0.5", (1, 3))],
)
def test_gradients_reach_only_what_ran(tmp_path, width, depth, dropped):
    model = make_model()
    lever = lever_of(model, tmp_path, width_mult_list=width, depth_mult_list=depth)
    found, _ = gradients(model, [lever])
    for layer in range(4):
        scope = f"bert/encoder/layer_{layer}/"
        own = {name[len(scope) :]: g for name, g in found.items() if name.startswith(scope)}
        if layer in dropped:
            assert not any(g.any() for g in own.values())
            continue
        for part in ("attention/self/query", "intermediate/dense"):
            kernel, half = own[f"{part}/kernel:0"], own[f"{part}/kernel:0"].shape[1] // 2
            assert kernel[:, :half].any()
            assert kernel[:, half:].any() == (width == "1.0")
        for part in ("attention/output/dense", "output/dense"):
            kernel, half = own[f"{part}/kernel:0"], len(own[f"{part}/kernel:0"]) // 2
            assert kernel[:half].any()
            assert kernel[half:].any() == (width == "1.0")
            assert own[f"{part}/bias:0"].any()


@pytest.mark.parametrize(
    ("sampling", "always", "drawn"), [("sandwich", {0, 11}, 2), ("random:3", set(), 3)]
)
def test_sampled_subnetworks_stand_for_all(tmp_path, sampling, always, drawn):
    """As many as said in each step, each as often as the others, weighted so that sums stay."""
    model = make_model()
    lever = lever_of(model, tmp_path, subnetwork_sampling=sampling)
    passes = lever.passes((model.task_pass(),))
    counts = np.zeros(len(passes))
    for step in range(400):
        runs = [one.when is None or bool(one.when(tf.constant(step))) for one in passes]
        assert sum(runs) == len(always) + drawn
        counts += runs
    for index, one in enumerate(passes):
        assert (one.when is None) == (index in always)
        assert one.weight == (1.0 if index in always else (12 - len(always)) / drawn)
        assert counts[index] / 400 * one.weight == pytest.approx(1.0, abs=0.3)
    again = [bool(one.when(tf.constant(7))) for one in passes if one.when]
    assert again == [bool(one.when(tf.constant(7))) for one in passes if one.when]


@pytest.mark.parametrize("sampling", ["random:12", "random:40"])
def test_as_many_samples_as_subnetworks_are_all_of_them(tmp_path, sampling):
    model = make_model()
    lever = lever_of(model, tmp_path, subnetwork_sampling=sampling)
    passes = lever.passes((model.task_pass(),))
    assert {(one.when, one.weight) for one in passes} == {(None, 1.0)}


def test_a_step_of_a_sample_is_the_step_of_those_subnetworks(tmp_path):
    model = make_model()
    lever = lever_of(model, tmp_path, subnetwork_sampling="random:2")
    passes = lever.passes((model.task_pass(),))
    names = [
        n for n, one in zip(lever.views(), passes, strict=True) if bool(one.when(model.global_step))
    ]
    found, _ = gradients(model, [lever])
    expected = collections.Counter()
    for name in names:
        width, depth = name[1:].split("_d")
        alone, _ = gradients(
            model, [lever_of(model, tmp_path, width_mult_list=width, depth_mult_list=depth)]
        )
        for key, g in alone.items():
            expected[key] = expected[key] + 6 * g
    for key, g in expected.items():
        np.testing.assert_allclose(found[key], g, atol=1e-4, err_msg=key)


class _Teacher:
    config, softened_losses = CONFIG, staticmethod(softened_losses)


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        ([[1, 0]], [[2, 0]], 0.432465),
        ([[0, 0]], [[5, 0]], 0.693147),
        ([[1, 0], [0, 0]], [[2, 0], [5, 0]], 0.562806),
        ([[2, 0]], [[2, 0]], 0.365334),
    ],
)
def test_the_loss_on_logits(student, teacher, expected):
    loss = DistillationLoss(_Teacher, CONFIG, temperature=1.0, hidden_weight=0.0)
    student, teacher = (tf.constant(x, tf.float32) for x in (student, teacher))
    found = loss({}, (student, []), (teacher, []))
    assert float(tf.reduce_mean(found)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("errors", "expected"), [([0.0, *[0.1] * 12], 1.2), ([0.1] * 7, 0.7)])
def test_hidden_losses_are_added_up_over_the_layers(errors, expected):
    wanted = [tf.zeros([3, 5, 8]) for _ in errors]
    found = [tf.fill([3, 5, 8], error**0.5) for error in errors]
    losses = hidden_losses(wanted, found, tf.ones([3, 5]), relative=False)
    np.testing.assert_allclose(losses, [expected] * 3, rtol=1e-5)


def distillation(teacher, student, same_width=False, **values):
    """A begun `Distillation` of the student."""
    values = {"logits_weight": 1.0, "hidden_weight": 0.1, "hidden_loss": "tokens", **values}
    lever = Distillation(
        Distilled(
            folder="", flag="model_dir", temperature=1.0, label_weight=0.0, same_width=same_width,
            **values,
        )
    )  # fmt: skip
    lever.begin(types.SimpleNamespace(model=student, load_other=lambda *_: (teacher, "digest")))
    return lever


def test_a_teachers_width_that_a_step_may_leave_out_runs_only_where_it_is_drawn(tmp_path):
    student, teacher = make_model(1), make_model(2)
    flags = {"training_phase": "dynabert", "width_mult_list": "0.5,1.0", "depth_mult_list": "1.0"}
    lever = lever_of(student, tmp_path, subnetwork_sampling="random:1", **flags)
    widths, forward = [], teacher.forward
    teacher.forward = lambda *args, width=1.0, **kwargs: (
        widths.append(width) or forward(*args, width=width, **kwargs)
    )
    teaching = distillation(teacher, student, same_width=True)
    _, logs = gradients(student, [lever, teaching])
    assert len(widths) == 1
    drawn = "1.0" if widths[0][0] == CONFIG.units_of(0) else "0.5"
    assert widths == [Subnetwork.of(CONFIG, float(drawn)).units]
    alone = lever_of(student, tmp_path, **{**flags, "width_mult_list": drawn})
    teaching = distillation(teacher, student, same_width=True)
    _, expected = gradients(student, [alone, teaching])
    assert logs["distillation_loss"] == pytest.approx(2 * expected["distillation_loss"], rel=1e-5)


@pytest.mark.parametrize("kind", ["tokens", "original"])
@pytest.mark.parametrize("same_width", [False, True])
def test_each_layer_imitates_the_input_of_the_teachers_same_layer(tmp_path, kind, same_width):
    """Sections 2 and 3 of the paper's code: at depth 0.5, teacher states 0, 2 and 4."""
    student, teacher = make_model(1), make_model(2)
    flags = {"width_mult_list": "0.5", "depth_mult_list": "0.5", "training_phase": "dynabert"}
    lever = lever_of(student, tmp_path, hidden_loss=kind, **flags)
    teaching = distillation(teacher, student, same_width, hidden_loss=kind)
    _, logs = gradients(student, [lever, teaching])
    inputs, _ = batch()
    part = Subnetwork.of(CONFIG, 0.5, 0.5)
    width = ((2, 16),) * 4 if same_width else 1.0
    whole = {"first_token_only": False}
    wanted_logits, wanted = teacher.forward(inputs, width=width, **whole)
    logits, states = student.forward(inputs, **part.forward, **whole)
    mask = inputs["input_mask"].numpy().astype(float)
    expected = tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(wanted_logits), logits).numpy()
    for place, (target, state) in enumerate(zip((0, 2, 4), states, strict=True)):
        weights = np.ones_like(mask) if kind == "original" else mask * (
            (np.arange(7) == 0) if place == 2 else 1.0
        )  # fmt: skip
        errors = ((wanted[target] - state).numpy() ** 2).mean(-1) * weights
        expected += 0.1 * errors.sum(-1) / weights.sum(-1)
    assert logs["distillation_loss"] == pytest.approx(expected.mean(), rel=1e-4)


def test_labels_do_not_count_beside_the_teacher(tmp_path):
    student, teacher = make_model(1), make_model(2)
    lever = lever_of(student, tmp_path, training_phase="dynabert")
    found, _ = gradients(student, [lever, distillation(teacher, student)])
    other = SequenceClassifier.task_pass
    student.task_pass = lambda: type(other(student))(())
    without, _ = gradients(student, [lever, distillation(teacher, student)])
    for name, g in without.items():
        np.testing.assert_allclose(found[name], g, atol=1e-6)


def test_a_regression_learns_the_score(tmp_path):
    """The original sets this loss to 0: pooler and head of STS-B get no gradient there."""
    student, teacher = make_model(1, regression=True), make_model(2, regression=True)
    lever = lever_of(student, tmp_path, training_phase="dynabert")
    found, _ = gradients(student, [lever, distillation(teacher, student)])
    assert found["bert/pooler/dense/kernel:0"].any()
    assert found["output_weights:0"].any()
