"""A run belongs to its flags and to the files that they name."""

import re

import pytest

from bert_tf.errors import UserError
from bert_tf.sweep.contents import Contents
from bert_tf.sweep.plan import setting_name
from bert_tf.task_names import task_folder
from tests.sweep.stand_in import make_data, plan


def folders(runs):
    return {run.folder for run in runs}


def test_all_settings_come_with_the_first_seed(tmp_path):
    runs = plan(tmp_path, tasks="mrpc,sst-2", learning_rate="3e-5,2e-5", seeds="2,1")
    assert [(x.seed, x.task, x.setting["learning_rate"]) for x in runs] == [
        (2, "mrpc", 3e-5), (2, "mrpc", 2e-5), (2, "sst-2", 3e-5), (2, "sst-2", 2e-5),
        (1, "mrpc", 3e-5), (1, "mrpc", 2e-5), (1, "sst-2", 3e-5), (1, "sst-2", 2e-5),
    ]  # fmt: skip
    assert runs[0].name == "mrpc learning_rate=3e-5 seed=2"
    assert runs[0].folder.name.startswith("learning_rate=3e-5,seed=2-")


def test_another_flag_is_another_folder(tmp_path):
    before = folders(plan(tmp_path))
    for change in (
        {"num_train_epochs": "1"}, {"model_dir": "other"}, {"seeds": "1"}, {"tasks": "mrpc"},
        {"keep_best": "true"}, {"xla": "false"},
    ):  # fmt: skip
        assert not folders(plan(tmp_path, **change)) & before, change


def test_a_run_keeps_its_folder_when_the_sweep_grows(tmp_path):
    (one,) = plan(tmp_path, learning_rate="2e-5")
    one.folder.mkdir(parents=True)
    grown = plan(tmp_path, learning_rate="3e-5,0.00002", seeds="42,43", log_steps="5")
    assert one.folder in folders(grown)
    assert len(grown) == 4


def test_another_file_is_another_folder_and_a_moved_one_is_not(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "bert_model.ckpt.index").write_text("one")
    before = folders(plan(tmp_path, model_dir=str(model)))
    (model / "README.md").write_text("read me")
    (model / "events.out.tfevents.1").write_text("curves")
    moved = model.rename(tmp_path / "moved")
    assert folders(plan(tmp_path, model_dir=str(moved))) == before
    (moved / "bert_model.ckpt.index").write_text("two")
    after = folders(plan(tmp_path, model_dir=str(moved)))
    assert not after & before
    (tmp_path / "data" / "SST-2" / "dev.tsv").write_text("sentence\tlabel\nnew\t1\n")
    assert not folders(plan(tmp_path, model_dir=str(moved))) & (before | after)


def test_what_a_path_stands_for(tmp_path):
    folder = tmp_path / "files"
    (folder / "eval").mkdir(parents=True)
    (folder / "model.ckpt.data-00000-of-00001").write_text("weights")
    (folder / "eval" / "rows.csv").write_text("rows")

    def all_of(part):
        return [
            Contents().of("init_checkpoint", str(folder / "model.ckpt")),
            Contents().of("dataset", f"csv:{folder}/eval/*.csv"),
            Contents().of("dataset", f"csv:{folder}"),
            Contents().of("model_dir", str(folder)),
            Contents().of("train_file", str(folder / "eval" / "rows.csv")),
        ][part]

    before = [all_of(part) for part in range(5)]
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in before)
    (folder / "eval" / "rows.csv").write_text("other rows")
    assert [all_of(part) != before[part] for part in range(5)] == [False, True, True, False, True]
    (folder / "model.ckpt.data-00000-of-00001").write_text("others")
    assert [all_of(part) != before[part] for part in range(5)] == [True, True, True, True, True]
    assert Contents().of("dataset", "hf:glue/mrpc") == "hf:glue/mrpc"
    assert Contents().of("label_column", str(folder / "eval" / "rows.csv")).endswith("rows.csv")


def test_variants_are_settings_with_flags_that_go_together(tmp_path):
    runs = plan(
        tmp_path,
        variant=("dense", "frozen: --freeze_layers=2,4 --activation_cache=auto"),
        learning_rate="2e-5,3e-5",
    )
    assert [setting_name(run.setting) for run in runs] == [
        "variant=dense learning_rate=2e-5", "variant=dense learning_rate=3e-5",
        "variant=frozen learning_rate=2e-5 freeze_layers=2",
        "variant=frozen learning_rate=2e-5 freeze_layers=4",
        "variant=frozen learning_rate=3e-5 freeze_layers=2",
        "variant=frozen learning_rate=3e-5 freeze_layers=4",
    ]  # fmt: skip
    assert "activation_cache" not in runs[0].flags
    assert runs[-1].flags["activation_cache"] == "auto"
    # The name is for people: the run is its flags.
    renamed = plan(tmp_path, variant=("plain", "b: --xla"), learning_rate="2e-5,3e-5")
    assert {x.folder.name.rpartition("-")[2] for x in renamed[:2]} == {
        x.folder.name.rpartition("-")[2] for x in runs[:2]
    }


def test_data_and_models_of_any_source_are_lists(tmp_path):
    data = [str(make_data(tmp_path / name, "SST-2")) for name in ("one", "two")]
    (tmp_path / "two" / "SST-2" / "train.tsv").write_text("other rows")
    runs = plan(tmp_path, data_dir=tuple(data), model_dir=(), model=("a", "b"), plot="data_dir")
    found = [(x.setting["data_dir"], x.flags["data_dir"], x.flags["model"]) for x in runs]
    assert found == [(x, f"{x}/SST-2", model) for x in data for model in ("a", "b")]
    runs = plan(
        tmp_path, tasks=None, data_dir=None, dataset=("hf:glue/mrpc", "hf:glue/rte"), model="a",
        model_dir=(),
    )  # fmt: skip
    assert [run.flags["dataset"] for run in runs] == ["hf:glue/mrpc", "hf:glue/rte"]
    (run,) = plan(tmp_path, data_dir=data[0], dataset="tfds:glue/sst2")
    assert run.flags["data_dir"] == data[0]  # of prepared sets, as run_classifier.py has it
    with pytest.raises(UserError, match=r"--data_dir: .*one is there twice: give each value once"):
        plan(tmp_path, data_dir=(data[0], data[0]))
    with pytest.raises(UserError, match="--data_dir=: no such folder"):
        plan(tmp_path, data_dir="")


def test_features_are_shared_unless_there_are_none_to_make(tmp_path):
    (run,) = plan(tmp_path)
    assert run.flags["feature_dir"] == str(tmp_path / "sweep" / "features")
    (run,) = plan(tmp_path, feature_dir="elsewhere")
    assert run.flags["feature_dir"] == "elsewhere"
    (run,) = plan(tmp_path, tfrecord_dir="records", data_dir=None)
    assert "feature_dir" not in run.flags


def test_a_task_has_the_folder_of_its_name(tmp_path):
    glue = make_data(tmp_path / "glue_data", "CoLA", "sts-b", "SST2", "MNLI", "other")
    for task, name in {
        "cola": "CoLA",
        "sts-b": "sts-b",
        "sst-2": "SST2",
        "mnli-mm": "MNLI",
    }.items():
        assert task_folder(glue, task) == glue / name
    with pytest.raises(UserError, match=r"no folder of task rte.*found CoLA, MNLI, SST2, sts-b"):
        task_folder(glue, "rte")
    assert task_folder(glue / "CoLA", "cola") == glue / "CoLA"
    (glue / "STSB").mkdir()
    with pytest.raises(UserError, match="STSB and sts-b are both folders of task sts-b"):
        task_folder(glue, "sts-b")
