"""Random lives of a run: killed anywhere, gone on with other flags; what it reports stays true."""

import contextlib
import json
import random

import numpy as np
import pytest

from tests import tiny
from tests.killer import Killed, Killer, seeds

COMMON = {
    "do_train": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 2.0,
    "learning_rate": 3e-3,
    "warmup_proportion": 0.0,
}
STEPS = 8


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly(), tiny.without_pictures():
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """{kind of run: its flags}: dense, with masks, and with layers that freeze on the way."""
    folder = tmp_path_factory.mktemp("inputs")
    dense = {
        "model_dir": tiny.make_model(folder / "model", num_hidden_layers=2),
        "data_dir": tiny.make_sst2(folder / "sst2", train=32),
        "feature_dir": folder / "features",
    }
    masks = {"model_dir": factorized(dense["model_dir"], folder / "factorized")}
    masks |= {"target_sparsity": 0.1, "target_sparsity_warmup": 4, "alpha_learning_rate": 100.0}
    frozen = {
        "freeze_policy": "schedule",
        "freeze_schedule": "0.3:1,0.6:2",
        "activation_cache": "memory",
    }
    return {"dense": dense, "masks": {**dense, **masks}, "frozen": {**dense, **frozen}}


def factorized(model_dir, folder):
    from bert_tf.checkpoints.model_folder import load_model, save_model_folder
    from bert_tf.pruning.factorization import factorize

    model = load_model(model_dir)
    config, arrays, _ = factorize(model.config, model.arrays)
    return save_model_folder(folder, config, arrays, model.vocab_file)


@pytest.fixture(scope="module")
def final_weights(inputs, tmp_path_factory):
    """{kind: weights after all steps of a run that nobody disturbed}."""
    found = {}
    for kind, flags in inputs.items():
        folder = tmp_path_factory.mktemp(kind)
        tiny.run(**COMMON, **flags, output_dir=folder)
        found[kind] = tiny.arrays_of(folder)
    return found


@pytest.fixture(scope="module")
def measure(inputs, tmp_path_factory):
    """Returns the callable (model folder) -> (metrics, probabilities), by programs of their own."""
    known = {}

    def measured(folder):
        bytes_ = (folder / "bert_model.ckpt.data-00000-of-00001").read_bytes()
        if bytes_ not in known:
            scratch = tmp_path_factory.mktemp("measured")
            results = tiny.run(
                do_eval=True, do_predict=True, model_dir=folder, output_dir=scratch,
                data_dir=inputs["dense"]["data_dir"], feature_dir=inputs["dense"]["feature_dir"],
            )  # fmt: skip
            rows = (scratch / "test_results.tsv").read_text()
            known[bytes_] = results["metrics"]["dev"], rows
        return known[bytes_]

    return measured


def random_flags(rng):
    """The flags that a resumed run may change."""
    flags = {"save_checkpoints_steps": rng.choice([1, 2, 3, 5])}
    if rng.random() < 0.75:
        flags |= {"do_eval": True, "eval_batch_size": rng.choice([4, 32])}
        if rng.random() < 0.6:
            flags["keep_best"] = True
        if rng.random() < 0.4:
            flags["early_stopping_patience"] = rng.choice([1, 2, 4])
    if rng.random() < 0.3:
        flags["do_predict"] = True
    return flags


def live(rng, flags, folder, monkeypatch, check):
    """Some processes that are killed, then one that is not; returns (its flags, results)."""
    for _ in range(rng.randint(1, 3)):
        with monkeypatch.context() as patch:
            Killer(patch, rng.randint(1, 250))
            with contextlib.suppress(Killed):
                tiny.run(**COMMON, **flags, **random_flags(rng), output_dir=folder)
        check()
    last = random_flags(rng)
    return last, tiny.run(**COMMON, **flags, **last, output_dir=folder)


def check_reports(folder, measure):
    """Whatever stands beside a model was measured on that model."""
    if whole(folder):
        metrics, rows = measure(folder)
        step = json.loads((folder / "task.json").read_text())["global_step"]
        lines = read(folder / "eval_results.txt").splitlines()
        values = dict(line.split(" = ") for line in lines)
        if values:
            assert int(values["global_step"]) == step
            assert float(values["eval_loss"]) == pytest.approx(metrics["loss"], rel=1e-5)
            assert float(values["eval_accuracy"]) == pytest.approx(metrics["accuracy"])
        results = json.loads(read(folder / "results.json") or "{}")
        if results.get("metrics"):
            assert results["metrics_step"] == step
            check_metrics(results["metrics"]["dev"], metrics)
        found = read(folder / "test_results.tsv")
        if found:
            np.testing.assert_allclose(table(found), table(rows), rtol=1e-4)
    if whole(folder / "best"):
        kept = json.loads((folder / "best" / "evaluation.json").read_text())
        task = json.loads((folder / "best" / "task.json").read_text())
        assert kept["step"] == task["global_step"]
        check_metrics(kept["metrics"]["dev"], measure(folder / "best")[0])


def check_metrics(found, expected):
    assert found["accuracy"] == pytest.approx(expected["accuracy"])
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def whole(folder):
    """Whether a program would take the folder for a model: not when its files do not fit."""
    from bert_tf.checkpoints.model_folder import load_model
    from bert_tf.errors import UserError

    if not (folder / "bert_model.ckpt.index").exists():
        return False
    try:
        return bool(load_model(folder))
    except UserError:
        return False


def read(path):
    return path.read_text() if path.exists() else ""


def table(text):
    return np.array([line.split("\t") for line in text.splitlines()], np.float64)


def assert_same_weights(found, expected, bits):
    if bits:
        return tiny.assert_same_bits(found, expected)
    for name in expected:  # what a cache lost is computed in another batch, and rounded otherwise
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("seed", seeds(10, 200))
def test_reports_are_of_the_saved_weights(
    seed, inputs, final_weights, measure, tmp_path, monkeypatch
):
    rng = random.Random(seed)
    kind = rng.choice(["dense", "dense", "masks", "frozen"])
    flags, results = live(
        rng, inputs[kind], tmp_path, monkeypatch, lambda: check_reports(tmp_path, measure)
    )
    check_reports(tmp_path, measure)
    assert whole(tmp_path)
    if flags.get("do_eval"):
        assert results["metrics"]["dev"]
        assert (tmp_path / "eval_results.txt").exists()
    if flags.get("keep_best") and results["best"]:
        assert results["metrics_step"] == results["best"]["step"]
        tiny.assert_same_bits(tiny.arrays_of(tmp_path), tiny.arrays_of(tmp_path / "best"))
    elif results["stop_reason"] == "finished":
        assert_same_weights(tiny.arrays_of(tmp_path), final_weights[kind], bits=kind != "frozen")
    assert results["stop_reason"] == "finished" or flags.get("early_stopping_patience")
