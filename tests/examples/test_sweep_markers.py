"""The sweep over the markers of a pre-training run, with the fine-tuning runs in this process."""

import json
import subprocess

import pytest

from bert_tf import files
from bert_tf.errors import UserError
from examples import sweep_markers


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "run"
    markers = [{"marker": share, "spent_seconds": 3600 * share} for share in (0.25, 0.5)]
    files.write_json(folder / "results.json", {"markers": markers, "spent_seconds": 3600.0})
    (folder / "bert_model.ckpt.index").touch()
    return folder


@pytest.fixture
def commands(monkeypatch):
    """The commands run, each of which leaves results: an accuracy that grows with their number."""
    seen = []

    def run(command, **_):
        seen.append(command)
        folder = next(c for c in command if c.startswith("--output_dir=")).partition("=")[2]
        value = 0.5 + 0.01 * len(seen)
        results = {"best": {"metric": "accuracy"}, "metrics": {"dev": {"accuracy": value}}}
        files.write_json(folder + "/results.json", results)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def sweep(run_dir, output_dir, **flags):
    values = {"run_dir": str(run_dir), "output_dir": str(output_dir), "seeds": "1,2", **flags}
    sweep_markers.main(sweep_markers.Options(**values))
    return json.loads((output_dir / "sweep.json").read_text())["points"]


def test_every_marker_and_the_random_shape_are_fine_tuned(run_dir, commands, tmp_path):
    points = sweep(
        run_dir, tmp_path / "sweep", classifier_flags="--task_name=sst-2 --data_dir='a b'"
    )
    assert [p["model"] for p in points] == ["random", "marker-0.25", "marker-0.5", "final"]
    assert [p["hours"] for p in points] == [0, 0.25, 0.5, 1.0]
    assert [len(p["values"]) for p in points] == [2] * 4
    assert (tmp_path / "sweep" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert len(commands) == 8
    assert all("--data_dir=a b" in command for command in commands)
    assert f"--model_dir={run_dir / 'marker-0.25'}" in commands[2]
    assert f"--bert_config_file={run_dir / 'marker-0.25' / 'bert_config.json'}" in commands[0]
    assert not any("--model_dir" in flag for flag in commands[0])


def test_what_is_done_is_not_done_again(run_dir, commands, tmp_path):
    first = sweep(run_dir, tmp_path / "sweep")
    done = len(commands)
    assert sweep(run_dir, tmp_path / "sweep") == first
    assert len(commands) == done


def test_a_run_without_a_model_is_refused(tmp_path):
    files.write_json(tmp_path / "results.json", {"markers": []})
    with pytest.raises(UserError, match="neither markers nor a final model"):
        sweep(tmp_path, tmp_path / "sweep")
