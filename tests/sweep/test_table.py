"""The table against results made by hand; HParams and pictures of it, read back."""

import csv
import io
import json

import pytest

from bert_tf.sweep.hparams import write_hparams
from bert_tf.sweep.outcomes import read_outcome
from bert_tf.sweep.plan import setting_name
from bert_tf.sweep.plots import curves, write_plot
from bert_tf.sweep.table import Table
from tests.sweep.stand_in import plan, write_results

# {task: {rate: values of the seeds 1, 2, 3}}; None is not done.
VALUES = {
    "sst-2": {2e-5: (0.90, 0.70, 0.80), 3e-5: (0.85, 0.84, 0.83), 5e-5: (0.99, None, None)},
    "mrpc": {2e-5: (0.60, 0.70, 0.65), 3e-5: (0.60, 0.61, 0.62), 5e-5: (None, None, None)},
}
METRICS = {"sst-2": "accuracy", "mrpc": "f1"}


@pytest.fixture
def table(tmp_path):
    runs = plan(tmp_path, tasks="sst-2,mrpc", learning_rate="2e-5,3e-5,5e-5", seeds="1,2,3")
    for run in runs:
        value = VALUES[run.task][run.setting["learning_rate"]][run.seed - 1]
        if value is not None:
            write_results(run, value, run.task, METRICS[run.task])
    found = {run.folder: outcome for run in runs if (outcome := read_outcome(run))}
    errors = {runs[-1].folder: "out of | memory"}
    return Table(runs, found, errors)


EXPECTED = {
    ("sst-2", 2e-5): (0.80, 0.70, 0.90, 3, False),
    ("sst-2", 3e-5): (0.84, 0.83, 0.85, 3, True),
    ("sst-2", 5e-5): (0.99, 0.99, 0.99, 1, False),  # one seed of three decides nothing
    ("mrpc", 2e-5): (0.65, 0.60, 0.70, 3, True),
    ("mrpc", 3e-5): (0.61, 0.60, 0.62, 3, False),
    ("mrpc", 5e-5): (None, None, None, 0, False),
}


def test_medians_spreads_and_bests(table):
    found = {}
    for row in table.to_json("run_sweep.py")["settings"]:
        numbers = row["median"], row["min"], row["max"], len(row["values"]), row["best"]
        found[row["task"], row["setting"]["learning_rate"]] = numbers
    assert found == EXPECTED


def test_the_page(table):
    page = table.markdown("run_sweep.py --seeds=1,2,3")
    assert page.startswith("# Sweep\n\n```sh\nrun_sweep.py --seeds=1,2,3\n```\n")
    assert "13 of 18 runs are done" in page
    best, _, rest = page.partition("## All settings")
    assert "| sst-2 | 3e-5 | accuracy | 0.8400 | 0.8300 | 0.8500 | 3 | 3 |" in best
    assert "| mrpc | 2e-5 | f1 | 0.6500 | 0.6000 | 0.7000 | 3 | 3 |" in best
    assert "0.9900" not in best
    assert "| sst-2 | 3e-5 | accuracy | **0.8400** |" in rest
    assert "| sst-2 | 5e-5 | accuracy | 0.9900 | 0.9900 | 0.9900 | 1 of 3 | 3 |" in rest
    assert "| mrpc | 5e-5 |  |  |  |  | 0 of 3 |  |" in rest
    assert "| mrpc learning_rate=5e-5 seed=3 | out of \\| memory |" in rest


def test_runs_of_several_versions_are_said_so(tmp_path):
    runs = plan(tmp_path, seeds="1,2,3")
    for run, version in zip(runs, ("0.9", "0.9", "1.0"), strict=True):
        write_results(run, 0.5, environment={"bert_tf": version, "cpu": "A"})
    outcomes = {run.folder: read_outcome(run) for run in runs}
    page = Table(runs, outcomes, {}).markdown("run_sweep.py")
    assert "not of one version and machine: bert_tf 0.9 on A (2), bert_tf 1.0 on A (1)." in page
    outcomes.pop(runs[2].folder)
    assert "not of one version" not in Table(runs, outcomes, {}).markdown("run_sweep.py")


def test_the_files(table, tmp_path):
    table.write(tmp_path, "run_sweep.py")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text())))
    assert [line["learning_rate"] for line in lines] == ["2e-5", "3e-5", "5e-5"] * 2
    assert float(lines[1]["median"]) == 0.84 and lines[1]["best"] == "True"
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["kind"] == "sweep"
    statuses = [run["status"] for run in found["runs"]]
    assert statuses.count("done") == 13 and statuses.count("failed") == 1
    assert statuses.count("waiting") == 4
    first = found["runs"][0]
    assert (first["task"], first["seed"], first["value"]) == ("sst-2", 1, 0.90)


def test_the_metric_is_the_first_of_the_task_on_its_first_rows(tmp_path):
    (run,) = plan(tmp_path, tasks="sst-2")
    run = type(run)("mnli-mm", {}, 1, {}, run.folder)  # files sort matched before mismatched
    write_results(run, 0.7, "mnli-mm")
    path = run.folder / "results.json"
    results = json.loads(path.read_text())
    results["metrics"] = {
        "dev_matched": {"accuracy": 0.1, "loss": 1.0},
        "dev_mismatched": {"accuracy": 0.2, "loss": 1.0},
    }
    for best in ({"metric": "accuracy", "value": 0.3}, {}):
        path.write_text(json.dumps({**results, "best": best}))
        found = read_outcome(run)
        assert (found.metric, found.value) == ("accuracy", 0.2)


def test_data_sets_are_not_compared_with_each_other(tmp_path):
    flags = {"tasks": "custom", "data_dir": None, "train_file": "t.tsv", "label_column": "label"}
    runs = plan(
        tmp_path,
        **flags,
        text_column="text",
        dev_file=("a.tsv", "b.tsv"),
        learning_rate="1e-5,2e-5",
    )
    for index, run in enumerate(runs):
        write_results(run, 0.1 * index, "custom")
    found = Table(runs, {run.folder: read_outcome(run) for run in runs}, {})
    assert [setting_name(row.setting) for row in found.best] == [
        "dev_file=a.tsv learning_rate=2e-5", "dev_file=b.tsv learning_rate=2e-5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "flags",
    [
        {"tasks": None, "data_dir": None, "model_dir": ("a", "b")},  # each with a task of its own
        {"tasks": "custom", "data_dir": None, "train_file": "t.tsv", "dev_file": "d.tsv",
         "text_column": "text", "label_column": ("polite", "label")},
        {"tasks": None, "data_dir": None, "dataset": "csv:rows", "dev_fraction": "0.1",
         "train_split": ("train", "train[:9%]")},
    ],
)  # fmt: skip
def test_what_is_measured_on_other_rows_has_a_best_of_its_own(tmp_path, flags):
    runs = plan(tmp_path, **flags)
    tasks = ("rte", "sst-2") if "model_dir" in flags else ("custom", "custom")
    for run, task in zip(runs, tasks, strict=True):
        write_results(run, 0.5, task)
    found = Table(runs, {run.folder: read_outcome(run) for run in runs}, {})
    assert len(found.best) == 2
    assert len({row.problem for row in found.rows}) == 2


def test_the_metric_and_the_rows_are_those_that_the_run_names(tmp_path):
    (run,) = plan(tmp_path, tasks=None, data_dir=None, dataset="hf:mine", dev_split="z,a")
    write_results(run, 0.5, "custom", split="a", best={})
    path = run.folder / "results.json"
    results = json.loads(path.read_text())
    results["metrics"]["z"] = {"accuracy": 0.7, "f1": 0.9, "loss": 1.0}
    path.write_text(json.dumps({**results, "metric": "f1", "split": "z"}))
    found = read_outcome(run)
    assert (found.split, found.metric, found.value) == ("z", "f1", 0.9)
    results["metrics"]["z"]["f1"] = float("nan")
    path.write_text(json.dumps({**results, "metric": "f1", "split": "z"}))
    assert read_outcome(run) is None


def test_what_is_drawn(table, tmp_path):
    found = curves(table, "learning_rate")
    assert [title for _, title in found] == ["sst-2: accuracy", "mrpc: f1"]
    (rows,) = next(iter(found.values())).values()
    assert [(row.setting["learning_rate"], row.median) for row in rows] == [
        (2e-5, 0.80), (3e-5, 0.84), (5e-5, 0.99),
    ]  # fmt: skip
    write_plot(table, "learning_rate", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_is_a_setting_of_the_other_flags(tmp_path):
    runs = plan(tmp_path, precision="float32,bfloat16", freeze_layers="0,2,4", seeds="1,2")
    for run in runs:
        write_results(run, 0.5 + run.setting["freeze_layers"] / 10)
    found = Table(runs, {run.folder: read_outcome(run) for run in runs}, {})
    ((lines),) = curves(found, "freeze_layers").values()
    assert list(lines) == ["precision=float32", "precision=bfloat16"]
    assert [row.median for row in lines["precision=float32"]] == [0.5, 0.7, 0.9]
    write_plot(found, "precision", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").exists()


def test_tensorboard_shows_every_run_in_its_tab(table, tmp_path):
    write_hparams(table, tmp_path)
    write_hparams(table, tmp_path)  # again: in place of the first
    groups = _session_groups(tmp_path / "hparams")
    assert len(groups) == 13
    found = {}
    for group in groups:
        values = {name: _plain(value) for name, value in group.hparams.items()}
        metrics = {x.name.tag: x.value for x in group.metric_values}
        found[values["task"], values["learning_rate"], values["seed"]] = metrics
    assert found["sst-2", 3e-5, 2]["main_metric"] == pytest.approx(0.84)
    assert found["sst-2", 3e-5, 2]["accuracy"] == pytest.approx(0.84)
    assert found["mrpc", 2e-5, 3]["f1"] == pytest.approx(0.65)


def _plain(value):
    return getattr(value, value.WhichOneof("kind"))


def _session_groups(logdir):
    """What TensorBoard's server answers to the tab."""
    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        aggregation_type=api_pb2.AGGREGATION_AVG,
        allowed_statuses=[api_pb2.STATUS_SUCCESS],
    )
    handler = list_session_groups.Handler(
        request_context=context.RequestContext(),
        backend_context=backend_context.Context(base_plugin.TBContext(data_provider=provider)),
        experiment_id="",
        request=request,
    )
    return handler.run().session_groups
