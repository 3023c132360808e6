"""Sweeps of a stand-in that ends at once: what runs, what is skipped, what fails, and where."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bert_tf import locks
from bert_tf.errors import UserError
from bert_tf.sweep import program, runner
from bert_tf.sweep.plan import make_plan
from tests import tiny
from tests.sweep.stand_in import sweep_options, write_program, write_results


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Runs a sweep of the stand-in; returns its exit status."""
    monkeypatch.setattr(runner, "PROGRAM", write_program(tmp_path))
    return lambda **flags: program.run(sweep_options(tmp_path, **flags))


def results(folder):
    return json.loads((folder / "sweep" / "results.json").read_text())


def sessions(folder):
    """{name of a run's folder without digest: how often it was started}."""
    found = (folder / "sweep" / "runs").glob("*/*/sessions.txt")
    return {path.parent.name.rpartition("-")[0]: len(path.read_text().split()) for path in found}


RATES = {"learning_rate": "2e-5,4e-5", "seeds": "1,2,3"}


def test_every_run_is_measured_once_and_tabulated(sweep, tmp_path, capsys):
    assert sweep(**RATES) == 0
    (worse, best) = results(tmp_path)["settings"]
    assert worse["setting"] == {"learning_rate": 2e-5} and not worse["best"]
    assert best["setting"] == {"learning_rate": 4e-5} and best["best"]
    for found, rate in ((worse, 2e-5), (best, 4e-5)):
        assert found["metric"] == "accuracy"
        assert found["median"] == pytest.approx(0.5 + 1000 * rate + 0.02)
        assert found["min"] == pytest.approx(0.5 + 1000 * rate + 0.01)
        assert found["max"] == pytest.approx(0.5 + 1000 * rate + 0.03)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "6 runs: tasks=sst-2, learning_rate=2e-5,4e-5, seeds=1,2,3"
    assert said[1].startswith("[1/6] sst-2 learning_rate=2e-5 seed=1: accuracy 0.5300 (")
    assert "; about " in said[1] and said[1].endswith(" left")
    assert said[6].startswith("[6/6] sst-2 learning_rate=4e-5 seed=3: accuracy 0.5700 (")

    assert sweep(**RATES) == 0
    assert set(sessions(tmp_path).values()) == {1}
    assert "6 done before" in capsys.readouterr().out


def test_a_sweep_that_grows_runs_what_is_new(sweep, tmp_path, capsys):
    sweep(learning_rate="2e-5", seeds="1")
    sweep(learning_rate="2e-5,4e-5", seeds="1,2")
    assert len(sessions(tmp_path)) == 4 and set(sessions(tmp_path).values()) == {1}
    assert [x["values"].keys() for x in results(tmp_path)["settings"]] == [{"1", "2"}, {"1", "2"}]
    capsys.readouterr()
    sweep(learning_rate="2e-5", seeds="1", num_train_epochs="1")
    assert "4 more folders of runs are of other flags or files" in capsys.readouterr().out
    (found,) = results(tmp_path)["runs"]
    assert found["flags"]["num_train_epochs"] == 1


def test_what_fails_is_listed_and_the_rest_runs(sweep, tmp_path, capsys):
    flags = {"weight_decay": "0.5,0.1", "seeds": "1,2"}
    assert sweep(**flags) == 1
    said = capsys.readouterr()
    assert "[1/4] sst-2 weight_decay=0.5 seed=1: failed: the disk is full" in said.out
    assert said.err == "error: 2 of 4 runs failed: the same command tries them again\n"
    found = results(tmp_path)["runs"]
    assert [x["status"] for x in found] == ["failed", "done", "failed", "done"]
    assert found[0]["error"] == "the disk is full"
    page = (tmp_path / "sweep" / "results.md").read_text()
    failed = page.partition("## Failed")[2]
    assert "| sst-2 weight_decay=0.5 seed=2 | the disk is full |" in failed
    assert f"{found[0]['folder']}/log.txt" in failed
    assert "0 of 2" in page and "| sst-2 | 0.1 | accuracy | **0.5650** |" in page
    assert sweep(**flags) == 1  # and those that are done are not run again
    assert sorted(sessions(tmp_path).values()) == [1, 1, 2, 2]


def test_a_run_that_a_signal_ends_or_that_says_nothing_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "PROGRAM", tmp_path / "broken.py")
    for code, error in (
        ("import os; print('half a line'); os.kill(os.getpid(), 9)", "ended by SIGKILL, last line"),
        ("import sys; sys.exit(3)", "exit status 3 without a word"),
        ("raise ValueError('broken')", "ValueError: broken"),
        ("", "it ended without results.json"),
    ):
        (tmp_path / "broken.py").write_text(code)
        assert program.run(sweep_options(tmp_path)) == 1
        assert results(tmp_path)["runs"][0]["error"].startswith(error)


def test_runs_side_by_side_have_their_cores_and_threads(sweep, tmp_path, monkeypatch):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert sweep(**RATES, parallel=2) == 0
    places = [json.loads(path.read_text()) for path in tmp_path.glob("sweep/runs/*/*/place.json")]
    half = len(cores) // 2
    assert {tuple(x["cores"]) for x in places} == {tuple(cores[:half]), tuple(cores[half:])}
    for place in places:
        threads = str(len(place["cores"]))
        assert place["OMP_NUM_THREADS"] == place["TF_NUM_INTRAOP_THREADS"] == threads
        assert place["CUDA_VISIBLE_DEVICES"] == "-1"
    assert all(x["status"] == "done" for x in results(tmp_path)["runs"])


def test_one_run_at_a_time_has_all_cores_and_the_environment(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    sweep()
    (place,) = tmp_path.glob("sweep/runs/*/*/place.json")
    found = json.loads(place.read_text())
    assert set(found["cores"]) == os.sched_getaffinity(0)
    assert found["OMP_NUM_THREADS"] == "7"


def test_devices_are_taken_in_turn(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    found = runner.make_slots(4)
    assert [slot.device for slot in found] == ["2", "5", "2", "5"]
    assert all(slot.environment()["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for slot in found)
    assert [slot.device for slot in runner.make_slots(2, ["0", "1"])] == ["0", "1"]
    (alone,) = runner.make_slots(1)
    assert alone.environment() == dict(os.environ)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(UserError, match=r"--parallel=999: expected \d+ at most, the cores there"):
        runner.make_slots(999)


def test_only_numbers_are_kept_where_models_are_not_wanted(sweep, tmp_path):
    sweep()
    (folder,) = tmp_path.glob("sweep/runs/*/*")
    assert (folder / "checkpoints").is_dir()
    (folder / "bert_config.json").write_text("{}")  # says which levers the model had
    sweep(keep_checkpoints=False)
    assert {path.name for path in folder.iterdir()} == {
        "bert_config.json", "log.txt", "results.json",
    }  # fmt: skip


def test_results_of_other_flags_are_refused(sweep, tmp_path):
    sweep(learning_rate="2e-5,4e-5")
    one, other = sorted(tmp_path.glob("sweep/runs/*/*"))
    (one / "results.json").write_bytes((other / "results.json").read_bytes())
    with pytest.raises(UserError) as refused:
        sweep(learning_rate="2e-5,4e-5")
    assert f"{one}/results.json: has the results of --learning_rate=4e-05" in str(refused.value)


def test_damaged_results_are_made_again(sweep, tmp_path):
    sweep()
    (path,) = tmp_path.glob("sweep/runs/*/*/results.json")
    path.write_text('{"metrics": ')
    assert sweep() == 0
    assert sessions(tmp_path) == {"seed=42": 2}


@pytest.mark.parametrize(
    "content",
    [{"metrics": {"dev": 3}}, {"metrics": {"dev": {"loss": 1.0}}}, {"metrics": [1]},
     {"metrics": {"dev": {"accuracy": None}}, "task": 7}],
)  # fmt: skip
def test_results_that_are_none_are_made_again(sweep, tmp_path, content):
    sweep()
    (path,) = tmp_path.glob("sweep/runs/*/*/results.json")
    path.write_text(json.dumps(content))
    assert sweep() == 0
    assert sessions(tmp_path) == {"seed=42": 2}


def test_what_was_measured_counts_though_the_run_fell_afterwards(sweep, tmp_path):
    program_file = tmp_path / "stand_in.py"
    program_file.write_text(program_file.read_text() + "os.kill(os.getpid(), 9)\n")
    assert sweep(seeds="1,2") == 0
    assert [run["status"] for run in results(tmp_path)["runs"]] == ["done", "done"]


def test_a_run_that_leaves_the_results_of_others_fails_alone(sweep, tmp_path):
    program_file = tmp_path / "stand_in.py"
    text = program_file.read_text()
    program_file.write_text(text.replace('"options": flags', '"options": {**flags, "seed": 1}'))
    assert sweep(seeds="1,2,3") == 1
    found = results(tmp_path)["runs"]
    assert [run["status"] for run in found] == ["done", "failed", "failed"]
    assert "has the results of --seed=1, expected those of 2" in found[1]["error"]


def test_one_sweep_at_a_time(sweep, tmp_path):
    (tmp_path / "sweep").mkdir()
    with locks.hold(tmp_path / "sweep" / ".lock"), pytest.raises(UserError) as refused:
        sweep()
    assert "another sweep is at work there" in str(refused.value)


def test_what_is_asked_for_is_drawn(sweep, tmp_path):
    sweep(**RATES, plot="learning_rate")
    picture = tmp_path / "sweep" / "plot_learning_rate.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


START = """
import sys
from bert_tf.sweep import runner
runner.PROGRAM = sys.argv.pop(1)
import run_sweep
run_sweep.cli_main()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_runs_end_with_the_sweep(tmp_path, end):
    options = sweep_options(tmp_path / "wait")
    (planned,) = make_plan(options)
    flags = [f"--{k}={getattr(options, k)}" for k in ("tasks", "output_dir")]
    flags.append(f"--data_dir={options.data_dir[0]}")
    command = [sys.executable, "-c", START, str(write_program(tmp_path)), *flags]
    process = subprocess.Popen(
        [*command, "--model_dir=minilm"], env=tiny.environment(), cwd=tiny.ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=_heed_interrupts,
    )  # fmt: skip
    pid = _within_seconds(lambda: int((planned.folder / "sessions.txt").read_text()))
    process.send_signal(end)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == (130 if end == signal.SIGINT else -end)
    assert _within_seconds(lambda: _has_ended(pid))
    if end == signal.SIGINT:
        assert said.endswith("interrupted\n")
    write_results(planned, 0.9)  # the lock of the sweep went with it
    assert program.run(options) == 0


def _heed_interrupts():
    """What a shell's background job, such as these tests may be, does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _within_seconds(found):
    for _ in range(400):
        try:
            if value := found():
                return value
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError("not within 20 seconds")


def _has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
