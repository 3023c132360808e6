"""run_sweep.py on a tiny model: killed in the middle, gone on with, and its table."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time

from tests import tiny

FLAGS = {
    "tasks": "sst-2",
    "learning_rate": "1e-3,1e-2",
    "seeds": "1",
    "max_seq_length": "16",
    "num_train_epochs": "4",
    "train_batch_size": "8",
    "save_checkpoints_steps": "2",
    "keep_checkpoints": "false",
}


def test_a_sweep_that_is_killed_goes_on_and_ends_in_the_right_table(tmp_path):
    tiny.make_model(tmp_path / "model")
    tiny.make_sst2(tmp_path / "glue_data" / "SST-2")
    folders = {"data_dir": tmp_path / "glue_data", "model_dir": tmp_path / "model"}
    values = {**FLAGS, **folders, "output_dir": tmp_path / "sweep"}
    flags = [f"--{name}={value}" for name, value in values.items()]
    command = [sys.executable, str(tiny.ROOT / "run_sweep.py"), *flags]
    process = subprocess.Popen(
        [*command, f"--parallel={min(2, len(os.sched_getaffinity(0)))}"],
        env=tiny.environment(), start_new_session=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    runs = tmp_path / "sweep" / "runs" / "sst-2"
    try:
        while not list(runs.glob("*/training_state.json")):
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(0.5)  # the runs end with it
    done = subprocess.run(
        command, env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout

    results = json.loads((tmp_path / "sweep" / "results.json").read_text())
    assert [row["setting"] for row in results["settings"]] == [
        {"learning_rate": 1e-3}, {"learning_rate": 1e-2},
    ]  # fmt: skip
    for row, run in zip(results["settings"], results["runs"], strict=True):
        own = json.loads((tmp_path / "sweep" / run["folder"] / "results.json").read_text())
        assert row["metric"] == "accuracy"
        assert row["median"] == statistics.median(row["values"].values())
        assert row["values"] == {"1": own["metrics"]["dev"]["accuracy"]}
        assert (
            own["global_step"] == 20
            and own["options"]["learning_rate"] == row["setting"]["learning_rate"]
        )
        kept = {path.name for path in (tmp_path / "sweep" / run["folder"]).iterdir()}
        assert "results.json" in kept and "bert_model.ckpt.index" not in kept
    # A run went on from its state; what was measured is that of a run from the start.
    logs = [(runs / path / "log.txt").read_text() for path in os.listdir(runs)]
    assert any("going on from step" in log for log in logs), logs[0][-2000:]
    alone = tiny.run(
        do_train=True, do_eval=True, task_name="sst-2", data_dir=tmp_path / "glue_data" / "SST-2",
        model_dir=tmp_path / "model", output_dir=tmp_path / "alone", learning_rate=1e-2, seed=1,
        num_train_epochs=4.0, train_batch_size=8, save_checkpoints_steps=2, max_seq_length=16,
    )  # fmt: skip
    found = results["settings"][1]
    assert found["median"] == alone["metrics"]["dev"]["accuracy"]
    # Features were made once for all runs.
    assert len(list((tmp_path / "sweep" / "features" / "train").iterdir())) == 1
