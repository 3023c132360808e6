"""Lists of flags: on the command line, of numbers and of text, in variants and presets."""

import dataclasses
import shlex
import subprocess
import sys

import pytest

from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from bert_tf.options import option_fields
from bert_tf.sweep.options import SweepOptions, parse_list, parse_variant
from tests import tiny
from tests.sweep.stand_in import make_data, plan, sweep_options


def sweep(*flags, **options):
    """The program in a process of its own."""
    command = [sys.executable, str(tiny.ROOT / "run_sweep.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def commands(*flags):
    """[flags of run_classifier.py] that the program prints for each run."""
    done = sweep(*flags, "--dry_run", "--model_dir=m", "--output_dir=o")
    assert done.returncode == 0, done.stderr
    return [shlex.split(line)[2:] for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def glue(tmp_path_factory):
    names = ("MNLI", "MRPC", "QNLI", "QQP", "RTE", "SST-2", "STS-B", "WNLI")
    return make_data(tmp_path_factory.mktemp("glue"), *names)


def test_commas_part_numbers_and_repeated_flags_part_text(glue):
    found = commands(
        f"--data_dir={glue}", "--tasks=rte,SST2", "--learning_rate=2e-5, 3e-5", "--keep_best",
        "--xla=false,true", "--freeze_schedule=0.25:2,0.5:4", "--freeze_schedule=0.5:2",
        "--freeze_policy=schedule", "--seeds=1,2",
    )  # fmt: skip
    assert len(found) == 2 * 2 * 2 * 2 * 2
    assert len(set(map(tuple, found))) == len(found)
    assert all("--keep_best" in flags and "--do_train" in flags for flags in found)
    values = {name: set() for name in ("task_name", "xla", "freeze_schedule", "seed", "data_dir")}
    for flags in found:
        pairs = dict(flag[2:].partition("=")[::2] for flag in flags)
        for name, seen in values.items():
            seen.add(pairs[name])
    assert values["task_name"] == {"rte", "sst-2"}
    assert values["xla"] == {"", "false"}
    assert values["freeze_schedule"] == {"0.25:2,0.5:4", "0.5:2"}
    assert values["seed"] == {"1", "2"}
    assert values["data_dir"] == {str(glue / "RTE"), str(glue / "SST-2")}


def test_a_run_may_be_started_by_hand_with_the_command_that_is_shown(glue):
    (flags,) = commands(f"--data_dir={glue}", "--tasks=rte", "--learning_rate=2e-5", "--noxla")
    parsed = dict(flag[2:].partition("=")[::2] for flag in flags)
    assert float(parsed["learning_rate"]) == 2e-5
    assert parsed["xla"] == "false"
    assert parsed["output_dir"].startswith("o/runs/rte/seed=42-")


def test_the_preset_is_run_all(glue):
    found = commands(f"--data_dir={glue}", "--preset=glue")
    assert len(found) == 8 * 4
    pairs = [dict(flag[2:].partition("=")[::2] for flag in flags) for flags in found]
    assert [(x["task_name"], float(x["learning_rate"])) for x in pairs] == [
        (task, rate)
        for task in ("rte", "sts-b", "wnli", "sst-2", "mrpc", "qnli", "qqp", "mnli")
        for rate in (5e-5, 4e-5, 3e-5, 2e-5)
    ]  # run_all.sh, line by line
    for flags in found:
        assert {"--num_train_epochs=3.0", "--train_batch_size=32", "--max_seq_length=128"} <= {
            *flags
        }
    found = commands(f"--data_dir={glue}", "--preset=glue", "--tasks=rte", "--learning_rate=1e-5")
    assert len(found) == 1 and "--learning_rate=1e-05" in found[0]


def test_help_has_every_flag_of_both_programs_and_loads_no_tensorflow():
    page = sweep("--help").stdout
    assert not [f.name for f in option_fields(SweepOptions) if f"  --{f.name}=" not in page]
    assert "--learning_rate=FLOAT  (default 5e-05)" in page
    assert "--do_train=true|false  (default true)" in page
    code = "import run_sweep, bert_tf.sweep.program, sys; sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tiny.ROOT, check=False)
    assert done.returncode == 0


def test_every_flag_of_run_classifier_can_be_a_list():
    names = {field.name for field in dataclasses.fields(SweepOptions)}
    left = {field.name for field in option_fields(ClassifierOptions)} - names
    without_run = {"timestamped_output_dir", "list_datasets", "list_configs", "dataset_info"}
    assert left <= {"task_name", "seed"} | without_run


def test_values_have_the_kinds_of_their_flags():
    assert parse_list("learning_rate", ("2e-5,3e-5", "1")) == [2e-5, 3e-5, 1.0]
    assert parse_list("freeze_layers", ("-1,2",)) == [-1, 2]
    assert parse_list("precision", ("float32,bfloat16",)) == ["float32", "bfloat16"]
    assert parse_list("xla", ("true,false",)) == [True, False]
    assert parse_list("labels", ("bad,good", "good,bad")) == ["bad,good", "good,bad"]


def test_a_variant_has_a_name_and_flags():
    assert parse_variant("dense") == ("dense", {})
    name, lists = parse_variant("frozen: --freeze_layers=2,4 --keep_best --labels='a b,c'")
    assert name == "frozen"
    assert lists == {"freeze_layers": ("2,4",), "keep_best": ("true",), "labels": ("a b,c",)}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"tasks": "sst-2,sst3"}, "--tasks=sst-2,sst3: unknown task 'sst3', expected names out of"),
        ({"tasks": "sst-2,SST2"}, "--tasks=sst-2,SST2: sst-2 is there twice"),
        ({"seeds": "1,x"}, "--seeds=1,x: expected whole numbers such as 1,2,3"),
        ({"seeds": "1,1"}, "--seeds=1,1: 1 is there twice"),
        ({"seeds": "-1"}, "--seeds=-1: expected an integer in"),
        ({"learning_rate": "2e-5,,3e-5"}, "--learning_rate="),
        ({"learning_rate": "2e-5,0.00002"}, "2e-05 is there twice"),
        ({"learning_rate": "2e-5,-1"}, "sst-2 learning_rate=-1: --learning_rate=-1.0: expected 0"),
        ({"precision": "float32,int8"}, "sst-2 precision=int8: --precision=int8: expected one of"),
        ({"do_eval": "false"}, "--do_eval=false: a sweep compares what is evaluated"),
        ({"freeze_layers": "0,2", "activation_cache": "auto"},
         "sst-2 freeze_layers=0: --activation_cache=auto has no effect"),
        ({"variant": "--xla"}, "--variant=--xla: expected a name, a colon and flags"),
        ({"variant": "a: --wrong=1"}, "--variant=a: --wrong=1: --wrong=1: expected --flag=value"),
        ({"variant": "a: --seed=1"}, "--seed=1: expected --flag=value of run_classifier.py"),
        ({"variant": "a: 'open"}, "--variant=a: 'open: No closing quotation"),
        ({"variant": ("a", "a: --xla")}, "--variant: a is there twice"),
        ({"variant": ("a", "b")}, "are the same run"),
        ({"variant": "a: --xla", "xla": "true"}, "--variant=a: --xla is given for all runs, too"),
        ({"plot": "learning_rate"}, "--plot=learning_rate: has one value in this sweep"),
        ({"plot": "learning rate"}, "--plot=learning rate: expected names of flags"),
        ({"parallel": 0}, "--parallel=0: expected 1 or more"),
        ({"devices": "0,-1"}, "--devices=0,-1: expected numbers of GPUs"),
        ({"tasks": "rte"}, "no folder of task rte, expected one with the task's name: found MRPC"),
        ({"tasks": "custom"}, "--data_dir has no effect on the custom task"),
        ({"data_dir": "nowhere"}, "--data_dir=nowhere: no such folder"),
        ({"output_dir": ""}, "--output_dir is required: the folder of the sweep"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_runs(tmp_path, flags, message):
    with pytest.raises(UserError) as refused:
        plan(tmp_path, **flags)
    assert message in str(refused.value)
    assert not (tmp_path / "sweep").exists()


def test_what_belongs_to_the_sweep_is_no_flag():
    done = sweep("--task_name=rte", "--output_dir=o")
    assert done.returncode == 1
    assert done.stderr.startswith("error: Unknown command line flag 'task_name'")


def test_options_from_python_are_those_of_the_command_line(tmp_path):
    options = sweep_options(tmp_path, learning_rate=("2e-5,3e-5", "1e-4"))
    assert parse_list("learning_rate", options.lists["learning_rate"]) == [2e-5, 3e-5, 1e-4]
