"""run_classifier on factorised models: masks, frozen weights, resume, scores, teacher, errors."""

import json
import re

import numpy as np
import pytest

from bert_tf.checkpoints import mask_scores as scores
from bert_tf.checkpoints import names
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.pruning import factorization
from tests import tiny

FLAGS = {
    "do_train": True,
    "do_eval": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 4.0,
    "learning_rate": 1e-3,
    "eval_batch_size": 32,
    "save_checkpoints_steps": 5,
    "log_steps": 5,
}
MASKS = {
    "target_sparsity": 0.5,
    "alpha_learning_rate": 100.0,
    "lambda_learning_rate": 400.0,
    "learning_rate_warmup": 5,
    "target_sparsity_warmup": 8,
}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly(), tiny.without_pictures():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A dense fine-tuned model, its factorisation with scores, and their data."""
    root = tmp_path_factory.mktemp("masks")
    data = tiny.make_sst2(root / "sst2")
    start = tiny.make_model(root / "start", num_hidden_layers=1)
    tiny.run(**FLAGS, model_dir=start, data_dir=data, output_dir=root / "dense")
    dense = load_model(root / "dense")
    config, arrays, report = factorization.factorize(dense.config, dense.arrays)
    save_model_folder(root / "factorized", config, arrays, dense.vocab_file, dense.task)
    scores.write_scores(root / "factorized", report.scores)
    return {"data": data, "dense": root / "dense", "factorized": root / "factorized", "root": root}


def train(folders, name, start="factorized", **flags):
    """Runs FLAGS with `flags` from a model; returns the output folder."""
    output = folders["root"] / name
    values = {**FLAGS, "model_dir": folders[start], **flags}
    tiny.run(**values, data_dir=folders["data"], output_dir=output)
    return output


@pytest.fixture(scope="module")
def frozen(folders):
    return train(folders, "frozen", learning_rate=0.0, **MASKS)


@pytest.fixture(scope="module")
def together(folders):
    return train(folders, "together", **MASKS)


def test_frozen_weights_stay_and_masks_move(folders, frozen):
    found, start = tiny.arrays_of(frozen), tiny.arrays_of(folders["factorized"])
    masks = {name: value for name, value in found.items() if names.is_gate(name)}
    assert len(masks) == 6
    assert all(np.abs(value - 5).max() > 0.1 for value in masks.values())
    tiny.assert_same_bits({k: v for k, v in found.items() if not names.is_gate(k)}, start)


def test_expected_sparsity_follows_the_target(folders):
    flags = {**MASKS, "alpha_learning_rate": 10.0, "lambda_learning_rate": 10.0}
    flags |= {"num_train_epochs": 12.0, "target_sparsity_warmup": 40, "save_checkpoints_steps": 60}
    events, _ = tiny.read_events(train(folders, "tracking", learning_rate=0.0, **flags))
    last = {tag: values[-1][1] for tag, values in events.items()}
    assert last["target_sparsity"] == 0.5
    assert abs(last["expected_sparsity"] - 0.5) < 0.15
    # Against the dense kernels, a thin factorisation starts below zero.
    assert events["expected_sparsity"][0][1] < -0.3


def test_the_masked_model_is_evaluated_as_it_was_trained(folders, together):
    results = json.loads((together / "results.json").read_text())
    again = folders["root"] / "together-eval"
    tiny.run(
        do_eval=True, model_dir=together, data_dir=folders["data"], output_dir=again,
        eval_batch_size=32,
    )  # fmt: skip
    assert json.loads((again / "results.json").read_text())["metrics"] == results["metrics"]


def test_a_resumed_run_of_masks_alone_ends_as_an_unbroken_one(folders, frozen, tmp_path):
    flags = {**FLAGS, **MASKS, "learning_rate": 0.0}
    models = {"model_dir": folders["factorized"], "data_dir": folders["data"]}
    tiny.check_resume({**flags, **models}, tmp_path, at=12, unbroken=frozen)


def test_factorized_trains_without_masks(folders):
    found = tiny.arrays_of(train(folders, "plain", factorized=True, num_train_epochs=1.0))
    start = tiny.arrays_of(folders["factorized"])
    assert set(found) == set(start)
    kernel = "bert/encoder/layer_0/output/dense_q/kernel"
    assert np.abs(found[kernel] - start[kernel]).max() > 1e-4


def test_scores_start_the_masks(folders):
    stored = scores.read_scores(
        folders["factorized"], {"bert/encoder/layer_0/intermediate/dense": (16, 32, 16)}
    )
    output = train(
        folders, "scored", init_masks="scores", learning_rate=0.0, num_train_epochs=0.2,
        **{**MASKS, "alpha_learning_rate": 0.0},
    )  # fmt: skip
    (order,) = stored.values()
    log_alpha = tiny.arrays_of(output)["bert/encoder/layer_0/intermediate/dense_g/log_alpha"]
    assert np.ptp(log_alpha) > 0.5
    assert (np.argsort(log_alpha) == np.argsort(order)).all()


def test_starting_masks_are_open_as_far_as_the_target_allows():
    stored = {"a": np.array([8.0, 4.0, 2.0, 1.0]), "b": np.array([16.0, 0.5])}
    shapes = {"a": (4, 4, 4), "b": (4, 4, 2)}
    start = scores.initial_log_alphas(stored, shapes, base=48, fixed=0, target_sparsity=0.5)
    assert [int((start[name] >= np.float32(np.log(11))).sum()) for name in ("a", "b")] == [2, 1]
    assert start["b"].max() > start["a"].max()


def test_a_teacher_that_is_the_student_teaches_nothing_new(folders):
    output = train(
        folders, "self-taught", start="dense", teacher_model_dir=folders["dense"],
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_train_epochs=0.4,
        distillation_logits_weight=0.0, log_steps=1,
    )  # fmt: skip
    losses = [value for _, value in tiny.read_events(output)[0]["distillation_loss"]]
    assert losses[0] < 1e-9


def test_a_teacher_draws_the_student(folders, together):
    flags = {"teacher_model_dir": folders["dense"], "distillation_label_weight": 0.0}
    output = train(folders, "taught", **flags, **MASKS)
    teacher, taught, other = (logits(folders, x) for x in (folders["dense"], output, together))
    assert np.abs(taught - teacher).mean() < np.abs(other - teacher).mean()


def logits(folders, model):
    """Log probabilities of the test rows: float [n, 2]."""
    output = folders["root"] / f"{model.name}-predictions"
    tiny.run(do_predict=True, model_dir=model, data_dir=folders["data"], output_dir=output)
    return np.log(np.loadtxt(output / "test_results.tsv"))


@pytest.mark.parametrize(
    ("start", "flags", "message"),
    [
        ("dense", {"factorized": False}, "is not factorised.*run factorize.py first"),
        ("dense", {"target_sparsity": 0.5}, "--target_sparsity has no effect.*factorize.py"),
        ("dense", {"learning_rate": 0.0}, "--learning_rate=0 trains nothing"),
        ("dense", {"init_masks": "scores"}, "--init_masks has no effect"),
        ("factorized", {"factorized": True, "target_sparsity": 0.5}, "no effect with --factorized"),
        (
            "factorized",
            {"target_sparsity": 1.5},
            r"--target_sparsity=1.5: expected a number in \[0, 1\]",
        ),
        ("factorized", {"hidden_dropout_prob": 1.0}, r"expected a number in \[0, 1\)"),
        ("factorized", {"distillation_temperature": 3.0}, "without --teacher_model_dir"),
        ("factorized", {"learning_rate": 0.0, "precision": "float16"}, "use bfloat16"),
        ("masked", {"factorized": True}, "remove_mask.py first"),
        ("masked", {"init_masks": "scores"}, "trained masks already"),
    ],
)
def test_bad_flags_are_one_clear_line(folders, frozen, start, flags, message):
    models = {**folders, "masked": frozen}
    with pytest.raises(UserError) as error:
        train(models, "bad", start=start, **flags)
    assert re.search(message, str(error.value))


def test_a_target_that_dense_kernels_make_unreachable_is_refused(folders):
    model = load_model(folders["factorized"])
    arrays = dict(model.arrays)
    for kernel in ("intermediate", "output"):  # half of all parameters
        scope = f"bert/encoder/layer_0/{kernel}/dense"
        p, q = arrays.pop(f"{scope}_p/kernel"), arrays.pop(f"{scope}_q/kernel")
        arrays[f"{scope}/kernel"], arrays[f"{scope}/bias"] = p @ q, arrays.pop(f"{scope}_q/bias")
    mixed = folders["root"] / "mixed"
    save_model_folder(mixed, model.config, arrays, model.vocab_file, model.task)
    with pytest.raises(UserError, match=r"--target_sparsity=0.75: .* 0\.5000 is the most"):
        train({**folders, "mixed": mixed}, "bad", start="mixed", target_sparsity=0.75)


def test_scores_that_are_missing_or_of_another_model_are_named(folders, tmp_path):
    with pytest.raises(UserError, match=r"mask_scores.npz: no such file"):
        scores.read_scores(tmp_path, {})
    scores.write_scores(tmp_path, {"a": np.zeros(3, np.float32)})
    with pytest.raises(UserError, match=r"a has \(3,\) scores, the model's kernel 4 ranks"):
        scores.read_scores(tmp_path, {"a": (5, 6, 4)})
    scores.write_scores(tmp_path, {"a": np.array([1, np.nan], np.float32)})
    with pytest.raises(UserError, match=r"mask_scores.npz: a score of a is not finite"):
        scores.read_scores(tmp_path, {"a": (5, 6, 2)})
