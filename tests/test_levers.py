"""Every lever passes the same checks: resume, gradient accumulation, two replicas."""

import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.pruning.factorization import factorize
from tests import tiny

FLAGS = {
    "do_train": True,
    "do_eval": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 2.0,
    "bucket_by_length": True,
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
# After updates 2, 4 and 6 layers are tested, and after the fourth one is frozen.
AUTOFREEZE = {"freeze_policy": "autofreeze", "num_intervals": 4, "percentile": 50.0}
# {name: scalar of TensorBoard that only a run with the lever has}
LEVERS = {
    "plain": "loss",
    "distillation": "distillation_loss",
    "masks": "expected_sparsity",
    "static": "loss",
    "cached": "freezing/frozen_layers",
    "budget": "elapsed_share",
    "widths": "distillation_loss",
    "sampled": "loss",
}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly(), tiny.without_pictures():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{name of a lever: the flags of a run with it}."""
    root = tmp_path_factory.mktemp("levers")
    source = load_model(tiny.make_model(root / "shallow"))
    config, arrays, _ = factorize(source.config, source.arrays)
    save_model_folder(root / "factorized", config, arrays, source.vocab_file)
    deep = {"model_dir": tiny.make_model(root / "deep", num_hidden_layers=2)}
    common = {
        **FLAGS,
        "model_dir": root / "shallow",
        "data_dir": tiny.make_sst2(root / "sst2", train=32),
        "feature_dir": root / "features",
    }
    # Not its own teacher, of which the whole model has nothing to learn but rounding.
    tuned, other = (
        tiny.make_classifier(
            root / f"tuned{seed}",
            ["0", "1"],
            {"task_name": "sst-2"},
            num_hidden_layers=2,
            seed=seed,
        )
        for seed in range(2)
    )
    teacher = tiny.make_classifier(root / "teacher", ["0", "1"], {"task_name": "sst-2"})
    levers = {
        "plain": {},
        "distillation": {"teacher_model_dir": teacher},
        "masks": {**MASKS, "model_dir": root / "factorized"},
        "static": {**deep, "freeze_layers": 1},
        "cached": {**deep, **AUTOFREEZE, "activation_cache": "disk"},
        # The masks' target rises by the clock, too.
        "budget": {
            **MASKS, "model_dir": root / "factorized", "budget": f"{STEPS}steps",
            "num_train_epochs": None, "target_sparsity_warmup": None,
        },
        "widths": {
            "model_dir": tuned, "training_phase": "dynabertw", "width_mult_list": "0.5,1.0",
            "keep_best_subnetworks": True, "teacher_model_dir": other, "learning_rate": 3e-4,
        },
        "sampled": {
            "model_dir": tuned, "width_mult_list": "0.5,1.0", "depth_mult_list": "0.5,1.0",
            "subnetwork_sampling": "random:2",
        },
    }  # fmt: skip
    runs = {name: {**common, **flags} for name, flags in levers.items()}
    return {name: {k: v for k, v in run.items() if v is not None} for name, run in runs.items()}


@pytest.fixture(scope="module")
def on_two_replicas(runs, tmp_path_factory):
    """{name of a lever: output folder of its run on two replicas}."""
    flags = {name: {**run, **tiny.WITHOUT_DROPOUT} for name, run in runs.items()}
    return tiny.run_on_two_replicas(flags, tmp_path_factory.mktemp("replicas"))


@pytest.mark.parametrize("lever", LEVERS)
def test_a_lever_resumes_accumulates_and_runs_on_two_replicas(
    lever, runs, on_two_replicas, tmp_path
):
    results = tiny.check_lever(runs[lever], tmp_path, KILLED_AT, on_two_replicas[lever])
    assert results["global_step"] == STEPS
    scalars, _ = tiny.read_events(tmp_path / "resumed")
    assert LEVERS[lever] in scalars
    assert bool(results.get("freezing", {}).get("frozen_layers")) == ("freeze" in str(runs[lever]))
