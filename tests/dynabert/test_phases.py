"""From a fine-tuned model to one of many sizes, by run_classifier.py's flags."""

import json
import logging

import numpy as np
import pytest

from bert_tf.checkpoints import huggingface
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.classification.model import SequenceClassifier
from bert_tf.dynabert.export import export
from bert_tf.encoder import Subnetwork
from bert_tf.errors import UserError
from tests import tiny

FLAGS = {
    "do_train": True,
    "do_eval": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 1.0,
    "learning_rate": 1e-3,
}
WIDTHS = {"training_phase": "dynabertw", "width_mult_list": "0.25,0.5,1.0"}
BOTH = {
    "training_phase": "dynabert",
    "width_mult_list": "0.5,1.0",
    "depth_mult_list": "0.5,1.0",
    "keep_best_subnetworks": True,
    "save_checkpoints_steps": 2,
}
GRID = ["w1_d1", "w0.5_d1", "w1_d0.5", "w0.5_d0.5"]


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders: a fine-tuned model, and the results of the phases, each from the one before."""
    root = tmp_path_factory.mktemp("phases")
    shape = {"num_hidden_layers": 4, "num_attention_heads": 4}
    found = {
        "data": tiny.make_sst2(root / "sst2", train=32),
        "tuned": tiny.make_classifier(root / "tuned", ["0", "1"], {"task_name": "sst-2"}, **shape),
        "pretrained": tiny.make_model(root / "pretrained", **shape),
    }
    wide = SequenceClassifier(load_model(found["tuned"]).config.replace(hidden_size=32), 2)
    source = load_model(found["tuned"])
    found["wide"] = save_model_folder(
        root / "wide", wide.config, wide.arrays(), source.vocab_file, source.task
    )
    start = "tuned"
    phases = {
        "widths": WIDTHS,
        "both": BOTH,
        "final": {**BOTH, "training_phase": "final_finetuning"},
    }
    for name, flags in phases.items():
        flags = {**FLAGS, "data_dir": found["data"], "model_dir": found[start], **flags}
        tiny.run(**flags, output_dir=root / name)
        start, found[name] = name, root / name
    return found


def record(folder):
    return load_model(folder).config.extra["dynabert"]


def test_each_phase_goes_on_with_the_one_before(runs):
    assert record(runs["widths"]) == {
        "phase": "dynabertw", "widths": [1.0, 0.5, 0.25], "depths": [1.0],
        "depth_rule": "keep_first", "rewired": True,
    }  # fmt: skip
    assert (runs["widths"] / "importance.npz").exists()
    assert record(runs["both"])["phase"] == "dynabert"
    assert record(runs["both"])["depths"] == [1.0, 0.5]
    assert record(runs["final"])["phase"] == "final_finetuning"
    assert record(runs["final"])["rewired"]
    scalars, _ = tiny.read_events(runs["both"])
    assert "distillation_loss" in scalars
    scalars, _ = tiny.read_events(runs["final"])
    assert "distillation_loss" not in scalars


def test_every_subnetwork_is_evaluated_and_their_mean_decides(runs):
    metrics = tiny.results_of(runs["both"])["metrics"]["dev"]
    values = [metrics[f"accuracy_{name}"] for name in GRID]
    assert metrics["mean_accuracy"] == pytest.approx(sum(values) / 4)
    losses = [metrics[f"loss_{name}"] for name in GRID]
    assert metrics["loss"] == pytest.approx(sum(losses) / 4)
    assert tiny.results_of(runs["both"])["best"]["metric"] == "mean_accuracy"
    text = (runs["both"] / "eval_results.txt").read_text()
    assert f"accuracy_w0.5_d0.5 = {values[3]:.7g}" in text


def test_an_elastic_model_is_evaluated_at_any_size_without_training(runs, tmp_path):
    results = tiny.run(
        do_eval=True, data_dir=runs["data"], model_dir=runs["both"], output_dir=tmp_path,
        width_mult_list="0.5,1.0", depth_mult_list="0.5,1.0"
    )  # fmt: skip
    expected = tiny.results_of(runs["both"])["metrics"]["dev"]
    for name, value in results["metrics"]["dev"].items():
        assert value == pytest.approx(expected[name], rel=1e-5), name


def test_the_best_of_each_subnetwork_is_a_model_of_its_size(runs, tmp_path):
    best = tiny.results_of(runs["both"])["dynabert"]["best_subnetworks"]
    assert set(best) == set(GRID)
    for name, evaluation in best.items():
        folder = runs["both"] / "subnetworks" / name
        assert json.loads((folder / "evaluation.json").read_text()) == evaluation
        results = tiny.run(
            do_eval=True, data_dir=runs["data"], model_dir=folder, output_dir=tmp_path / name,
        )  # fmt: skip
        found = results["metrics"]["dev"]
        assert found["accuracy"] == evaluation["value"]
        assert found["loss"] == pytest.approx(evaluation["metrics"]["dev"]["loss"], rel=1e-4)
    config = load_model(runs["both"] / "subnetworks" / "w0.5_d0.5").config
    assert (config.num_hidden_layers, config.num_attention_heads) == (2, 2)
    assert (config.head_size, config.intermediate_size) == (4, 16)
    assert "dynabert" not in config.extra


def test_a_new_run_does_not_keep_the_subnetworks_of_one_before(runs, tmp_path):
    flags = {
        **FLAGS,
        "data_dir": runs["data"],
        "model_dir": runs["widths"],
        "num_train_epochs": 0.5,
    }
    (tmp_path / "subnetworks/w0.3_d1").mkdir(parents=True)
    tiny.run(**{**flags, **BOTH}, output_dir=tmp_path)
    assert {x.name for x in (tmp_path / "subnetworks").iterdir()} == set(GRID)


@pytest.mark.parametrize(
    ("start", "flags", "message"),
    [
        ("widths", WIDTHS, "was rewired before"),
        ("both", WIDTHS, "was rewired before"),
        ("tuned", BOTH, "run --training_phase=dynabertw on it first"),
        ("tuned", {"training_phase": "final_finetuning"}, "run --training_phase=dynabertw on it"),
        ("final", BOTH, "has been through final_finetuning"),
        ("tuned", {**WIDTHS, "width_mult_list": "0.1,1.0"}, r"width 0\.1 keeps no head of 4"),
        ("widths", {**BOTH, "depth_mult_list": "0.1,1.0"}, r"depth 0\.1 keeps no layer of 4"),
        ("widths", {**BOTH, "width_mult_list": "0.5,1.5"}, r"width_mult_list=0\.5,1\.5: expected"),
        ("widths", {**BOTH, "width_mult_list": "half"}, r"width_mult_list=half: expected numbers"),
        ("widths", {**BOTH, "subnetwork_sampling": "random:0"}, "expected all, sandwich or random"),
        ("tuned", {**WIDTHS, "depth_mult_list": "0.5,1.0"}, "trains widths alone"),
        ("tuned", {**WIDTHS, "depth_lambda1": 0.5}, "depth_lambda1 has no effect without"),
        ("widths", {**BOTH, "importance_examples": 5}, "importance_examples has no effect without"),
        ("tuned", {**WIDTHS, "teacher_width": "same"}, "teacher_width has no effect without"),
        ("tuned", {**WIDTHS, "do_eval": False, "importance_split": "dev"}, "or --do_eval with it"),
        (
            "tuned",
            {**WIDTHS, "distillation_temperature": 2.0},
            "distillation_temperature has no effect",
        ),
        ("tuned", {"keep_best_subnetworks": True}, "without --width_mult_list or"),
        ("tuned", {**WIDTHS, "teacher_model_dir": "wide"}, "give --width_lambda2=0 to compare"),
        ("widths", {**BOTH, "teacher_width": "same", "teacher_model_dir": "tuned"}, "not rewired"),
        ("pretrained", {**WIDTHS, "teacher_model_dir": "tuned"}, "has no classifier of this task"),
    ],
)
def test_what_cannot_be_is_refused(runs, tmp_path, start, flags, message):
    flags = {**FLAGS, "data_dir": runs["data"], "model_dir": runs[start], **flags}
    if "teacher_model_dir" in flags:
        flags["teacher_model_dir"] = runs[flags["teacher_model_dir"]]
    with pytest.raises(UserError, match=message):
        tiny.run(**flags, output_dir=tmp_path / "run")


@pytest.mark.parametrize(
    ("labels", "message"), [(["yes", "no"], "labels"), (None, "teacher_model_dir")]
)
def test_a_teacher_of_another_task_is_refused(runs, tmp_path, labels, message):
    teacher = tiny.make_classifier(
        tmp_path / "teacher", labels, num_hidden_layers=4, num_attention_heads=4
    )
    with pytest.raises(UserError, match=message):
        tiny.run(
            **{**FLAGS, **WIDTHS}, data_dir=runs["data"], model_dir=runs["tuned"],
            teacher_model_dir=teacher, output_dir=tmp_path / "run",
        )  # fmt: skip


def test_the_layers_of_a_depth_are_those_that_were_trained(runs, tmp_path):
    flags = {**BOTH, "keep_best_subnetworks": False, "depth_rule": "keep_last"}
    tiny.run(
        **{**FLAGS, **flags}, data_dir=runs["data"], model_dir=runs["widths"],
        output_dir=tmp_path / "run",
    )  # fmt: skip
    alone = {"data_dir": runs["data"], "model_dir": tmp_path / "run", "do_eval": True}
    grid = {name: BOTH[name] for name in ("width_mult_list", "depth_mult_list")}
    results = tiny.run(**alone, **grid, output_dir=tmp_path / "alone")
    expected = tiny.results_of(tmp_path / "run")["metrics"]["dev"]
    found = results["metrics"]["dev"]
    assert found["loss_w1_d0.5"] == pytest.approx(expected["loss_w1_d0.5"], rel=1e-4)
    other = tiny.run(**alone, **grid, depth_rule="keep_first", output_dir=tmp_path / "other")
    assert other["metrics"]["dev"]["loss_w1_d0.5"] != pytest.approx(found["loss_w1_d0.5"], rel=1e-4)


def test_a_command_given_again_reports_the_same_best_subnetworks(runs):
    before = tiny.results_of(runs["both"])["dynabert"]["best_subnetworks"]
    flags = {**FLAGS, "data_dir": runs["data"], "model_dir": runs["widths"], **BOTH}
    tiny.run(**flags, output_dir=runs["both"])
    assert tiny.results_of(runs["both"])["dynabert"]["best_subnetworks"] == before


def test_a_plain_training_leaves_the_order_and_nothing_else_on_record(runs, tmp_path):
    tiny.run(**FLAGS, data_dir=runs["data"], model_dir=runs["both"], output_dir=tmp_path / "run")
    assert record(tmp_path / "run") == {"rewired": True}
    assert "accuracy" in tiny.results_of(tmp_path / "run")["metrics"]["dev"]


def test_hugging_face_keeps_the_record(runs, tmp_path):
    model = load_model(runs["both"])
    huggingface.write(tmp_path / "hf", model.config, model.arrays, model.vocab_file, model.task)
    assert record(tmp_path / "hf") == record(runs["both"])


def test_predictions_are_those_of_the_largest_that_is_listed(runs, tmp_path):
    common = {"do_predict": True, "data_dir": runs["data"], "model_dir": runs["both"]}
    for name, flags in (("half", {"width_mult_list": "0.5"}), ("whole", {})):
        tiny.run(**common, **flags, do_eval=bool(flags), output_dir=tmp_path / name)
    model = load_model(runs["both"])
    cut = export(model.config, model.arrays, Subnetwork.of(model.config, width=0.5))
    save_model_folder(tmp_path / "cut", *cut, model.vocab_file, model.task)
    tiny.run(**{**common, "model_dir": tmp_path / "cut"}, output_dir=tmp_path / "alone")
    half, whole, alone = (
        np.loadtxt(tmp_path / name / "test_results.tsv") for name in ("half", "whole", "alone")
    )
    np.testing.assert_allclose(half, alone, atol=1e-5)
    assert abs(half - whole).max() > 1e-4


def test_a_model_that_nobody_fine_tuned_is_no_teacher(runs, tmp_path):
    model = tiny.make_model(tmp_path / "model", num_attention_heads=4)
    with pytest.raises(UserError, match="has no classifier of this task"):
        tiny.run(
            **{**FLAGS, **WIDTHS}, data_dir=runs["data"], model_dir=model,
            output_dir=tmp_path / "run",
        )  # fmt: skip


def test_what_no_subnetwork_reaches_is_said(runs, tmp_path, caplog):
    flags = {**FLAGS, **WIDTHS, "width_mult_list": "0.25,0.5", "do_eval": False}
    with caplog.at_level(logging.WARNING, logger="absl"):
        tiny.run(
            **flags, data_dir=runs["data"], model_dir=runs["tuned"], output_dir=tmp_path / "run"
        )
    assert (
        "width_mult_list has no 1.0: the heads and neurons beyond 0.5 have no gradient"
        in caplog.text
    )


def test_a_regression_is_rewired_and_learns(runs, tmp_path):
    data = tiny.make_stsb(tmp_path / "stsb")
    model = tiny.make_classifier(
        tmp_path / "model", None, {"task_name": "sts-b"}, num_attention_heads=4
    )
    flags = {**FLAGS, **WIDTHS, "task_name": "sts-b", "importance_split": "dev"}
    results = tiny.run(**flags, data_dir=data, model_dir=model, output_dir=tmp_path / "run")
    assert "pearson_w0.25_d1" in results["metrics"]["dev"]
