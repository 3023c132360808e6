"""Random lives of a pre-training run, as in test_histories.py."""

import contextlib
import json
import random

import pytest

from bert_tf import pretraining
from bert_tf.pretraining.options import PretrainingOptions
from tests import tiny
from tests.killer import Killed, Killer, seeds

STEPS = 8


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return tiny.make_rows(tmp_path_factory.mktemp("data") / "d")


@pytest.fixture(scope="module")
def measure(rows, tmp_path_factory):
    """Returns the callable (model folder) -> held-out metrics, by a program of its own."""
    known = {}

    def measured(folder):
        bytes_ = (folder / "bert_model.ckpt.data-00000-of-00001").read_bytes()
        if bytes_ not in known:
            values = {"model_dir": folder, "data_dir": rows}
            values |= {"output_dir": tmp_path_factory.mktemp("measured")}
            values = {name: str(value) for name, value in values.items()}
            options = PretrainingOptions(do_eval=True, given=frozenset(values), **values)
            known[bytes_] = pretraining.run(options)["metrics"]["validation"]
        return known[bytes_]

    return measured


def random_flags(rng):
    """The flags that a resumed run may change."""
    flags = {"save_checkpoints_steps": rng.choice([1, 2, 3])}
    if rng.random() < 0.3:
        flags["finetune_time_markers"] = rng.choice(["0.5", "0.25,0.75"])
    if rng.random() < 0.75:
        flags |= {"do_eval": True, "validation_interval": f"{rng.choice([1, 2, 3])}steps"}
        if rng.random() < 0.6:
            flags["keep_best"] = True
        if rng.random() < 0.3:
            flags["early_stopping_patience"] = rng.choice([1, 3])
    return flags


def check_reports(folder, measure):
    """Whatever stands beside a model was measured on that model."""
    if (folder / "bert_model.ckpt.index").exists():
        found = measure(folder)["loss"]
        if (folder / "eval_results.txt").exists():
            lines = (folder / "eval_results.txt").read_text().splitlines()
            values = dict(line.split(" = ") for line in lines)
            assert float(values["eval_loss"]) == pytest.approx(found, rel=1e-5)
        path = folder / "results.json"
        results = json.loads(path.read_text()) if path.exists() else {}
        if results.get("metrics"):
            assert results["metrics"]["validation"]["loss"] == pytest.approx(found, rel=1e-5)
    if (folder / "best").exists():
        kept = json.loads((folder / "best" / "evaluation.json").read_text())
        assert kept["value"] == pytest.approx(measure(folder / "best")["loss"], rel=1e-5)


@pytest.mark.parametrize("seed", seeds(3, 60))
def test_reports_are_of_the_saved_weights(seed, rows, measure, tmp_path, monkeypatch):
    rng = random.Random(seed)
    run = {"data_dir": rows, "output_dir": tmp_path / "run"}
    budgets = sorted(rng.randint(2, STEPS) for _ in range(rng.randint(1, 3)))
    for steps in budgets:  # a run may be given more, not less
        with monkeypatch.context() as patch:
            Killer(patch, rng.randint(1, 250))
            with contextlib.suppress(Killed):
                tiny.pretrain(**run, **random_flags(rng), budget=f"{steps}steps")
        check_reports(tmp_path / "run", measure)
    flags = random_flags(rng)
    results = tiny.pretrain(**run, **flags, budget=f"{STEPS}steps")
    check_reports(tmp_path / "run", measure)
    if flags.get("keep_best"):
        best = tiny.arrays_of(tmp_path / "run" / "best")
        tiny.assert_same_bits(tiny.arrays_of(tmp_path / "run"), best)
    elif results["global_step"] == STEPS:
        assert results["stop_reason"] == "budget spent" or flags["early_stopping_patience"]
