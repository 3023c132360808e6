"""benchmarks.freezing trains its variants in turns and says what each took and reached."""

import json
import pathlib
import subprocess
import sys
import time
import types

import pytest

from benchmarks.freezing.comparison import compare
from benchmarks.freezing.depths import DepthReport
from benchmarks.freezing.figures import Measured
from benchmarks.freezing.options import BenchmarkOptions
from benchmarks.freezing.report import PolicyReport
from benchmarks.freezing.runs import Variant, make_run
from benchmarks.freezing.worker import leave_out
from bert_tf.errors import UserError
from tests import tiny


def options(folder, **values):
    values = {"task_name": "sst-2", "data_dir": "data", "model_dir": "model", **values}
    values = {name: str(v) if isinstance(v, pathlib.Path) else v for name, v in values.items()}
    return BenchmarkOptions(work_dir=str(folder), given=frozenset({"work_dir", *values}), **values)


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory):
    """A comparison of two variants, measured."""
    folder = tmp_path_factory.mktemp("freezing")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in tiny.environment().items():
            patch.setenv(name, value)
        compare(comparison(folder))
    return folder / "work"


def comparison(folder):
    model, data = folder / "model", folder / "data"
    if not model.exists():
        tiny.make_model(model, num_hidden_layers=2)
        tiny.make_sst2(data, train=96)
    return options(
        folder / "work",
        model_dir=model,
        data_dir=data,
        variants="full,static-1+cache",
        activation_cache="memory",
        max_seq_length=32,
        train_batch_size=4,
        num_train_epochs=2.0,
        slice_seconds=0.2,
    )


def test_compares_variants(work_dir):
    report = (work_dir / "report.md").read_text("utf-8")
    assert "| static-1+cache | 1 |" in report and "another time" not in report
    assert (work_dir / "report.png").read_bytes().startswith(b"\x89PNG")
    figures = json.loads((work_dir / "report.json").read_text("utf-8"))
    full, cached = figures["runs"]
    assert (full["variant"], full["speed"]) == ("full", 1)
    assert full["frozen_layers"] == 0 and cached["curve"] == [[0, 1], [1, 1]]
    assert sum(full["cache_seconds"].values()) == 0 < cached["cache_seconds"]["compute"]
    for run in figures["runs"]:
        parts = {**run["seconds"]}
        assert parts.pop("all") == pytest.approx(sum(parts.values()))
        assert parts["forward"] > 0 and parts["backward"] > 0
    shares = json.loads((work_dir / "forward.json").read_text("utf-8"))
    assert shares.keys() == {"none", "1", "1+cache"}
    assert all(0 < share < 1 for share in shares.values())
    # The second epoch reads what the first one computed.
    from_cache = [row for row in figures["step_times"] if row["cached"]]
    assert [row["frozen_layers"] for row in from_cache] == [1]
    assert from_cache[0]["steps"] >= 24


def test_the_clock_of_a_run_leaves_out_the_turns_of_the_others(work_dir):
    for name in ("full-1", "static-1+cache-1"):
        results = json.loads((work_dir / name / "results.json").read_text("utf-8"))
        turns = json.loads((work_dir / name / "turns.json").read_text("utf-8"))
        assert turns["beside"] == ["full-1", "static-1+cache-1"]
        # A run is as long as its turns; a clock that went on would show about twice that.
        assert results["seconds"]["this_session"] == pytest.approx(turns["seconds"], rel=0.3)


def test_what_is_measured_is_not_run_again(work_dir):
    before = (work_dir / "full-1" / "results.json").stat().st_mtime_ns
    again = comparison(work_dir.parent)
    compare(again)
    assert (work_dir / "full-1" / "results.json").stat().st_mtime_ns == before
    again.num_train_epochs = 3.0
    with pytest.raises(UserError, match=r"measured with num_train_epochs=2\.0, this command has 3"):
        compare(again)


def test_time_stands_still_in_a_pause(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    stopped = types.SimpleNamespace(value=0.0)
    leave_out(stopped)
    assert time.monotonic() == 100
    stopped.value = 30.0
    assert time.monotonic() == 70


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("full", {}),
        ("static-embeddings", {"freeze_layers": -1, "freeze_policy": "static"}),
        ("static-2+cache", {"freeze_layers": 2, "activation_cache": "auto"}),
        ("autofreeze", {"freeze_policy": "autofreeze", "percentile": 60.0}),
        ("random+cache", {"freeze_policy": "random", "percentile": 60.0, "cache_dtype": "float16"}),
        ("autofreeze-75+cache", {"freeze_policy": "autofreeze", "percentile": 75}),
        ("random-5", {"freeze_policy": "random", "percentile": 5, "activation_cache": "off"}),
    ],
)
def test_variants_are_options(tmp_path, name, flags):
    """Flags of freezing reach the variants that they have an effect on, and no other."""
    given = options(
        tmp_path, percentile=60.0, freeze_metric="norm_sum", cache_dtype="float16", log_steps=5
    )
    run = make_run(given, Variant.parse(name), 7)
    run.options.check()
    assert (run.name, run.options.seed, run.options.log_steps) == (f"{name}-7", 7, 5)
    assert {flag: getattr(run.options, flag) for flag in flags} == flags
    assert (run.options.freeze_metric == "norm_sum") == name.startswith("autofreeze")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seed=3"], "--seed: the benchmark sets it"),
        (["--variants=full+cache"], "--variants: expected full, autofreeze"),
        (["--seeds=1;2"], "--seeds=1;2: expected integers"),
        (
            ["--experiment=depths", "--variants=full"],
            "--variants has no effect without --experiment=policies",
        ),
    ],
)
def test_bad_flags(tmp_path, flags, said):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.freezing", f"--work_dir={tmp_path}", *flags],
        env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ") and said in done.stderr


def results(accuracy, speed, frozen, decisions=(), evaluations=()):
    """Content of a results.json, as far as the reports read it."""
    phase = {"frozen_layers": None, "cached": False, "steps": 50, "ceiling": 1.0, "seconds": 10.0}
    cold = {**phase, "frozen_layers": frozen, "ceiling": 0.5}
    phase["median_seconds_per_1000_tokens"] = 0.2
    cold["median_seconds_per_1000_tokens"] = 0.12
    return {
        "metrics": {"dev": {"accuracy": accuracy, "loss": 1 - accuracy}},
        "evaluations": [{"step": s, "metrics": {"dev": m}} for s, m in evaluations],
        "examples_per_second": speed,
        "global_step": 100,
        "epochs": 2.0,
        "phases": [phase, cold] if frozen else [phase],
        "freezing": {"policy": "autofreeze", "frozen_layers": frozen, "decisions": decisions},
        "seconds": {"this_session": 30.0, "evaluation": 4.0, "checkpoints": 1.0, "tracing": 2.0},
        "environment": {"peak_memory_mb": 1024},
    }


def measured(variant, seed, found, *beside):
    return Measured(variant, seed, found, list(beside), {"none": 0.25, "2": 0.5})


def test_speeds_are_ratios_to_full_of_the_same_seed(tmp_path):
    decisions = [{"step": 40, "frozen": 0}, {"step": 60, "frozen": 2}]
    runs = [
        measured("full", 1, results(0.9, 100, 0), "full-1"),
        measured("autofreeze", 1, results(0.89, 200, 2, decisions), "full-1", "autofreeze-1"),
        measured("full", 2, results(0.91, 50, 0), "full-2"),
        measured("autofreeze", 2, results(0.92, 200, 2, decisions), "autofreeze-2"),
    ]
    # 20 s of steps, 2 of them for tracing; half of the time frozen, when a pass is half of a step.
    assert runs[1].seconds["forward"] == pytest.approx(18 * (0.25 + 0.5) / 2)
    assert runs[1].seconds["backward"] == pytest.approx(18 * (0.75 + 0.5) / 2)
    report = PolicyReport(runs)
    text = report.text()
    assert "| 2 (2 to 2) | 90.50 (89.00 to 92.00) | 200.0 (200.0 to 200.0) | 3.00x (2.00" in text
    assert "Measured at another time than full: autofreeze-2." in text
    assert "| autofreeze | 2 | 100 | 120.0 | 60% | 50% | +20% |" in text
    assert report.figures()["runs"][1]["curve"] == [(0.0, 0), (0.4, 0), (0.6, 2), (1.0, 2)]
    report.save_image(tmp_path / "report.png")


def test_depths_have_a_row_each_and_a_column_per_epoch(tmp_path):
    def run(variant, *accuracies):
        evaluations = [
            (50 * (i + 1), {"accuracy": a, "loss": 1 - a, "recall": a})
            for i, a in enumerate(accuracies)
        ]
        return measured(variant, 1, results(0.9, 10, 0, evaluations=evaluations))

    runs = [run("full", 0.8, 0.9), run("static-embeddings", 0.7, 0.8), run("static-1", 0.6, 0.7)]
    report = DepthReport(runs)
    text = report.text()
    assert "| frozen | dev accuracy, %: epoch 1 | epoch 2 |" in text
    assert "| embeddings | 70.00 | 80.00 |" in text and "| 1 layer | 0.400 | 0.300 |" in text
    report.save_image(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
