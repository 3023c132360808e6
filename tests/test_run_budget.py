"""run_classifier.py --budget: a fine-tuning that ends by the clock, by itself and with levers.

The time is the test's own: each update takes eight seconds, an evaluation two.
"""

import json

import numpy as np
import pytest

from bert_tf import classification
from bert_tf.budget import Clock
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.classification.evaluation import TaskEvaluation
from bert_tf.errors import UserError
from bert_tf.finetuning import job
from bert_tf.pruning import factorization
from bert_tf.training.results import exit_status
from bert_tf.training.schedules import make_schedule
from bert_tf.training.state import RunState
from tests import tiny
from tests.clocked import Killed, Spending, Time

UPDATE, EVALUATION, SAVE, FOLDER = 8.0, 2.0, 1.0, 0.5  # seconds of the test's time
FLAGS = {
    "do_train": True,
    "task_name": "sst-2",
    "max_seq_length": 16,
    "train_batch_size": 8,
    "learning_rate": 1e-3,
}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly(), tiny.without_pictures():
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    dense = load_model(tiny.make_model(folder / "dense", num_hidden_layers=2))
    config, arrays, _ = factorization.factorize(dense.config, dense.arrays)
    save_model_folder(folder / "factorized", config, arrays, dense.vocab_file, dense.task)
    return {"model_dir": folder / "dense", "data_dir": tiny.make_sst2(folder / "sst2")}


@pytest.fixture
def run(inputs, tmp_path, monkeypatch):
    """Runs the program by a `Time`; returns (results, time)."""
    spending = Spending(monkeypatch)
    spending.takes(TaskEvaluation, "evaluate", EVALUATION)
    spending.takes(RunState, "save", SAVE)
    spending.takes(job, "save_model_folder", FOLDER)
    monkeypatch.setattr(TaskEvaluation, "measure", lambda _: EVALUATION)

    def call(time=None, age=0.0, **values):
        time = spending.time = time or Time(UPDATE)
        values = {**FLAGS, **inputs, "output_dir": tmp_path / "run", **values}
        values = {name: value for name, value in values.items() if value is not None}
        return classification.run(tiny.options(**values), [time], age, now=time), time

    call.spending = spending
    return call


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_last_evaluation_has_time_for_the_models_of_all_subnetworks(run, tmp_path):
    run.spending.takes(job, "save_model_folder", 1.0)  # more than it does
    run.spending.takes(RunState, "save", 3.0)
    flags = {"width_mult_list": "0.5,1.0", "depth_mult_list": "0.5,1.0", "do_eval": True}
    flags |= {"keep_best_subnetworks": True, "save_checkpoints_minutes": 9}
    results, time = run(Time(update=1.0), budget="40s", **flags)
    assert len(list((tmp_path / "run/subnetworks").iterdir())) == 4
    assert results["stop_reason"] == "budget spent"
    assert 30 < time.seconds <= 40


def test_the_budget_holds_to_the_last_file(run, tmp_path):
    results, time = run(budget="100s", do_eval=True, save_checkpoints_minutes=0.5)
    assert results["stop_reason"] == "budget spent"
    assert 88 < time.seconds <= 100
    assert results["budget"]["spent_seconds"] == pytest.approx(time.seconds)
    assert results["budget"]["share"] == pytest.approx(time.seconds / 100)
    assert read_json(tmp_path / "run" / "clock.json")["spent_seconds"] <= 100
    steps = [e["step"] for e in results["evaluations"]]
    assert len(steps) == 3  # after 30 and 60 seconds, and at the end
    assert steps[-1] == results["global_step"] == results["metrics_step"]
    assert results["epochs"] == results["global_step"] / 5
    assert results == read_json(tmp_path / "run" / "results.json")
    scalars, _ = tiny.read_events(tmp_path / "run")
    shares = dict(scalars["elapsed_share"])
    assert max(shares.values()) < 1
    assert list(shares.values()) == sorted(shares.values())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"learning_rate": 2e-3}, "learning_rate"),
        ({"train_batch_size": 4}, "train_batch_size"),
        ({"budget_counts": "train"}, "budget_counts"),
    ],
)
def test_a_refused_command_charges_nothing_to_the_run_in_the_folder(run, tmp_path, flags, message):
    run(Time(UPDATE, terminate_at=3), budget="100s")
    before = (tmp_path / "run" / "clock.json").read_bytes()
    with pytest.raises(UserError, match=message):
        run(age=20.0, budget="100s", **flags)
    assert (tmp_path / "run" / "clock.json").read_bytes() == before


def test_the_start_of_a_process_that_is_killed_stays_charged(run, tmp_path, monkeypatch):
    """Before its first update, in a run that has a state: else kills would lengthen the budget."""

    def killed(_):
        raise Killed

    flags = {"budget": "100s", "do_eval": True}
    run(Time(UPDATE, terminate_at=3), **flags)
    before = read_json(tmp_path / "run" / "clock.json")["spent_seconds"]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Clock, "run_heartbeat", Clock.save)
        patch.setattr(Clock, "close", lambda clock: None)
        patch.setattr(TaskEvaluation, "measure", killed)
        run(age=20.0, **flags)
    assert read_json(tmp_path / "run" / "clock.json")["spent_seconds"] >= before + 20


def test_a_refused_command_leaves_no_clock(run, tmp_path):
    with pytest.raises(UserError, match="too short for one update"):
        run(age=99.0, budget="100s")
    assert not (tmp_path / "run" / "clock.json").exists()


def test_a_long_last_update_does_not_cost_the_last_evaluation(run):
    """It takes four seconds more than those before it, as much as leaves half of the slack."""
    time = Time(UPDATE)
    time.on_steps = lambda before, logs: _longer(time, before, logs)
    results, _ = run(time, budget="100s", do_eval=True, save_checkpoints_steps=1000)
    assert results["metrics_step"] == results["global_step"] > 0
    assert results["metrics"]
    assert 92 < time.seconds <= 100


def _longer(time, before, logs):
    Time.on_steps(time, before, logs)
    time.seconds += 4.0 * (time.seconds > 82)


def test_an_evaluation_shortly_before_the_end_is_left_to_the_last(run):
    results, time = run(Time(1.0), budget="100s", do_eval=True, save_checkpoints_minutes=1.5)
    assert [e["step"] for e in results["evaluations"]] == [results["global_step"]]
    assert 95 < time.seconds <= 100


def test_without_an_interval_a_tenth_of_the_budget_is_one(run):
    results, _ = run(budget="150s", do_eval=True)
    steps = [e["step"] for e in results["evaluations"]]
    assert 7 <= len(steps) <= 10
    assert max(np.diff(steps)) <= 2


@pytest.mark.parametrize("schedule", ["linear", "constant", "stepped"])
def test_the_rate_is_that_of_the_time_before_each_update(run, schedule):
    _, time = run(budget="60s", lr_schedule=schedule, warmup_proportion=0.2)
    steps = {300_000: 0.7, 600_000: 0.4} if schedule == "stepped" else None
    rate = make_schedule(schedule, 1e-3, 10**6, 200_000, boundaries=steps)
    expected = [float(rate(seconds / 60 * 10**6)) for _, seconds, _ in time.updates]
    np.testing.assert_allclose([r for *_, r in time.updates], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "flags",
    [{}, {"train_token_budget": 64, "train_batch_size": None}, {"freeze_layers": 1}],
)
def test_a_budget_of_updates_is_the_run_of_as_many_epochs(run, tmp_path, flags):
    flags = {"warmup_proportion": 0.0, **flags}
    results, _ = run(output_dir=tmp_path / "epochs", num_train_epochs=2.0, **flags)
    steps = results["global_step"]
    found, _ = run(output_dir=tmp_path / "budget", budget=f"{steps}steps", **flags)
    assert found["global_step"] == steps
    assert found["epochs"] == results["epochs"] == 2.0
    expected = tiny.arrays_of(tmp_path / "epochs")
    for name, value in tiny.arrays_of(tmp_path / "budget").items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6, err_msg=name)


def test_a_budget_of_tokens_counts_them_with_their_padding(run):
    results, _ = run(budget="600tokens", pad_to_max_length=True)
    assert results["global_step"] == 5  # of 8 x 16 tokens


def test_an_early_exit_stops_a_longer_schedule(run):
    results, time = run(budget="80s", early_exit="40s")
    assert results["budget"]["spent_seconds"] <= 40
    assert time.updates[-1][2] > 0.5e-3


def test_a_killed_run_goes_on_with_what_is_left(run, tmp_path, monkeypatch):
    flags = {"budget": "120s", "save_checkpoints_steps": 3, "do_eval": True, "keep_best": True}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Clock, "run_heartbeat", Clock.save)
        patch.setattr(Clock, "close", lambda clock: None)
        run(Time(UPDATE, kill_at=7), **flags)
    spent = read_json(tmp_path / "run" / "clock.json")["spent_seconds"]
    assert spent > 50
    results, time = run(**flags)
    assert time.updates[0][0] == 6  # the last checkpoint's
    assert 100 < spent + time.seconds <= 120
    assert results["budget"]["spent_seconds"] <= 120
    best = max(results["evaluations"], key=lambda e: e["metrics"]["dev"]["accuracy"])
    assert results["metrics"] == best["metrics"]
    alone = tiny.run(
        do_eval=True, task_name="sst-2", max_seq_length=16, model_dir=tmp_path / "run",
        data_dir=tiny.make_sst2(tmp_path / "sst2"), output_dir=tmp_path / "alone",
    )  # fmt: skip
    assert alone["metrics"]["dev"] == pytest.approx(results["metrics"]["dev"], rel=1e-5)


def test_a_spent_budget_is_left_alone_and_more_of_it_goes_on(run):
    results, _ = run(budget="30s")
    again, time = run(budget="30s")
    assert again == results
    assert (time.seconds, time.updates) == (0, [])
    more, time = run(budget="60s")
    assert more["global_step"] > results["global_step"]
    assert 45 < more["budget"]["spent_seconds"] <= 60
    with pytest.raises(UserError, match="budget kind='time', this command 'steps'"):
        run(budget="60steps")
    with pytest.raises(UserError, match="budget kind='time', this command None"):
        run()


@pytest.mark.parametrize(
    ("file", "named"),
    [("train.tsv", "training data"), ("dev.tsv", "other dev examples"), ("test.tsv", "test split")],
)
def test_a_spent_budget_has_no_results_of_other_rows(run, tmp_path, file, named):
    data = tiny.make_sst2(tmp_path / "own")
    flags = {"budget": "30s", "data_dir": data, "do_eval": True, "do_predict": True}
    results, _ = run(**flags)
    assert run(**flags)[0] == results
    lines = (data / file).read_text().splitlines()
    (data / file).write_text("\n".join([*lines[:-1], lines[1], ""]))
    before = read_json(tmp_path / "run" / "results.json")
    with pytest.raises(UserError, match=named):
        run(**flags)
    assert read_json(tmp_path / "run" / "results.json") == before


def test_sigterm_saves_and_leaves(run, tmp_path):
    flags = {"budget": "60s", "save_checkpoints_steps": 1000, "do_predict": True}
    results, _ = run(Time(UPDATE, terminate_at=3), **flags)
    assert results["stop_reason"] == "terminated"
    assert exit_status(results) == 143
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert not names & {"bert_model.ckpt.index", "test_results.tsv", "results.json"}
    results, time = run(**flags)
    assert time.updates[0][0] == 4
    assert (results["stop_reason"], exit_status(results)) == ("budget spent", 0)
    assert (tmp_path / "run" / "test_results.tsv").exists()


def test_early_stopping_counts_evaluations(run):
    results, _ = run(
        budget="800s", do_eval=True, save_checkpoints_steps=1, early_stopping_patience=2,
        learning_rate=1e-9,
    )  # fmt: skip
    assert results["stop_reason"] == "no better accuracy in 2 evaluations"
    assert results["global_step"] == 3


def test_a_loss_that_is_no_number_stops_with_a_reason(run, tmp_path):
    with pytest.raises(UserError, match="diverged: the training loss is nan"):
        run(budget="60s", learning_rate=1e38, warmup_proportion=0.0, clip_norm=0.0)
    assert not (tmp_path / "run" / "bert_model.ckpt.index").exists()


def test_the_target_of_masks_rises_over_a_third_of_the_budget(run, inputs, tmp_path):
    model = inputs["model_dir"].with_name("factorized")
    flags = {"budget": "60s", "target_sparsity": 0.5, "log_steps": 1}
    results, time = run(model_dir=model, **flags)
    scalars, others = tiny.read_events(tmp_path / "run")
    targets = [target for _, target in scalars["target_sparsity"]]
    shares = [min(1.0, 3 * seconds / 60) for _, seconds, _ in time.updates]
    start = (targets[0] - 0.5 * shares[0]) / (1 - shares[0])
    assert start < 0
    np.testing.assert_allclose(targets, [start + (0.5 - start) * x for x in shares], atol=1e-3)
    assert targets[-1] == pytest.approx(0.5)
    assert "ranks" in others
    assert results["budget"]["spent_seconds"] <= 60


@pytest.mark.parametrize(
    ("flags", "shares"),
    [
        ({"freeze_policy": "schedule", "freeze_schedule": "0.25:1,0.7:2"}, [0.25, 0.7]),
        ({"freeze_policy": "random", "num_intervals": 4}, [0.25, 0.5, 0.75]),
    ],
)
def test_layers_freeze_by_shares_of_the_budget(run, flags, shares):
    results, time = run(budget="120s", **flags)
    reached = [
        min(update + 1 for update, seconds, _ in time.updates if seconds >= 120 * share)
        for share in shares
    ]
    assert [d["step"] for d in results["freezing"]["decisions"]] == reached


def test_a_share_that_passed_while_the_run_was_away_counts_when_it_is_back(run, monkeypatch):
    flags = {
        "budget": "120s", "freeze_policy": "schedule", "freeze_schedule": "0.6:1",
        "save_checkpoints_steps": 2,
    }  # fmt: skip
    with pytest.raises(Killed):
        run(Time(UPDATE, kill_at=6), **flags)
    away = Time(UPDATE)
    away.seconds = 20.0  # what the second process takes to begin
    results, _ = run(away, age=20.0, **flags)
    assert results["freezing"]["frozen_layers"] == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num_train_epochs": 2.0}, "--num_train_epochs and --budget both set the length"),
        ({"lr_schedule": "noam"}, "--lr_schedule=noam counts updates, --budget does not"),
        ({"steps_per_execution": 2}, "--steps_per_execution cannot go with --budget"),
        (
            {"save_checkpoints_minutes": 1.0, "save_checkpoints_steps": 5},
            "--save_checkpoints_steps and --save_checkpoints_minutes: give one",
        ),
        (
            {"budget": None, "early_exit": "1h"},
            "--early_exit has no effect without --budget",
        ),
        ({"early_exit": "2h"}, "--early_exit=2h: is more than the whole budget"),
        ({"budget": "1s"}, "--budget=1 s: too short for one update"),
        (
            {"freeze_policy": "random", "freeze_warmup": 3},
            "--freeze_warmup=3 counts updates, a run with --budget does not",
        ),
    ],
)
def test_what_a_budget_cannot_have_is_refused(run, flags, message):
    with pytest.raises(UserError, match=message):
        run(**{"budget": "60s", **flags})
