"""The rows of the model zoo are those of a sweep and of a benchmark, or there are none."""

import dataclasses
import json

import pytest

from bert_tf.errors import UserError
from bert_tf.sweep.outcomes import read_outcome
from bert_tf.sweep.plan import make_plan
from bert_tf.sweep.table import Table
from tests import pages
from tests.sweep.stand_in import sweep_options, write_results

VALUES = {"dense": (0.90, 0.88, 0.89), "cut 90": (0.86, None, 0.85), "frozen": (None, None, None)}
PARAMETERS = {"dense": 22_700_000, "cut 90": 13_000_000}


@pytest.fixture(scope="module")
def zoo():
    """The program docs/zoo_rows.py as a module."""
    return pages.program("zoo_rows")


@pytest.fixture
def sweep(tmp_path):
    """The folder of a sweep of three variants and three seeds, some of which are done."""
    for name, config in (("minilm", {}), ("cut", {"pruned_layers_dim": {"a_p/kernel": 3}})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bert_config.json").write_text(json.dumps(config))
    options = sweep_options(
        tmp_path,
        seeds="1,2,3",
        variant=(
            f"dense: --model_dir={tmp_path / 'minilm'}",
            f"cut 90: --model_dir={tmp_path / 'cut'} --teacher_model_dir={tmp_path / 'minilm'}"
            " --learning_rate=1e-4",
            f"frozen: --model_dir={tmp_path / 'minilm'} --freeze_layers=4",
        ),
    )
    runs = make_plan(
        dataclasses.replace(options, model_dir=(), given=options.given - {"model_dir"})
    )
    for run in runs:
        name = run.setting["variant"]
        value = VALUES[name][run.seed - 1]
        if value is not None:
            write_results(run, value, parameters={"total": PARAMETERS[name] + 770})
    found = {run.folder: outcome for run in runs if (outcome := read_outcome(run))}
    Table(runs, found, {}).write(tmp_path / "sweep", "run_sweep.py")
    return tmp_path / "sweep"


def latencies(folder, **parameters):
    """Writes what benchmarks.latency says of `minilm` and `cut`; returns the file."""
    known = {"minilm": PARAMETERS["dense"], "cut": PARAMETERS["cut 90"], **parameters}
    found = {
        "models": {x: {"bytes": 4 * count, "parameters": count} for x, count in known.items()},
        "folders": {x: str(folder / x) for x in known},
        "latency": {
            "8x128": {
                "minilm": {"p50": 0.113, "ratio": [1, 1, 1]},
                "cut": {"p50": 0.0373, "ratio": [0.33, 0.3, 0.4]},
            }
        },
    }
    path = folder / "latency.json"
    path.write_text(json.dumps(found))
    return path


def test_rows_have_what_was_measured(zoo, sweep, tmp_path):
    dense, cut = zoo.rows([str(sweep), str(latencies(tmp_path))])
    assert dense["median (range)"] == "0.8900 (0.8800 to 0.9000)"
    assert [dense[x] for x in ("task", "lever", "setting", "seeds")] == [
        "sst-2", "dense", "dense", "3",
    ]  # fmt: skip
    assert [cut[x] for x in ("lever", "setting", "seeds", "MB", "latency, 8 x 128")] == [
        "pruned + teacher", "cut 90", "2", "52.0", "37.3 ms, 0.33x",
    ]  # fmt: skip
    assert cut["command"].startswith("`run_classifier.py --do_train --do_eval")
    assert "--learning_rate=0.0001 --seed=1 --teacher_model_dir=" in cut["command"]
    assert "output_dir" not in cut["command"] and "feature_dir" not in cut["command"]


def test_what_was_not_measured_stays_empty(zoo, sweep, capsys):
    assert zoo.main([str(sweep)]) == 0
    head, rule, *lines = capsys.readouterr().out.splitlines()
    names = [cell.strip() for cell in head.strip("|").split(" | ")]
    assert names[:6] == ["task", "lever", "setting", "metric", "median (range)", "seeds"]
    assert not any(name.startswith("latency") for name in names)
    assert len(lines) == 2 and {line.count("|") for line in (head, rule, *lines)} == {10}


def test_a_model_of_another_size_is_refused(zoo, sweep, tmp_path):
    with pytest.raises(UserError, match="13,000,770 parameters"):
        zoo.rows([str(sweep), str(latencies(tmp_path, cut=22_000_000))])


def test_other_files_are_refused_in_one_line(zoo, tmp_path, capsys):
    (tmp_path / "other.json").write_text("{}")
    for path in (tmp_path / "other.json", tmp_path / "none"):
        assert zoo.main([str(path)]) == 1
        assert capsys.readouterr().err.startswith(f"error: {path}")
    assert zoo.main([]) == 1
