"""The options without the program: defaults, and what each one needs."""

import dataclasses

import pytest

from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from tests import tiny

MINIMAL = {"do_train": True, "task_name": "rte", "output_dir": "out", "model_dir": "model"}


def test_defaults_are_googles():
    options = ClassifierOptions()
    expected = {
        "max_seq_length": 128,
        "train_batch_size": 32,
        "eval_batch_size": 8,
        "predict_batch_size": 8,
        "learning_rate": 5e-5,
        "num_train_epochs": 3.0,
        "warmup_proportion": 0.1,
        "save_checkpoints_steps": 1000,
        "do_train": False,
        "do_eval": False,
        "do_predict": False,
    }
    assert {name: getattr(options, name) for name in expected} == expected


def test_the_smallest_command_is_enough():
    tiny.options(**MINIMAL).check()


def test_google_style_model_flags_are_enough():
    flags = {k: v for k, v in MINIMAL.items() if k != "model_dir"}
    tiny.options(**flags, bert_config_file="c", vocab_file="v", init_checkpoint="x").check()
    with pytest.raises(UserError, match="--bert_config_file and --vocab_file"):
        tiny.options(**flags, bert_config_file="c", init_checkpoint="x").check()


def test_every_option_has_a_group_and_a_sentence():
    for field in dataclasses.fields(ClassifierOptions):
        if field.name != "given":
            assert field.metadata["group"] in ClassifierOptions.GROUPS
            assert field.metadata["help"].strip().endswith("."), field.name


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"log_steps": 0}, "--log_steps=0"),
        ({"weight_decay": -0.1}, "--weight_decay=-0.1"),
        ({"clip_norm": -1.0}, "--clip_norm=-1.0"),
        ({"steps_per_execution": 0}, "--steps_per_execution=0"),
        ({"eval_batch_size": 0, "do_eval": True}, "--eval_batch_size=0"),
        ({"max_train_examples": 0}, "--max_train_examples=0"),
        ({"regression": True, "labels": "a,b", "task_name": "custom"}, "--regression"),
        ({"tfrecord_dir": "x", "write_tfrecord": True}, "--write_tfrecord has no effect"),
        ({"tfrecord_dir": "x", "max_train_examples": 5}, "--max_train_examples has no effect"),
        ({"test_file": "x", "task_name": "custom"}, "--test_file has no effect without"),
    ],
)
def test_what_cannot_be_is_refused_by_name(flags, named):
    with pytest.raises(UserError, match=named):
        tiny.options(**{**MINIMAL, **flags}).check()


def test_a_default_that_is_spelled_out_is_no_contradiction():
    tiny.options(**MINIMAL, train_batch_size=32, seed=42, precision="float32").check()
