"""The options of run_pretraining.py without the program."""

import dataclasses

import pytest

from bert_tf.errors import UserError
from bert_tf.pretraining.options import PretrainingOptions

MINIMAL = {"do_train": True, "data_dir": "rows", "output_dir": "out"}


def options(**values):
    return PretrainingOptions(given=frozenset(values), **values)


def test_defaults_are_googles():
    expected = {
        "max_eval_steps": 100,
        "train_batch_size": 32,
        "eval_batch_size": 8,
        "learning_rate": 5e-5,
        "num_train_steps": 100000,
        "num_warmup_steps": 10000,
        "save_checkpoints_steps": 1000,
        "do_train": False,
        "do_eval": False,
    }
    found = options(**MINIMAL)
    assert {name: getattr(found, name) for name in expected} == {**expected, "do_train": True}
    assert (found.the_budget.kind, found.the_budget.amount) == ("steps", 100000)
    assert found.warmup == 0.1


def test_the_budget_recipe_is_24hberts_and_flags_given_win():
    found = options(**MINIMAL, recipe="budget", budget="24h", weight_decay=0.02, adam_beta2=0.97)
    found.check()
    assert (found.learning_rate, found.train_batch_size, found.warmup) == (1e-3, 4096, 0.06)
    assert (found.adam_beta1, found.adam_beta2, found.adam_epsilon) == (0.9, 0.97, 1e-6)
    assert found.weight_decay == 0.02
    assert found.norm_position == "pre"


def test_every_option_has_a_group_and_a_sentence():
    for field in dataclasses.fields(PretrainingOptions):
        if field.name != "given":
            assert field.metadata["group"] in PretrainingOptions.GROUPS
            assert field.metadata["help"].strip().endswith("."), field.name


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"do_train": False}, "--do_train, --do_eval, --probe"),
        ({"output_dir": None}, "--output_dir is required"),
        ({"data_dir": None}, "--data_dir .* or --input_file"),
        ({"input_file": "x"}, "--data_dir .* or --input_file"),
        ({"vocab_file": "v"}, "--vocab_file has no effect with --data_dir"),
        ({"data_dir": None, "input_file": "x"}, "says nothing of the vocabulary"),
        ({"data_dir": None, "input_file": "x", "vocab_file": "v", "whole_word_masking": True},
         "--whole_word_masking has no effect"),
        ({"budget": "soon"}, "--budget=soon: expected a time"),
        ({"budget": "1h", "early_exit": "2h"}, "--early_exit=2h"),
        ({"budget": "1h", "finetune_time_markers": "0.5,1.5"}, "expected shares in"),
        ({"budget": "1h", "num_train_steps": 5}, "--num_train_steps and --budget"),
        ({"num_warmup_steps": 5, "warmup_proportion": 0.1}, "both set the warm-up"),
        ({"budget": "5steps", "budget_counts": "train"}, "--budget_counts has no effect"),
        ({"save_checkpoints_steps": 5, "save_checkpoints_minutes": 1.0}, "give one of them"),
        ({"lr_power": 3.0}, "--lr_power has no effect without --lr_schedule=polynomial"),
        ({"lr_schedule": "triangle", "warmup_proportion": 0.1}, "--warmup_proportion has no eff"),
        ({"batch_ramp": 0.5}, "--batch_ramp needs --gradient_accumulation_steps"),
        ({"batch_ramp": 1.5}, "--batch_ramp=1.5"),
        ({"learning_rate": 0.0}, "--learning_rate=0"),
        ({"minimum_learning_rate": 1.0}, "--minimum_learning_rate=1.0"),
        ({"adam_beta2": 1.0}, "--adam_beta2=1.0"),
        ({"validation_interval": "10m"}, "--validation_interval has no effect without --do_eval"),
        ({"do_eval": True, "validation_interval": "10"}, "--validation_interval=10: expected"),
        ({"do_eval": True, "early_stop_loss": 3.0}, "--early_stop_loss has no effect"),
        ({"max_eval_steps": 5}, "--max_eval_steps has no effect without --do_eval"),
        ({"probe": True}, "--probe only measures"),
        ({"probe_seconds": 5.0}, "--probe_seconds has no effect without --probe"),
        ({"model_dir": "m", "hidden_size": 64}, "--hidden_size has no effect with a model"),
        ({"model_dir": "m", "init_checkpoint": "c"}, "--model_dir names shape and weights"),
        ({"do_train": False, "do_eval": True, "budget": "1h"}, "--budget has no effect without"),
        ({"do_train": False, "do_eval": True, "output_bias": "zeros"}, "--output_bias has no eff"),
        ({"train_batch_size": 10, "gradient_accumulation_steps": 4}, "must divide"),
        ({"hidden_size": 0}, "--hidden_size=0"),
        ({"initializer_range": 0.0}, "--initializer_range=0"),
        ({"model_dir": "m", "output_bias": "zeros"}, "--output_bias has no effect without --d"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(flags, named):
    with pytest.raises(UserError, match=named):
        options(**{**MINIMAL, **flags}).check()


def test_the_smallest_commands_are_enough():
    options(**MINIMAL).check()
    options(**MINIMAL, budget="24h").check()
    options(probe=True, data_dir="rows", output_dir="out", budget="24h").check()
    options(do_eval=True, data_dir="rows", output_dir="out").check()
