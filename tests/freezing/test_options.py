"""The flags of layer freezing: defaults, what each one needs, and what the model must have."""

import subprocess
import sys
import types

import pytest

from bert_tf.distillation.lever import Distillation
from bert_tf.errors import UserError
from bert_tf.freezing.lever import Freezing
from bert_tf.freezing.options import FreezingOptions
from bert_tf.options import option_fields
from bert_tf.pruning.lever import GateTraining
from bert_tf.training.lever import refuse_conflicts
from tests import tiny

MINIMAL = {"do_train": True, "task_name": "rte", "output_dir": "out", "model_dir": "model"}
AUTO = {"freeze_policy": "autofreeze"}


def check(**flags):
    options = tiny.options(**{**MINIMAL, **flags})
    options.check()
    return options


def test_nothing_freezes_unless_asked():
    assert check().chosen_policy == "none"
    assert check(freeze_layers=2).chosen_policy == "static"
    assert check(**AUTO).chosen_policy == "autofreeze"


@pytest.mark.parametrize(
    "flags",
    [
        {"freeze_layers": -1},
        {"freeze_policy": "static", "freeze_layers": 3, "activation_cache": "auto"},
        {**AUTO, "freeze_layers": 2, "num_intervals": 10, "percentile": 25.0},
        {**AUTO, "freeze_metric": "norm_sum", "freeze_warmup": 100, "max_frozen_layers": 4},
        {"freeze_policy": "random", "percentile": 50.0, "freeze_guard": "stop", "do_eval": True},
        {"freeze_policy": "schedule", "freeze_schedule": "0.25:2, 0.5:4"},
        {**AUTO, "activation_cache": "disk", "cache_dir": "x", "keep_cache": True},
        {**AUTO, "activation_cache": "memory", "cache_dtype": "float16", "cache_budget_gb": 0.5},
    ],
    ids=str,
)
def test_what_goes_together(flags):
    check(**flags)


def test_a_schedule_is_a_list_of_shares_and_layers():
    options = check(freeze_policy="schedule", freeze_schedule="0.25:2, .5:4")
    assert options.schedule_points == [(0.25, 2), (0.5, 4)]


@pytest.mark.parametrize(
    "text",
    ["", "x", "2", "0.5", "0.5:", "1:2", "0:2", ".:2", "0.1.2:3", "0.5:2,0.4:3", "0.5:2,0.6:2"],
)
def test_wrong_schedules(text):
    with pytest.raises(UserError, match=r"--freeze_schedule=.*: expected growing shares"):
        check(freeze_policy="schedule", freeze_schedule=text)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"freeze_layers": -2}, "--freeze_layers=-2: expected -1 or more"),
        ({**AUTO, "num_intervals": 0}, "--num_intervals=0: expected 1 or more"),
        ({**AUTO, "percentile": -1.0}, r"--percentile=-1.0: expected a number in \[0, 100\]"),
        ({**AUTO, "percentile": 101.0}, r"--percentile=101.0: expected a number in \[0, 100\]"),
        ({**AUTO, "freeze_warmup": -1}, "--freeze_warmup=-1: expected 0 or more"),
        ({**AUTO, "max_frozen_layers": -1}, "--max_frozen_layers=-1: expected 0 or more"),
        (
            {**AUTO, "do_eval": True, "freeze_guard": "stop", "freeze_guard_margin": -0.1},
            "--freeze_guard_margin=-0.1: expected 0 or more",
        ),
        (
            {"freeze_layers": 1, "activation_cache": "disk", "cache_budget_gb": 0.0},
            "--cache_budget_gb=0.0: expected a number above 0",
        ),
        ({"freeze_policy": "none", "freeze_layers": 2}, "contradicts --freeze_layers"),
        ({"freeze_policy": "static"}, "static needs --freeze_layers"),
        ({"freeze_policy": "schedule"}, "--freeze_schedule need each other"),
        ({**AUTO, "freeze_schedule": "0.5:2"}, "--freeze_schedule need each other"),
        ({"percentile": 40.0}, "--percentile has no effect without --freeze_policy=autofreeze or"),
        ({"freeze_layers": 1, "num_intervals": 4}, "--num_intervals has no effect without"),
        (
            {"freeze_policy": "schedule", "freeze_schedule": "0.5:2", "freeze_warmup": 9},
            "--freeze_warmup has no effect without --freeze_policy=autofreeze or random",
        ),
        (
            {"freeze_policy": "random", "freeze_metric": "norm_sum"},
            "--freeze_metric has no effect without --freeze_policy=autofreeze",
        ),
        (
            {"freeze_layers": 2, "freeze_guard": "stop", "do_eval": True},
            "--freeze_guard has no effect without --freeze_policy=autofreeze, random or schedule",
        ),
        ({**AUTO, "freeze_guard": "stop"}, "--freeze_guard has no effect without --do_eval"),
        ({**AUTO, "freeze_guard_margin": 0.1}, "--freeze_guard_margin has no effect without --f"),
        ({"freeze_layers": 2, "cache_dtype": "float16"}, "has no effect without --activation_cac"),
        ({"activation_cache": "disk"}, "--activation_cache=disk has no effect: no layer freezes"),
        (
            {"freeze_layers": -1, "activation_cache": "disk"},
            "--activation_cache=disk has no effect with --freeze_layers=-1",
        ),
        (
            {"freeze_layers": 2, "activation_cache": "memory", "keep_cache": True},
            "--keep_cache has no effect with --activation_cache=memory, which writes no files",
        ),
        (
            {"freeze_layers": 2, "do_train": False, "do_eval": True},
            "--freeze_layers has no effect without --do_train",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_name(flags, message):
    with pytest.raises(UserError, match=message):
        check(**flags)


@pytest.fixture
def source():
    config = types.SimpleNamespace(num_hidden_layers=6)
    return types.SimpleNamespace(config=config, source="model/bert_config.json")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"freeze_layers": 7}, "--freeze_layers=7: model/bert_config.json has 6 layers"),
        ({**AUTO, "max_frozen_layers": 7}, "--max_frozen_layers=7: .* has 6 layers"),
        (
            {"freeze_policy": "schedule", "freeze_schedule": "0.1:2,0.2:9"},
            "--freeze_schedule=0.1:2,0.2:9: .* has 6 layers",
        ),
    ],
)
def test_what_the_model_cannot_do_is_refused(flags, message, source):
    with pytest.raises(UserError, match=message):
        Freezing(tiny.options(**MINIMAL, **flags)).source(source)


def test_levers_that_do_not_go_together_are_refused():
    masks, teacher = GateTraining(), Distillation(tiny.options(**MINIMAL))
    refuse_conflicts([Freezing(tiny.options(**MINIMAL, freeze_layers=2)), masks, teacher])
    freezing = Freezing(tiny.options(**MINIMAL, **AUTO))
    refuse_conflicts([freezing, teacher])
    with pytest.raises(UserError, match="--freeze_policy=autofreeze cannot go with mask training"):
        refuse_conflicts([freezing, masks])


def test_help_names_every_flag():
    done = subprocess.run(
        [sys.executable, str(tiny.ROOT / "run_classifier.py"), "--help"],
        capture_output=True, text=True, env=tiny.environment(), check=False,
    )  # fmt: skip
    assert "Freezing: stop training the lower layers" in done.stdout
    for name in {field.name for field in option_fields(FreezingOptions)}:
        assert f"--{name}" in done.stdout, name
