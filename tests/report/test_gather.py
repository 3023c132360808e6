"""What a folder says of its run is what the report says; what it does not say is missing."""

import json

import pytest

from bert_tf.errors import UserError
from bert_tf.report import compare
from bert_tf.report.gather import gather
from tests import tiny
from tests.report import made


@pytest.fixture
def folder(tmp_path):
    return made.several(tmp_path / "runs")


def entries_of(*paths):
    return {entry.path.rsplit("/", 1)[1]: entry for entry in gather(map(str, paths))}


def rows_of(*paths, baseline=None):
    return {row.name: row for row in compare.rows(gather(map(str, paths)), baseline)}


def test_the_numbers_are_those_of_the_runs(folder):
    found = entries_of(folder)
    assert sorted(found) == ["begun", "broken", "dense", "frozen", "killed", "small"]
    dense = found["dense"]
    assert (dense.task, dense.split, dense.metric, dense.value) == ("sst-2", "dev", "accuracy", 0.9)
    assert (dense.parameters, dense.megabytes, dense.seconds) == (2_000_000, 8.0, 120.0)
    assert (dense.latency_ms, dense.latency_shape) == (50.0, "8 x 128")
    assert (dense.rows, dense.epochs, dense.steps, dense.seed) == (1000, 3.0, 90, 1)
    assert dense.command == "run_classifier.py --do_train=true" and not dense.rebuilt
    assert found["frozen"].seconds is None and found["frozen"].latency_ms is None


def test_levers_are_what_flags_results_and_configuration_say(tmp_path):
    runs = {
        "dense": ({}, {}),
        "teacher": ({"teacher_model_dir": "t"}, {}),
        "frozen layers + cache": ({"freeze_layers": 2, "activation_cache": "auto"}, {}),
        "AutoFreeze": ({"freeze_policy": "autofreeze"}, {}),
        "random freezing": ({"freeze_policy": "random"}, {}),
        "budget": ({"budget": "1h"}, {}),
        "augmentation": ({"data_aug": True}, {}),
        "elastic": ({"training_phase": "dynabertw", "width_mult_list": "0.5,1.0"}, {}),
        "sub-network": ({}, {"attention_head_size": 8, "num_attention_heads": 1}),
        "pruned": ({}, {"pruned_layers_dim": {"a": 1}}),
        "pruned + teacher": ({"teacher_model_dir": "t"}, {"pruned_layers_dim": {"a": 1}}),
    }
    off = {
        "freeze_layers": 0, "activation_cache": "off", "width_mult_list": "1.", "data_aug": False,
        "training_phase": "finetuning",
    }  # fmt: skip
    for i, (options, config) in enumerate(runs.values()):
        made.run(tmp_path / f"{i:02}", {**off, **options}, config)
    state = {"identity": {"mask training": True}, "step": 90}
    masked = made.run(tmp_path / "99", {}, {"pruned_layers_dim": {"a": 1}})
    made.write(masked / "training_state.json", state)
    assert [x.lever for x in gather([str(tmp_path)])] == [*runs, "masks"]


def test_an_evaluation_has_the_levers_of_what_it_measures(tmp_path):
    model = made.run(tmp_path / "model", {"freeze_layers": 2, "seed": 7}, megabytes=5)
    made.run(
        tmp_path / "eval",
        {"do_train": False, "freeze_layers": 0, "seed": 42, "model_dir": str(model)},
        megabytes=None, train_examples=None, parameters=None,
    )  # fmt: skip
    found = entries_of(tmp_path)["eval"]
    assert (found.kind, found.lever, found.seed, found.megabytes, found.seconds, found.rows) == (
        "evaluation", "frozen layers", 7, 5.0, None, 1000,
    )  # fmt: skip


def test_states_of_runs_that_did_not_end(folder):
    found = entries_of(folder)
    states = {name: (x.status, x.note) for name, x in found.items() if x.status != "finished"}
    note = states["broken"][1]
    assert states == {
        "begun": ("unfinished", "ended before it saved anything"),
        "killed": ("unfinished", "saved at step 40 of 90, no results"),
        "broken": ("unreadable", note),
    }
    assert "the results of the run is not valid JSON" in note
    assert found["killed"].task == "sst-2" and found["killed"].seed == 2


@pytest.mark.parametrize("value", [[], "text", None, 7, {"dev": []}, {"dev": {"accuracy": "high"}}])
@pytest.mark.parametrize("key", ["metrics", "options", "seconds", "parameters", "environment"])
def test_results_of_any_shape_are_missing_numbers(tmp_path, key, value):
    folder = made.run(tmp_path / "run")
    results = json.loads((folder / "results.json").read_text())
    made.write(folder / "results.json", {**results, key: value})
    (entry,) = gather([str(tmp_path)])
    assert entry.status == "finished"
    if key == "metrics":
        assert (entry.value, entry.metric) == (None, None)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1" * 400, "true", "1e300"])
def test_a_number_that_is_none_is_missing(tmp_path, value):
    (tmp_path / "run").mkdir()
    text = '{"task": "rte", "metrics": {"dev": {"accuracy": %s}}, "seconds": {"total": %s}}'
    (tmp_path / "run" / "results.json").write_text(text % (value, value))
    (entry,) = gather([str(tmp_path)])
    assert entry.value is None and entry.seconds is None


def test_what_counts_of_several_metrics(tmp_path):
    metrics = {"accuracy": 0.7, "matthews_corrcoef": 0.3, "f1": 0.8}
    views = {"f1_w0.5_d1": 0.6, "f1_w1_d1": 0.8, "mean_f1": 0.7}
    cases = {
        "a": ({"metrics": {"dev": metrics}, "metric": "f1"}, "f1", ""),
        "b": ({"metrics": {"dev": metrics}, "metric": None}, "matthews_corrcoef", ""),
        "c": ({"metrics": {"dev": {"masked_lm_loss": 2.0, "loss": 3.0}}}, "masked_lm_loss", ""),
        "d": (
            {"metrics": {"dev": views}, "metric": "f1"},
            "f1", "f1 of w1_d1, mean of 2: 0.7000",
        ),
    }  # fmt: skip
    for name, (changes, _, _) in cases.items():
        made.run(tmp_path / name, **changes)
    found = entries_of(tmp_path)
    for name, (_, metric, note) in cases.items():
        assert (found[name].metric, found[name].note) == (metric, note)
    assert found["d"].value == 0.8


def test_each_run_beside_the_dense_one(folder):
    found = rows_of(folder)
    small = found["small"]
    assert small.baseline.path.endswith("dense") and not small.is_baseline
    assert small.difference == pytest.approx(-0.02)
    assert small.shares == pytest.approx(
        {"megabytes": 0.5, "latency_ms": 0.4, "seconds": 0.5, "parameters": 0.5}
    )
    assert found["dense"].is_baseline
    assert set(found["frozen"].shares) == {"megabytes", "parameters"}  # it has nothing else


def test_the_baseline_has_the_seed_the_rows_and_the_size(tmp_path):
    for seed in (1, 2):
        made.run(tmp_path / f"dense{seed}", {"seed": seed})
        made.run(tmp_path / f"shallow{seed}", {"seed": seed}, parameters={"total": 1_000})
        made.run(tmp_path / f"frozen{seed}", {"seed": seed, "freeze_layers": 1})
    made.run(tmp_path / "few", {"seed": 1}, train_examples=100, parameters={"total": 1_000})
    made.run(tmp_path / "few-frozen", {"seed": 2, "freeze_layers": 1}, train_examples=100)
    made.run(tmp_path / "other", {"freeze_layers": 1}, task="rte")
    found = rows_of(tmp_path)
    base = {
        name: row.baseline and row.baseline.path.rsplit("/", 1)[1] for name, row in found.items()
    }
    assert base == {
        "dense1": "dense1", "dense2": "dense2", "shallow1": "dense1", "shallow2": "dense2",
        "frozen1": "dense1", "frozen2": "dense2", "few": "few", "few-frozen": "few", "other": None,
    }  # fmt: skip
    named = rows_of(tmp_path, baseline=str(tmp_path / "frozen2"))
    assert {
        row.baseline.path.rsplit("/", 1)[1] for name, row in named.items() if name != "other"
    } == {"frozen2"}
    with pytest.raises(UserError, match="--baseline=none: is none of the runs"):
        rows_of(tmp_path, baseline="none")


def test_a_baseline_of_other_rows_is_said_so(tmp_path):
    made.run(tmp_path / "dense", train_examples=500)
    made.run(tmp_path / "frozen", {"freeze_layers": 1})
    assert rows_of(tmp_path)["frozen"].note == "the baseline has 500 rows"


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path):
    for parent in ("a", "b/c"):
        made.run(tmp_path / parent / "run")
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "c" / "run"]
    assert list(rows_of(*paths)) == ["a/run", "b/c/run"]
    assert list(rows_of(tmp_path, paths[0], paths[0] / "results.json")) == ["a/run", "b/c/run"]


def test_subnetworks_and_exports(tmp_path):
    model = made.run(tmp_path / "model")
    part = {
        "metrics": {"dev": {"accuracy": 0.8}}, "parameters": 5, "megabytes": 2.5,
        "latency_ms": {"median": 7.5},
    }  # fmt: skip
    made.write(
        tmp_path / "choice" / "subnetworks.json",
        {
            "task": "sst-2", "metric": "accuracy", "model": str(model),
            "latency": {"batch_size": 1, "length": 128}, "subnetworks": {"w1_d1": part, "w0.5": {}},
        },
    )  # fmt: skip
    made.write(
        tmp_path / "exported" / "onnx" / "export.json",
        {
            "format": "onnx", "precision": "int8", "task": "sst-2", "model": f"{model} (a folder)",
            "files": {"model.onnx": {"bytes": 3_000_000}},
            "check": {"random": False, "metric": "accuracy", "after": 0.895},
        },
    )  # fmt: skip
    found = rows_of(tmp_path)
    whole = found["choice w1_d1"]
    assert (whole.entry.latency_ms, whole.entry.latency_shape) == (7.5, "1 x 128")
    assert whole.entry.megabytes == 2.5 and whole.difference == pytest.approx(-0.1)
    assert found["choice w0.5"].entry.value is None
    onnx = found["exported/onnx onnx"]
    assert (onnx.entry.lever, onnx.entry.megabytes, onnx.entry.parameters) == (
        "int8",
        3.0,
        2_000_000,
    )
    assert onnx.difference == pytest.approx(-0.005)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"dataset": "hf:a"}, {"dataset": "hf:b"}),
        ({"dataset": "hf:a", "dev_split": "test"}, {"dataset": "hf:a"}),
        ({"dataset": "hf:a", "dev_fraction": 0.1, "split_seed": 1},
         {"dataset": "hf:a", "dev_fraction": 0.1, "split_seed": 2}),
        ({"dev_file": "x/dev.tsv"}, {"dev_file": "y/dev.tsv"}),
        ({"data_dir": "x/conll"}, {"data_dir": "y/conll"}),
        ({"predict_file": "dev-v1.json"}, {"predict_file": "dev-v2.json"}),
        ({"dev_file": "dev.tsv", "label_column": "a"}, {"dev_file": "dev.tsv",
         "label_column": "b"}),
    ],
)  # fmt: skip
def test_runs_of_other_rows_are_not_compared(tmp_path, one, other):
    """Tasks of one name: tagging, squad and custom are what the files make them."""
    made.run(tmp_path / "dense", one, task="custom")
    made.run(tmp_path / "frozen", {**one, "freeze_layers": 1}, task="custom")
    made.run(tmp_path / "other", {**other, "freeze_layers": 1}, task="custom")
    found = rows_of(tmp_path)
    assert found["frozen"].baseline is found["dense"].entry
    assert found["other"].baseline is None
    assert found["frozen"].group != found["other"].group


def test_a_known_task_is_itself_wherever_its_files_lie(tmp_path):
    made.run(tmp_path / "dense", {"data_dir": "here/SST-2"})
    made.run(tmp_path / "frozen", {"data_dir": "there/SST-2", "freeze_layers": 1})
    assert rows_of(tmp_path)["frozen"].baseline.path.endswith("dense")


def test_the_split_is_the_one_that_the_run_names(tmp_path):
    metrics = {"dev_matched": {"accuracy": 0.1}, "dev_mismatched": {"accuracy": 0.2}}
    made.run(tmp_path / "run", task="mnli-mm", metrics=metrics, split="dev_mismatched")
    found = entries_of(tmp_path)["run"]
    assert (found.split, found.value) == ("dev_mismatched", 0.2)


@pytest.mark.parametrize("inside", ["sweep", "all/sweep"])
def test_a_sweep_is_its_runs(tmp_path, inside):
    folder = tmp_path / inside
    for name in ("a", "b"):
        made.run(folder / "runs" / "rte" / name, task="rte")
    made.write(folder / "results.json", {"kind": "sweep", "settings": [], "runs": []})
    assert sorted(rows_of(tmp_path / inside.split("/")[0])) == ["a", "b"]


def test_a_model_made_of_another_says_by_what(tmp_path):
    dense = made.run(tmp_path / "dense", {"teacher_model_dir": "t", "width_mult_list": "0.5,1."})
    made.write(dense / "results.json", {
        **json.loads((dense / "results.json").read_text()), "levers": ["masks", "dynabert"],
    })  # fmt: skip
    masked, cut = tmp_path / "factors", tmp_path / "cut"
    made.write(masked / "bert_config.json", {"pruned_layers_dim": {"a": 1}})
    made.write(masked / "origin.json", {"command": "factorize.py", "model": str(dense)})
    made.write(cut / "bert_config.json", {**made.CONFIG, "subnetwork": {"layers": [0], "of": 2}})
    about = {"command": "export_subnetwork.py --depth=0.5", "model": str(masked)}
    made.write(cut / "origin.json", {**about, "environment": {"cores": 2}})
    made.run(
        tmp_path / "eval", {"do_train": False, "model_dir": None, "model": str(cut)},
        megabytes=None, parameters=None,
    )  # fmt: skip
    made.write(
        tmp_path / "export" / "export.json",
        {"format": "onnx", "precision": "float32", "model": f"{cut} (a folder)"},
    )
    found = entries_of(tmp_path)
    assert found["dense"].levers == ("elastic", "masks", "teacher")
    assert found["factors"].lever == "pruned + teacher"
    assert found["cut"].lever == found["eval"].lever == found["export"].lever
    assert found["cut"].lever == "sub-network + teacher"
    assert found["cut"].command == "export_subnetwork.py --depth=0.5"
    assert found["cut"].environment == {"cores": 2}
    # The size is the model's own or none, never that of what it was cut from.
    assert found["eval"].parameters is None and found["export"].parameters is None


def test_an_evaluation_in_place_of_the_training_keeps_its_levers(tmp_path):
    folder = made.run(tmp_path / "run", {"do_train": False, "freeze_layers": 0})
    identity = {"freeze_layers": 2, "teacher's weights": "0123", "seed": 1}
    made.write(folder / "training_state.json", {"identity": identity, "step": 9})
    (entry,) = gather([str(folder)])
    assert (entry.kind, entry.levers) == ("evaluation", ("teacher", "frozen layers"))


def test_a_run_without_its_model_has_not_the_size_of_the_one_it_began_with(tmp_path):
    base = made.run(tmp_path / "base", megabytes=500)
    made.run(tmp_path / "run", {"model_dir": str(base)}, megabytes=None)
    assert entries_of(tmp_path)["run"].megabytes is None


@pytest.mark.parametrize(
    ("program", "flags"),
    [
        ("run_tagger.py", {"token_column": 0, "scheme": "auto", "train_file": "train.txt"}),
        ("run_squad.py", {"predict_file": "dev.json", "n_best_size": 20, "doc_stride": 128}),
        ("run_classifier.py", {"task_name": "sst-2", "truncation": "head", "data_dir": "SST-2"}),
        ("run_pretraining.py", {"data_dir": "rows", "max_predictions_per_seq": 20}),
    ],
)
def test_a_command_is_rebuilt_for_the_program_whose_flags_they_are(tmp_path, program, flags):
    made.run(tmp_path / "run", flags, command=None)
    found = entries_of(tmp_path)["run"]
    assert found.rebuilt and found.command.split()[0] == program


def test_a_benchmark_of_a_model_without_a_run(tmp_path):
    latency = {"8x32": {"a": {"p50": 0.01}}, "8x128": {"a": {"p50": 0.03}}}
    path = made.write(
        tmp_path / "latency.json", {"models": {"a": {"bytes": 1_000_000}}, "latency": latency}
    )
    (entry,) = gather([str(path)])
    assert (entry.part, entry.latency_ms, entry.latency_shape, entry.megabytes) == (
        "a", 30.0, "8 x 128", 1.0,
    )  # fmt: skip


def test_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match="none: no such file or folder, expected a run"):
        gather([str(tmp_path / "none")])
    (tmp_path / "empty").mkdir()
    path = made.write(tmp_path / "other.json", {"a": 1})
    found = gather([str(tmp_path / "empty"), str(path)])
    assert [entry.status for entry in found] == ["unreadable", "unreadable"]


def test_a_real_run(tmp_path):
    sst2 = tiny.make_sst2(tmp_path / "sst2")
    model = tiny.make_model(tmp_path / "tiny")
    flags = {"task_name": "SST-2", "data_dir": sst2, "model_dir": model, "max_seq_length": 16}
    with tiny.eagerly():
        results = tiny.run(
            **flags, do_train=True, do_eval=True, train_batch_size=8, num_train_epochs=1.0,
            freeze_layers=1, output_dir=tmp_path / "runs" / "one",
        )  # fmt: skip
    (entry,) = gather([str(tmp_path / "runs")])
    assert (entry.value, entry.lever) == (results["metrics"]["dev"]["accuracy"], "frozen layers")
    assert (entry.parameters, entry.rows) == (results["parameters"]["total"], 40)
    assert entry.seconds == results["seconds"]["total"]
    assert entry.command == results["command"] and "--freeze_layers=1" in entry.command
    assert entry.megabytes > 0 and entry.environment["cores"] >= 1
    older = {k: v for k, v in results.items() if k not in ("command", "metric")}
    made.write(tmp_path / "runs" / "one" / "results.json", older)
    (again,) = gather([str(tmp_path / "runs")])
    assert again.rebuilt and again.value == entry.value
    assert set(again.command.split()) <= set(entry.command.split())
