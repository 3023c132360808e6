"""run_pretraining.py from the command line to the files it leaves, and its promise about time.

Where seconds are counted the time is the test's own: each update takes four, an evaluation two.
"""

import itertools
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bert_tf import files, pretraining
from bert_tf.budget import Clock, Rate
from bert_tf.errors import UserError
from bert_tf.pretraining import program
from bert_tf.pretraining.data import HeldOutEvaluation
from bert_tf.training.results import exit_status
from bert_tf.training.state import RunState
from tests import needs, tiny
from tests.clocked import Killed, Spending, Time

ROWS = 8  # per update
EVALUATION, SAVE, FOLDER = 2.0, 1.0, 0.25  # seconds of the test's time


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return tiny.make_rows(tmp_path_factory.mktemp("data") / "data")


@pytest.fixture
def run(rows, tmp_path, monkeypatch):
    """Runs the program's work by a `Time`; returns (results, time)."""
    spending = Spending(monkeypatch)
    spending.takes(HeldOutEvaluation, "evaluate", EVALUATION)
    spending.takes(RunState, "save", SAVE)
    spending.takes(program, "save_model_folder", FOLDER)
    monkeypatch.setattr(HeldOutEvaluation, "measure", lambda _: EVALUATION)

    def call(time=None, **values):
        time = spending.time = time or Time()
        options = tiny.pretraining_options(
            **{"data_dir": rows, "output_dir": tmp_path / "run", "train_batch_size": ROWS, **values}
        )
        return pretraining.run(options, [time], now=time), time

    return call


def marker_times(folder):
    return {p.name: p.stat().st_mtime_ns for p in folder.glob("marker-*")}


def test_the_budget_holds_to_the_last_file(run, tmp_path):
    results, _ = run(
        budget="60s", do_eval=True, validation_interval="15s",
        finetune_time_markers="0.25,0.5,1.0", save_checkpoints_minutes=0.25,
        output_bias="zeros",  # frequencies are all that there is to learn of random text
    )  # fmt: skip
    assert results["stop_reason"] == "budget spent"
    assert 50 < results["spent_seconds"] <= 60
    assert json.loads((tmp_path / "run" / "clock.json").read_text())["spent_seconds"] <= 60
    assert [m["marker"] for m in results["markers"]] == [0.25, 0.5, 1.0]
    shares = [m["share"] for m in results["markers"]]
    assert 0.25 <= shares[0] < 0.35
    assert 0.5 <= shares[1] < 0.6
    steps = [e["step"] for e in results["evaluations"]]
    assert len(steps) >= 3
    assert steps[-1] == results["global_step"]
    assert results["sequences"] == ROWS * results["global_step"]
    assert (
        results["metrics"]["validation"]["loss"]
        < results["evaluations"][0]["metrics"]["validation"]["loss"]
    )
    assert (
        results
        == json.loads(json.dumps(results))
        == json.loads((tmp_path / "run" / "results.json").read_text())
    )


def test_train_counts_leave_evaluations_and_saves_out(run):
    results, time = run(
        budget="30s", budget_counts="train", do_eval=True, validation_interval="10s",
        save_checkpoints_steps=3,
    )  # fmt: skip
    assert (results["global_step"], results["spent_seconds"]) == (7, 28)
    assert time.seconds > 35


@pytest.mark.parametrize("budget_counts", ["wall", "train"])
def test_the_rate_is_that_of_the_time_before_each_update(run, budget_counts):
    _, time = run(budget="40s", budget_counts=budget_counts, learning_rate=1e-2)
    rate = Rate(1e-2, "linear", 0.1)
    spent = [  # before each update; saves in between count on the wall clock alone
        seconds if budget_counts == "wall" else update * time.update
        for update, seconds, _ in time.updates
    ]
    expected = [rate(seconds / 40) for seconds in spent]
    np.testing.assert_allclose([r for *_, r in time.updates], expected, rtol=1e-6)
    assert max(expected) > 0.8e-2


@pytest.mark.parametrize(("budget", "updates"), [("12steps", 12), (f"{12 * ROWS * 16}tokens", 12)])
def test_budgets_of_updates_and_tokens(run, budget, updates):
    results, time = run(budget=budget, finetune_time_markers="0.5")
    assert (results["global_step"], results["stop_reason"]) == (updates, "budget spent")
    assert results["markers"][0]["global_step"] == 6
    rate = Rate(1e-2, "linear", 0.1)
    expected = [rate(step / updates) for step in range(updates)]
    np.testing.assert_allclose([r for *_, r in time.updates], expected, rtol=1e-6)


def test_googles_steps_and_warm_up_are_a_budget_too(run):
    results, time = run(num_train_steps=10, num_warmup_steps=5)
    assert results["global_step"] == 10
    rates = [r for *_, r in time.updates]
    assert rates[0] == 0
    assert np.argmax(rates) == 5


def test_an_early_exit_stops_a_longer_schedule(run):
    results, time = run(budget="80s", early_exit="40s")
    assert results["spent_seconds"] <= 40
    assert 0.4 < results["share"] <= 0.5
    assert time.updates[-1][2] > 0.5e-2


def test_a_killed_run_goes_on_with_what_is_left(run, rows, tmp_path, monkeypatch):
    flags = {
        "budget": "80s", "finetune_time_markers": "0.25,0.5,0.75", "save_checkpoints_steps": 3,
        "log_data_order": True, "do_eval": True, "validation_interval": "3steps",
    }  # fmt: skip
    monkeypatch.setattr(Clock, "run_heartbeat", Clock.save)
    monkeypatch.setattr(Clock, "close", lambda clock: None)
    with pytest.raises(Killed):
        run(Time(kill_at=7), **flags)
    spent = json.loads((tmp_path / "run" / "clock.json").read_text())["spent_seconds"]
    first = marker_times(tmp_path / "run")
    assert "marker-0.25" in first
    assert "marker-0.75" not in first
    results, time = run(Time(), **flags)
    after = marker_times(tmp_path / "run")
    assert after.items() >= first.items()  # not written again
    assert set(after) == {"marker-0.25", "marker-0.5", "marker-0.75"}
    assert time.updates[0][0] == 6  # the last checkpoint's
    assert spent + time.seconds <= 80
    assert results["spent_seconds"] <= 80
    lines = (tmp_path / "run" / "data_order.tsv").read_text().splitlines()
    seen = [tuple(map(int, line.split("\t"))) for line in lines]
    assert all(row == ROWS * (update - 1) and count == ROWS for update, row, count in seen)
    assert len(seen) == 7 + len(time.updates)
    assert [e["step"] for e in results["evaluations"]][:3] == [3, 6, 9]


def test_a_spent_budget_is_left_alone_and_more_of_it_goes_on(run, tmp_path):
    results, _ = run(budget="30s")
    again, time = run(budget="30s")
    assert again == results
    assert (time.seconds, time.updates) == (0, [])
    more, time = run(budget="60s")
    assert more["global_step"] > results["global_step"]
    assert 50 < more["spent_seconds"] <= 60
    assert time.updates[0][2] == pytest.approx(Rate(1e-2, "linear", 0.1)(30 / 60), rel=0.15)


def test_sigterm_saves_and_leaves(run, tmp_path):
    flags = {"budget": "60s", "save_checkpoints_steps": 1000}
    results, _ = run(Time(terminate_at=3), **flags)
    assert results["stop_reason"] == "terminated"
    assert exit_status(results) == 143
    assert not (tmp_path / "run" / "bert_model.ckpt.index").exists()
    results, time = run(**flags)
    assert time.updates[0][0] == 4
    assert results["stop_reason"] == "budget spent"
    assert exit_status(results) == 0
    assert results["spent_seconds"] <= 60


def test_the_batch_grows_with_the_budget_over_every_row_once(run, tmp_path):
    flags = {
        "budget": "50s", "train_batch_size": 16, "gradient_accumulation_steps": 4,
        "batch_ramp": 0.5, "log_data_order": True, "save_checkpoints_steps": 2,
    }  # fmt: skip
    with pytest.raises(Killed):
        run(Time(kill_at=3), **flags)
    results, _ = run(**flags)
    order = {}
    for line in (tmp_path / "run" / "data_order.tsv").read_text().splitlines():
        update, row, count = map(int, line.split("\t"))
        order[update] = (row, count)
    sizes = [order[u][1] for u in sorted(order)]
    assert sizes == sorted(sizes)
    assert set(sizes) == {4, 8, 16}
    for (row, count), (following, _) in itertools.pairwise(order[u] for u in sorted(order)):
        assert row + count == following
    assert results["sequences"] == sum(sizes)


def test_a_loss_that_is_no_number_stops_with_a_reason(run, tmp_path):
    with pytest.raises(UserError, match="diverged: the training loss is nan"):
        run(budget="60s", learning_rate=1e38, warmup_proportion=0.0, clip_norm=0.0)
    results = files.read_json(tmp_path / "run" / "results.json", "results")
    assert results["stop_reason"].startswith("diverged")
    assert not (tmp_path / "run" / "bert_model.ckpt.index").exists()


def test_a_held_out_loss_above_the_bound_stops(run):
    with pytest.raises(UserError, match="diverged: held-out loss"):
        run(
            budget="60s", do_eval=True, validation_interval="5s", early_stop_minutes=0.2,
            early_stop_loss=0.5,
        )  # fmt: skip


def test_the_best_weights_are_kept(run, tmp_path):
    results, _ = run(
        budget="8steps", do_eval=True, validation_interval="2steps", keep_best=True,
        keep_checkpoints=2, save_checkpoints_steps=2,
    )  # fmt: skip
    losses = [e["metrics"]["validation"]["loss"] for e in results["evaluations"]]
    assert results["best"]["value"] == min(losses)
    best = tiny.arrays_of(tmp_path / "run" / "best")
    tiny.assert_same_bits(tiny.arrays_of(tmp_path / "run"), best)
    states = {p.name.split(".")[0] for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert len(states) == 2


def test_pretraining_goes_on_from_a_model_folder(run, tmp_path, rows):
    run(budget="3steps", output_dir=tmp_path / "first")
    flags = {name: None for name in tiny.PRETRAINING if "size" in name or name.startswith("num_")}
    del flags["train_batch_size"]
    options = {k: v for k, v in tiny.PRETRAINING.items() if k not in flags}
    options.pop("max_position_embeddings")
    from bert_tf.pretraining.options import PretrainingOptions

    values = {
        **options, "model_dir": str(tmp_path / "first"), "data_dir": str(rows),
        "output_dir": str(tmp_path / "second"), "budget": "1steps", "do_eval": True,
        "learning_rate": 1e-9,
    }  # fmt: skip
    pretraining.run(PretrainingOptions(given=frozenset(values), **values))
    first, second = (tiny.arrays_of(tmp_path / name) for name in ("first", "second"))
    assert set(first) == set(second)
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, atol=1e-6, err_msg=name)


def test_a_new_model_knows_how_frequent_the_tokens_are(run, tmp_path, rows):
    """Its first loss is their entropy, or the logarithm of the vocabulary's size without it."""
    for name in ("frequencies", "zeros"):
        folder = tmp_path / name
        still = {"learning_rate": 1e-9, "initializer_range": 1e-6, "output_dir": folder}
        run(budget="1steps", do_eval=True, output_bias=name, **still)
    losses = [
        json.loads((tmp_path / name / "results.json").read_text())["metrics"]["validation"]["loss"]
        for name in ("frequencies", "zeros")
    ]
    manifest = json.loads((rows / "manifest.json").read_text())
    np.testing.assert_allclose(losses[1], np.log(manifest["vocab_size"]), atol=1e-3)
    assert abs(losses[0] - manifest["unigram_entropy"]) < 0.1


def test_a_marker_fine_tunes_as_it_is(run, tmp_path):
    run(budget="4steps", finetune_time_markers="0.5")
    results = tiny.run(
        do_train=True, do_eval=True, task_name="sst-2", train_batch_size=8, num_train_epochs=1.0,
        max_seq_length=16, data_dir=tiny.make_sst2(tmp_path / "sst2"),
        model_dir=tmp_path / "run" / "marker-0.5", output_dir=tmp_path / "tuned",
    )  # fmt: skip
    assert results["metrics"]["dev"].keys() >= {"accuracy"}


def test_evaluation_alone_repeats_the_last_one(run, tmp_path, rows):
    results, _ = run(budget="3steps", do_eval=True)
    options = {"do_eval": True, "data_dir": str(rows), "output_dir": str(tmp_path / "run")}
    from bert_tf.pretraining.options import PretrainingOptions

    alone = pretraining.run(PretrainingOptions(given=frozenset(options), **options))
    found, expected = (r["metrics"]["validation"] for r in (alone, results))
    assert found == pytest.approx(expected, rel=1e-5)
    kept = json.loads((tmp_path / "run" / "results.json").read_text())
    assert kept == results
    assert "global_step = 3" in (tmp_path / "run" / "eval_results.txt").read_text()


@pytest.mark.parametrize(
    "changes",
    [{"precision": "float16"}, {"precision": "bfloat16"},
     pytest.param({"optimizer": "lamb"}, marks=needs.tf_models),
     {"lr_schedule": "cosine", "minimum_learning_rate": 1e-3, "norm_position": "pre"}],
    ids=str,
)  # fmt: skip
def test_other_precisions_optimizers_and_schedules(run, tmp_path, changes):
    results, time = run(budget="4steps", save_checkpoints_steps=2, **changes)
    assert results["global_step"] == 4
    warm, *rates = [rate for *_, rate in time.updates]
    assert warm == 0
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1] > 0
    if changes.get("precision") == "float16":
        assert "loss_scale" in tiny.read_events(tmp_path / "run")[0]


def make_records(path, count=40, length=16, predictions=3):
    """Writes Google's TFRecords of random rows, padded in part; returns the path."""
    from bert_tf.data.pretraining.google_records import serialize, write_records

    rng = np.random.default_rng(0)
    records = []
    for i in range(count):
        real = np.arange(length) < rng.integers(8, length + 1)
        example = {
            "input_ids": np.where(real, rng.integers(5, len(tiny.TOKENS), length), 0),
            "input_mask": real.astype(np.int64),
            "segment_ids": (real & (np.arange(length) > 5)).astype(np.int64),
            "masked_lm_positions": np.array([1, 3, 5]),
            "masked_lm_ids": rng.integers(5, len(tiny.TOKENS), predictions),
            "masked_lm_weights": np.array([1, 1, i % 2], np.float32),
            "next_sentence_labels": np.array([i % 2]),
        }
        records.append(serialize(example))
    write_records(records, [path])
    return path


def test_googles_records_and_flags(run, tmp_path):
    records = make_records(tmp_path / "examples.tfrecord")
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(tiny.TOKENS) + "\n")
    results, _ = run(
        input_file=str(tmp_path / "*.tfrecord"), data_dir=None, vocab_file=vocab, do_eval=True,
        max_seq_length=16, max_predictions_per_seq=3, num_train_steps=4, num_warmup_steps=2,
        max_eval_steps=3,
    )  # fmt: skip
    assert results["global_step"] == 4
    assert set(results["metrics"]["validation"]) == {
        "loss", "masked_lm_loss", "masked_lm_accuracy", "next_sentence_loss",
        "next_sentence_accuracy",
    }  # fmt: skip
    lines = (tmp_path / "run" / "eval_results.txt").read_text().splitlines()
    names = [line.split(" = ")[0] for line in lines]
    assert set(names) >= {
        "global_step", "loss", "masked_lm_accuracy", "masked_lm_loss", "next_sentence_accuracy",
        "next_sentence_loss",
    }  # fmt: skip
    assert "cls/seq_relationship/output_weights" in tiny.arrays_of(tmp_path / "run")
    with pytest.raises(UserError, match="no file fits"):
        run(input_file=str(records) + ".gone", data_dir=None, vocab_file=vocab)


def test_a_probe_says_what_the_budget_buys(rows, tmp_path):
    from bert_tf.pretraining import probe
    from bert_tf.pretraining.options import PretrainingOptions

    values = {
        "probe": True, "probe_shapes": "1x16,2x16", "probe_seconds": 0.1, "budget": "1h",
        "data_dir": str(rows), "output_dir": str(tmp_path), "train_batch_size": 8,
    }  # fmt: skip
    small, large = probe.run(PretrainingOptions(given=frozenset(values), **values))
    assert (small["shape"], large["shape"]) == ("1x16", "2x16")
    assert large["parameters"] > small["parameters"]
    assert small["tokens"] == small["updates"] * 8 * 16
    spent = small["first_update"] + (small["updates"] - 1) * small["seconds_per_update"]
    assert spent <= 3600 < spent + small["seconds_per_update"]
    found = files.read_json(tmp_path / "probe.json", "probe")
    assert found["shapes"] == [small, large]
    for shapes in ("4", "4x100", "0x64", "x"):
        with pytest.raises(UserError, match="--probe_shapes="):
            probe.parse_shapes(shapes)


def test_tensorboard_has_the_clock(run, tmp_path):
    run(budget="30s", do_eval=True, validation_interval="10s", log_steps=2)
    scalars, _ = tiny.read_events(tmp_path / "run")
    wanted = {
        "loss", "masked_lm_accuracy", "model_lr", "elapsed_share", "remaining_share",
        "tokens_per_second", "grad_norm",
    }  # fmt: skip
    assert wanted <= set(scalars)
    shares = [value for _, value in scalars["elapsed_share"]]
    assert shares == sorted(shares)
    evaluated, _ = tiny.read_events(tmp_path / "run" / "eval")
    assert "masked_lm_loss" in evaluated


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 2e-3}, "learning_rate=0.01, this command 0.002"),
        ({"train_batch_size": 4}, "train_batch_size=8, this command 4"),
        ({"mlm_probability": 0.25}, "mlm_probability=0.15, this command 0.25"),
        ({"budget_counts": "train"}, "budget_counts=wall, this command train"),
        ({"hidden_size": 32}, "model shape="),
        ({"output_bias": "zeros"}, "output_bias='frequencies', this command 'zeros'"),
        ({"budget": "900steps"}, "budget kind='time', this command 'steps'"),
    ],
)
def test_another_run_is_refused_by_the_name_of_what_differs(run, tmp_path, changes, message):
    run(Time(terminate_at=1), budget="60s")
    with pytest.raises(UserError, match=message):
        run(**{"budget": "60s", **changes})


def test_a_budget_too_short_for_one_update_is_refused(run, tmp_path):
    with pytest.raises(UserError, match=r"--budget=4 s: too short for one update: .*spent before"):
        run(budget="4s", do_eval=True, validation_interval="1s")


def test_rows_of_another_vocabulary_are_refused(run, tmp_path):
    model = tiny.make_model(tmp_path / "model", tokens=[*tiny.TOKENS[:-1], "##x"])
    from bert_tf.pretraining.options import PretrainingOptions

    data = tiny.make_rows(tmp_path / "data")
    values = {
        "do_train": True, "model_dir": str(model), "data_dir": str(data), "budget": "5steps",
        "output_dir": str(tmp_path / "run"),
    }  # fmt: skip
    with pytest.raises(UserError, match="another vocabulary"):
        pretraining.run(PretrainingOptions(given=frozenset(values), **values))


def command(*flags, **values):
    """The command line of run_pretraining.py."""
    values = {**tiny.PRETRAINING, **values}
    flags = [*flags, *(f"--{k}={str(v).lower() if isinstance(v, bool) else v}"
                       for k, v in values.items())]  # fmt: skip
    return [sys.executable, str(tiny.ROOT / "run_pretraining.py"), *flags]


def test_kill_minus_nine_is_charged_and_sigterm_exits_with_143(rows, tmp_path):
    folder = tmp_path / "run"
    flags = {"data_dir": rows, "output_dir": folder, "budget": "10h", "save_checkpoints_steps": 20}
    spent = []
    for number, (sent, status) in enumerate(
        ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143))
    ):
        with open(tmp_path / f"{number}.log", "w") as log:
            process = subprocess.Popen(
                command(**flags), env=tiny.environment(), stdout=log, stderr=log
            )
            try:
                wait_for_step(folder, process, 20 + 100 * number)
                process.send_signal(sent)
                assert process.wait(timeout=240) == status
            finally:
                process.kill()
                process.wait()
        spent.append(files.read_json(folder / "clock.json", "clock")["spent_seconds"])
    assert spent[1] > spent[0] > 0
    results = files.read_json(folder / "results.json", "results")
    assert results["stop_reason"] == "terminated"
    state = files.read_json(folder / "training_state.json", "state")
    assert state["step"] == results["global_step"]


def wait_for_step(folder, process, step):
    """Waits until the state on disk is of `step` or later."""
    path, deadline = folder / "training_state.json", time.monotonic() + 240
    while not path.exists() or json.loads(path.read_text())["step"] < step:
        assert process.poll() is None, "ended by itself"
        assert time.monotonic() < deadline, "too slow"
        time.sleep(0.01)


def test_a_wrong_flag_is_one_line_and_status_1(tmp_path):
    done = subprocess.run(
        command(output_dir=tmp_path, data_dir=tmp_path, finetune_time_markers="1.5"),
        env=tiny.environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: --finetune_time_markers=1.5")
    assert "Traceback" not in done.stderr
