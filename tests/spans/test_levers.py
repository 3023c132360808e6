"""Levers on span models: resume, accumulation and two replicas, as of classification."""

import json
import signal

import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.pruning.factorization import factorize
from tests import tiny

FLAGS = {
    "program": "spans",
    "do_train": True,
    "do_eval": True,
    "version_2_with_negative": True,
    "max_seq_length": 16,
    "doc_stride": 4,
    "max_query_length": 4,
    "train_batch_size": 8,
    "num_train_epochs": None,
    "max_train_examples": 24,
    "learning_rate": 1e-3,
    "eval_batch_size": 32,
    "save_checkpoints_steps": 5,
    "log_steps": 1,
}
STEPS = 8
KILLED_AT = 7  # two updates after a save
MASKS = {
    "target_sparsity": 0.5,
    "alpha_learning_rate": 10.0,
    "lambda_learning_rate": 40.0,
    "learning_rate_warmup": 2,
    "target_sparsity_warmup": 4,
}
# {name: scalar of TensorBoard that only a run with the lever has}
LEVERS = {
    "plain": "loss",
    "distillation": "distillation_loss",
    "masks": "expected_sparsity",
    "cached": "freezing/frozen_layers",
    "budget": "elapsed_share",
    "widths": "distillation_loss",
}

REPLICATED = ("plain", "distillation", "masks")


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly(), tiny.without_pictures():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{name of a lever: the flags of a run with it}."""
    root = tmp_path_factory.mktemp("levers")
    data = tiny.make_squad(root / "squad", train=24, predict=9, negative=True)
    shallow = tiny.make_model(root / "shallow", max_position_embeddings=32)
    deep = tiny.make_model(root / "deep", num_hidden_layers=2, seed=1)
    source = load_model(shallow)
    config, arrays, _ = factorize(source.config, source.arrays)
    save_model_folder(root / "factorized", config, arrays, source.vocab_file)
    common = {
        **FLAGS,
        "train_file": data / "train.json",
        "predict_file": data / "predict.json",
        "feature_dir": root / "features",
    }
    tuned = {
        name: {**common, "model_dir": deep, "num_train_epochs": 1.0, "seed": seed}
        for seed, name in enumerate(("tuned", "teacher"), 1)
    }
    for name, flags in tuned.items():
        tiny.run(**flags, output_dir=root / name)
    levers = {
        "plain": {"keep_best": True},
        "distillation": {"model_dir": deep, "teacher_model_dir": root / "teacher"},
        "masks": {**MASKS, "model_dir": root / "factorized"},
        "cached": {
            "model_dir": deep, "freeze_policy": "autofreeze", "num_intervals": 4,
            "percentile": 50.0, "activation_cache": "disk",
        },
        "budget": {
            **MASKS, "model_dir": root / "factorized", "budget": f"{STEPS}steps",
            "target_sparsity_warmup": None,
        },
        "widths": {
            "model_dir": root / "tuned", "training_phase": "dynabertw",
            "width_mult_list": "0.5,1.0", "keep_best_subnetworks": True,
            "teacher_model_dir": root / "teacher", "learning_rate": 3e-4,
        },
    }  # fmt: skip
    windows = _windows(common, shallow, root)
    found = {}
    for name, flags in levers.items():
        run = {"model_dir": shallow, **common, **flags}
        if name != "budget":
            run["num_train_epochs"] = STEPS * 8 / windows
        found[name] = {k: v for k, v in run.items() if v is not None}
    return found


def _windows(common, model, root):
    """How many windows the training questions make."""
    flags = {k: v for k, v in common.items() if v is not None}
    results = tiny.run(**flags, model_dir=model, num_train_epochs=0.5, output_dir=root / "counted")
    return results["train_examples"]


@pytest.fixture(scope="module")
def on_two_replicas(runs, tmp_path_factory):
    """{name of a lever: output folder of its run on two replicas}, of `REPLICATED`."""
    flags = {name: {**runs[name], **tiny.WITHOUT_DROPOUT} for name in REPLICATED}
    return tiny.run_on_two_replicas(flags, tmp_path_factory.mktemp("replicas"))


@pytest.mark.parametrize("lever", REPLICATED)
def test_a_lever_accumulates_and_runs_on_two_replicas(lever, runs, on_two_replicas, tmp_path):
    tiny.run(**{**runs[lever], **tiny.WITHOUT_DROPOUT}, output_dir=tmp_path / "whole")
    tiny.check_accumulation(runs[lever], tmp_path, tmp_path / "whole")
    tiny.check_two_replicas(runs[lever], tmp_path, tmp_path / "whole", on_two_replicas[lever])


@pytest.mark.parametrize("lever", LEVERS)
def test_a_lever_resumes(lever, runs, tmp_path):
    results = tiny.check_resume(runs[lever], tmp_path, KILLED_AT)
    assert results["global_step"] == STEPS
    scalars, _ = tiny.read_events(tmp_path / "resumed")
    assert LEVERS[lever] in scalars
    if lever == "widths":
        assert {"mean_f1", "f1_w1_d1", "f1_w0.5_d1"} <= set(results["metrics"]["dev"])


def test_a_run_that_was_killed_goes_on(runs, tmp_path):
    """By SIGKILL, in a process of its own."""
    flags = {**runs["plain"], **tiny.WITHOUT_DROPOUT}
    tiny.run(**flags, output_dir=tmp_path / "unbroken")
    job = {
        "options": {**flags, "output_dir": tmp_path / "killed"},
        "weights": tmp_path / "w.npz",
        "kill_at": 7,
    }
    tiny.run_jobs([job], tmp_path / "jobs.json", status=-signal.SIGKILL)
    assert not (tmp_path / "killed" / "results.json").exists()
    # What is measured otherwise cannot be compared with what was.
    with pytest.raises(UserError, match="the run in this folder has max_answer_length=30"):
        tiny.run(**flags, max_answer_length=2, output_dir=tmp_path / "killed")
    text = flags["predict_file"].read_text(encoding="utf-8")
    first, more = '"answers": [{', '"answers": [{"text": "%s", "answer_start": 0}, {'
    context = json.loads(text)["data"][0]["paragraphs"][0]["context"]
    changed = tmp_path / "changed.json"
    changed.write_text(text.replace(first, more % context.split()[0], 1), encoding="utf-8")
    with pytest.raises(UserError, match="the run in this folder had other dev examples"):
        tiny.run(**{**flags, "predict_file": changed}, output_dir=tmp_path / "killed")
    tiny.run(**flags, output_dir=tmp_path / "killed")
    tiny.assert_same_run(tmp_path / "killed", tmp_path / "unbroken", atol=1e-5, rtol=1e-4)
