"""choose_subnetwork.py as a user runs it."""

import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import choose_subnetwork
import export_subnetwork
from bert_tf import files
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.dynabert.export import RECORD
from bert_tf.errors import UserError
from tests import tiny

TASK = {"task_name": "sst-2", "labels": ["0", "1"], "max_seq_length": 16, "do_lower_case": True}
TRAINED = {"widths": [1.0, 0.5], "depths": [1.0, 0.5], "depth_rule": "keep_last", "rewired": True}
GRID = ["w1_d1", "w0.5_d1", "w1_d0.5", "w0.5_d0.5"]
QUICK = {"latency_rounds": 2, "latency_length": 8}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def elastic(tmp_path_factory):
    """A classifier of SST-2 of two layers and four heads, trained to half of each."""
    return tiny.make_classifier(
        tmp_path_factory.mktemp("elastic") / "m", TASK["labels"], TASK, num_attention_heads=4,
        num_hidden_layers=2, extra={RECORD: TRAINED},
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_sst2(tmp_path_factory.mktemp("data") / "sst2")


def call(**values):
    """Runs the program in this process; returns the content of its report."""
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    choose_subnetwork.main(choose_subnetwork.Options(given=frozenset(values), **values))
    return report_of(values["output_dir"])


def report_of(folder):
    return json.loads((pathlib.Path(folder) / "subnetworks.json").read_text(encoding="utf-8"))


def parameters_of(folder):
    return sum(array.size for array in load_model(folder).arrays.values())


def accuracy(model_dir, data, output_dir):
    results = tiny.run(do_eval=True, model_dir=model_dir, data_dir=data, output_dir=output_dir)
    return results["metrics"]["dev"]


def test_from_the_command_line_to_the_best_within_a_limit(elastic, data, tmp_path):
    done = subprocess.run(
        [
            sys.executable, str(tiny.ROOT / "choose_subnetwork.py"), f"--model_dir={elastic}",
            f"--data_dir={data}", f"--output_dir={tmp_path / 'report'}", "--latency_rounds=2",
            "--latency_length=8", "--max_parameters=4000", f"--export_dir={tmp_path / 'small'}",
        ],
        env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:5] == ["name", "layers", "heads", "neurons", "accuracy"]
    assert [line[0] for line in lines[1:5]] == GRID
    assert lines[4][1:4] == ["1", "2", "16"]
    found = report_of(tmp_path / "report")
    best = found["subnetworks"][found["chosen"]]
    assert best["parameters"] == parameters_of(tmp_path / "small") <= 4000
    within = [x for x in found["subnetworks"].values() if x["parameters"] <= 4000]
    assert 1 < len(within) < 4
    assert best["metrics"]["dev"]["accuracy"] == max(
        x["metrics"]["dev"]["accuracy"] for x in within
    )
    assert f"Best within the limits: {found['chosen']}" in done.stdout
    command = f"choose_subnetwork.py --model_dir={elastic}"
    assert found["command"].startswith(command) and found["options"] == {"data_dir": str(data)}
    origin = json.loads((tmp_path / "small" / "origin.json").read_text())
    assert (origin["command"], origin["model"]) == (found["command"], str(elastic))
    # The small model is what was measured.
    metrics = accuracy(tmp_path / "small", data, tmp_path / "eval")
    assert metrics == pytest.approx(best["metrics"]["dev"], abs=1e-5)


def test_the_report(elastic, data, tmp_path):
    found = call(model_dir=elastic, data_dir=data, output_dir=tmp_path / "out", **QUICK)
    assert list(found["subnetworks"]) == sorted(GRID)
    small = found["subnetworks"]["w0.5_d0.5"]
    assert (small["layers"], small["heads"], small["neurons"]) == ([1], [2], [16])  # keep_last
    assert found["rows"] == {"dev": 20} and found["limits"]["parameters"] is None
    assert found["latency"] == {"batch_size": 1, "length": 8, "rounds": 2}
    assert len(found["model_digest"]) == 32 and found["environment"]["tensorflow"]
    whole = found["subnetworks"]["w1_d1"]
    assert whole["latency_ms"]["of_whole"] == 1
    assert 0 < small["latency_ms"]["median"] <= small["latency_ms"]["p95"]
    assert whole["metrics"]["dev"] == pytest.approx(accuracy(elastic, data, tmp_path / "e"))
    assert {x["kind"] for x in found["subnetworks"].values()} == {"grid"}
    cheapest = [x for x in found["subnetworks"].values() if "parameters" in x["pareto"]]
    assert small in cheapest
    with open(tmp_path / "out" / "subnetworks.csv", encoding="utf-8") as f:
        rows = {row["name"]: row for row in csv.DictReader(f)}
    assert rows["w1_d0.5"]["heads"] == "4" and rows["w1_d1"]["layers"] == "0 1"
    assert int(rows["w1_d1"]["parameters"]) == whole["parameters"] == parameters_of(elastic)
    assert float(rows["w0.5_d1"]["dev_accuracy"]) <= 1
    assert (tmp_path / "out" / "subnetworks.png").read_bytes().startswith(b"\x89PNG")


def test_named_ones_a_sample_of_rows_and_no_clock(elastic, data, tmp_path, capsys):
    mine = {"layers": [0], "heads": [3], "neurons": [5]}
    files.write_json(tmp_path / "mine.json", {"mine": mine})
    found = call(
        model_dir=elastic, data_dir=data, output_dir=tmp_path / "out", width_mult_list="0.25",
        depth_mult_list="1.0", subnetworks=tmp_path / "mine.json", max_eval_examples=8,
        latency_rounds=0,
    )  # fmt: skip
    assert set(found["subnetworks"]) == {
        "w1_d1",
        "w0.25_d1",
        "mine",
    }  # the whole one is always there
    assert found["subnetworks"]["mine"]["kind"] == "named"
    assert found["rows"] == {"dev": 8} and found["subnetworks"]["mine"]["latency_ms"] is None
    # A report is a file of sub-networks, too: its uniform ones are those of the grid.
    again = call(
        model_dir=elastic, data_dir=data, output_dir=tmp_path / "again", latency_rounds=0,
        subnetworks=tmp_path / "out" / "subnetworks.json",
    )  # fmt: skip
    assert set(again["subnetworks"]) == {*GRID, "mine", "w0.25_d1"}
    head = capsys.readouterr().out.splitlines()[0].split()
    assert head[-3:] == ["GFLOPs", "MB", "Pareto"]


@pytest.mark.parametrize("search", ["greedy", "evolution"])
def test_a_mix_within_a_limit(elastic, data, tmp_path, search):
    most = 4800
    flags = {
        "model_dir": elastic, "data_dir": data, "latency_rounds": 0, "search": search,
        "max_parameters": most, "search_examples": 16,
    }  # fmt: skip
    if search == "evolution":
        flags["search_generations"] = 2
    found = call(**flags, output_dir=tmp_path / "out")
    mixed = found["subnetworks"]["mix_0.0048M"]
    assert mixed["kind"] == "mixed" and mixed["parameters"] <= most
    assert found["search"]["rows"] == 16 and found["search"]["evaluations"] > 8
    assert found["search"]["rows_digest"] not in found["rows_digest"].values()
    again = call(**flags, output_dir=tmp_path / "again")
    assert again["subnetworks"] == found["subnetworks"]
    export_subnetwork.main(export_subnetwork.Options(
        model_dir=str(elastic), subnetworks=str(tmp_path / "out" / "subnetworks.json"),
        name="mix_0.0048M", output_dir=str(tmp_path / "small"),
        given=frozenset({"subnetworks", "name"}),
    ))  # fmt: skip
    metrics = accuracy(tmp_path / "small", data, tmp_path / "eval")
    assert metrics == pytest.approx(mixed["metrics"]["dev"], abs=1e-5)


def test_a_mix_for_the_cost_of_each_uniform_one(elastic, data, tmp_path):
    found = call(
        model_dir=elastic, data_dir=data, output_dir=tmp_path / "out", latency_rounds=0,
        search="greedy", search_cost="flops", search_examples=16, depth_mult_list="1",
        width_mult_list="0.75,0.5,0.25",
    )  # fmt: skip
    parts = found["subnetworks"]
    mixes = {name: x for name, x in parts.items() if x["kind"] == "mixed"}
    assert mixes and found["search"]["cost"] == "flops"
    assert set(mixes) <= set(found["search"]["targets"])
    for name, mixed in mixes.items():
        assert mixed["flops"] <= parts[name.removeprefix("mix_")]["flops"]
    assert len({(*x["heads"], *x["neurons"], *x["layers"]) for x in parts.values()}) == len(parts)


def test_a_limit_of_latency(elastic, data, tmp_path):
    found = call(
        model_dir=elastic, data_dir=data, output_dir=tmp_path / "out", search="greedy",
        max_latency_ms=1e4, search_examples=8, **QUICK,
    )  # fmt: skip
    assert found["search"]["cost"] == "latency" and found["search"]["targets"] == ["mix_10000ms"]
    assert found["chosen"]


def test_regression_and_files_of_ones_own(tmp_path):
    texts, labels = tiny.sentences(24)
    rows = [("text", "label"), *zip(texts, map(float, labels), strict=True)]
    path = tiny.write_rows(tmp_path / "rows.tsv", rows)
    model = tiny.make_classifier(tmp_path / "m", None, num_attention_heads=4)
    found = call(
        model_dir=model, task_name="custom", dev_file=path, train_file=path, regression=True,
        output_dir=tmp_path / "out", search="greedy", width_mult_list="1,0.5",
        depth_mult_list="1", search_examples=8, latency_rounds=0,
    )  # fmt: skip
    assert found["metric"] == "pearson" and "w0.5_d1" in found["subnetworks"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"output_dir": None}, "--output_dir is required"),
        ({"model_dir": None}, "give one of --model_dir and --checkpoint: the elastic model"),
        ({"width_mult_list": "0.5,2"}, "--width_mult_list=0.5,2: expected numbers in"),
        ({"width_mult_list": "0.1"}, "width 0.1 keeps no head of 4"),
        ({"depth_mult_list": "0.2"}, "depth 0.2 keeps no layer of 2"),
        ({"subnetworks": "no.json"}, "no.json: cannot read the file of sub-networks"),
        ({"subnetworks": "{t}"}, "two sub-networks have the name w0.5_d1"),
        (
            {"max_parameters": 9},
            r"within --max_parameters=9: the smallest there is: w0.5_d0.5 with",
        ),
        ({"max_mb": 1e-6, "max_parameters": 9}, "within --max_parameters=9 and --max_mb=1e-06"),
        ({"max_latency_ms": 9.0}, "--max_latency_ms has no effect without --latency_rounds"),
        ({"search": "greedy", "search_at": "limit"}, "--search_at=limit: give a limit"),
        ({"search": "greedy", "search_cost": "latency"}, "--search_cost=latency measures layers"),
        ({"export_dir": "{o}"}, "is the folder of the report"),
        ({"export_dir": "{m}"}, "--export_dir=.*holds the model to start from"),
        ({"export_dir": "{d}"}, "--export_dir=.*holds files already"),
        ({"output_dir": "{m}"}, "--output_dir=.*holds the model to start from"),
        ({"data_dir": None}, "--data_dir is required"),
        ({"data_dir": "nowhere"}, "--data_dir=nowhere: no such folder"),
        ({"task_name": "mnli"}, "its classifier is"),
    ],
)
def test_bad_input(elastic, data, tmp_path, values, message):
    twin = {"w0.5_d1": {"layers": [0], "heads": [1], "neurons": [1]}}
    files.write_json(tmp_path / "twin.json", twin)
    places = {"m": elastic, "o": tmp_path / "o", "d": data, "t": tmp_path / "twin.json"}
    values = {
        "model_dir": "{m}", "data_dir": "{d}", "output_dir": "{o}", "latency_rounds": 0, **values
    }  # fmt: skip
    values = {k: v.format(**places) if isinstance(v, str) else v for k, v in values.items()}
    with pytest.raises(UserError, match=message):
        call(**{k: v for k, v in values.items() if v is not None})
    assert not (tmp_path / "o" / "subnetworks.json").exists()


def test_a_limit_that_no_mix_meets_is_refused_before_the_search(elastic, data, tmp_path):
    flags = {**QUICK, "search": "greedy", "max_parameters": 100}
    with pytest.raises(
        UserError, match=r"max_parameters=100: .* the narrowest of layers \[1\] with"
    ):
        call(model_dir=elastic, data_dir=data, output_dir=tmp_path / "out", **flags)


def test_a_limit_that_none_meets_leaves_the_report(elastic, data, tmp_path):
    with pytest.raises(UserError, match=r"within --max_latency_ms=1e-06: the smallest there is: w"):
        call(
            model_dir=elastic, data_dir=data, output_dir=tmp_path / "out", max_latency_ms=1e-6,
            export_dir=tmp_path / "small", **QUICK,
        )  # fmt: skip
    assert report_of(tmp_path / "out")["chosen"] is None
    assert not (tmp_path / "small").exists()


def test_a_model_without_a_head_or_without_training(elastic, data, tmp_path, caplog):
    model = load_model(elastic)
    bare = {k: v for k, v in model.arrays.items() if not k.startswith("output_")}
    save_model_folder(tmp_path / "bare", model.config, bare, model.vocab_file)
    flags = {"data_dir": data, "output_dir": tmp_path / "o", "latency_rounds": 0}
    with pytest.raises(UserError, match="holds no classifier"):
        call(model_dir=tmp_path / "bare", task_name="sst-2", **flags)
    plain = model.config.replace(extra={})
    save_model_folder(tmp_path / "plain", plain, model.arrays, model.vocab_file, model.task)
    found = call(model_dir=tmp_path / "plain", depth_mult_list="0.5", **flags)
    assert "was never trained to sub-networks" in caplog.text
    assert set(found["subnetworks"]) == {
        "w1_d1", "w1_d0.5", "w0.75_d0.5", "w0.5_d0.5", "w0.25_d0.5",
    }  # fmt: skip
    assert np.isfinite(found["subnetworks"]["w0.25_d0.5"]["metrics"]["dev"]["loss"])
