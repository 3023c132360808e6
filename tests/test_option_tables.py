"""Every flag of every program says what it may be and when it has an effect, and is held to it."""

import pathlib
import subprocess
import sys

import pytest

import augment_data
import choose_subnetwork
import convert_checkpoint
import export_subnetwork
import factorize
import remove_mask
from benchmarks.freezing.options import BenchmarkOptions
from bert_tf.classification.options import ClassifierOptions
from bert_tf.data.pretraining.options import PretrainingDataOptions
from bert_tf.errors import UserError
from bert_tf.export.options import ExportOptions
from bert_tf.features.options import ExtractionOptions
from bert_tf.freezing.options import RULE
from bert_tf.options import names_that_need, option_fields
from bert_tf.pretraining.options import PretrainingOptions
from bert_tf.report.options import ReportOptions
from bert_tf.serving.options import PredictOptions
from bert_tf.spans.options import SpanOptions
from bert_tf.sweep.options import SweepFlags
from bert_tf.tagging.options import TaggerOptions
from examples import (
    make_questions,
    make_sentiment_data,
    make_tagged_data,
    quickstart,
    sweep_markers,
)
from tests import tiny

# The programs with flags that need others, and what a command of theirs cannot do without.
PROGRAMS = {
    ClassifierOptions: {"do_eval": True, "model_dir": "m", "output_dir": "o"},
    SpanOptions: {"do_eval": True, "predict_file": "p", "model_dir": "m", "output_dir": "o"},
    TaggerOptions: {"do_eval": True, "model_dir": "m", "output_dir": "o", "data_dir": "d"},
    PretrainingOptions: {"do_train": True, "data_dir": "d", "output_dir": "o"},
    PretrainingDataOptions: {"input_file": "i", "vocab_file": "v", "output_dir": "o"},
    factorize.Options: {"model_dir": "m", "output_dir": "o"},
    remove_mask.Options: {"model_dir": "m", "output_folder_dir": "o"},
    augment_data.AugmentationOptions: {"model_dir": "m"},
    export_subnetwork.Options: {"model_dir": "m", "output_dir": "o"},
    choose_subnetwork.Options: {"model_dir": "m", "output_dir": "o"},
    ExportOptions: {"model_dir": "m", "output_dir": "o"},
    ExtractionOptions: {"model_dir": "m"},
}
OTHERS = (
    convert_checkpoint.Options, BenchmarkOptions, quickstart.Options, make_sentiment_data.Options,
    make_questions.Options, make_tagged_data.Options, sweep_markers.Options, PredictOptions,
    ReportOptions, SweepFlags,
)  # fmt: skip
EVERY_FLAG = [(cls, field) for cls in (*PROGRAMS, *OTHERS) for field in option_fields(cls)]

# Names and paths, which the files themselves decide on.
FREE_TEXT = {
    "augmented_file", "baseline", "bert_config_file", "cache_dir", "checkpoint",
    "classifier_flags", "data_dir", "dev_file", "eval_input_file", "export_dir", "feature_dir",
    "glove_file", "id_column", "init_checkpoint", "input", "input_file", "keep", "label_column",
    "labels", "markdown", "model", "model_dir", "name", "output", "output_dir", "output_file",
    "output_folder_dir", "predict_file", "run_dir", "subnetworks", "task_name",
    "teacher_model_dir", "test_file", "text_column", "text_file", "text_pair_column",
    "tfrecord_dir", "title", "tpu", "train_file", "vocab_file", "weights_dir", "work_dir",
    "xnli_language",
}  # fmt: skip

# What meets a need, and what does not, by how the message names it.
TRAIN, EVAL = {"do_train": True}, {"do_eval": True}
ONLY_TRAIN, ONLY_EVAL = {**TRAIN, "do_eval": False}, {**EVAL, "do_train": False}
NEEDS = {
    "without --do_train": (TRAIN, ONLY_EVAL),
    "without --do_eval": (EVAL, ONLY_TRAIN),
    "without --do_predict": ({}, {}),
    "without --do_eval or --do_predict": (EVAL, {**ONLY_TRAIN, "predict_file": None}),
    "without --version_2_with_negative": ({}, TRAIN),
    "without --task_name=custom": ({"task_name": "custom"}, {"task_name": "rte"}),
    "without --data_aug": ({"data_aug": True}, {}),
    "without --task_name=xnli": ({}, {"task_name": "rte"}),
    "with --tfrecord_dir": ({}, {"tfrecord_dir": "t"}),
    "without --dataset": ({"dataset": "csv:x"}, {}),
    "without --dev_fraction": ({"dev_fraction": 0.1}, {}),
    "without --optimizer=adamw": ({}, {"optimizer": "lamb"}),
    "without --distribution_strategy": ({}, {}),
    "without --distribution_strategy=tpu": ({}, {}),
    "with --factorized": ({}, {**TRAIN, "factorized": True}),
    "without --teacher_model_dir": ({"teacher_model_dir": "t"}, {}),
    "without --freeze_policy=autofreeze or random": ({"freeze_policy": "random"}, {}),
    "without --freeze_policy=autofreeze": ({}, {"freeze_policy": "random"}),
    "without --freeze_policy=autofreeze, random or schedule": ({"freeze_policy": "random"}, {}),
    "without --freeze_guard": ({"freeze_guard": "stop"}, {}),
    "without --activation_cache": ({"freeze_layers": 1, "activation_cache": "disk"}, {}),
    "with --activation_cache=memory": ({}, {"freeze_layers": 1, "activation_cache": "memory"}),
    "with --data_dir": ({}, {}),
    "with --input_file": ({}, {"input_file": "i", "data_dir": None}),
    "with --probe": ({}, {"probe": True, "do_train": False}),
    "without --probe": ({}, {}),
    "with a model that has a shape": ({}, {"model_dir": "m"}),
    "without --data_dir and a new model": ({}, {"model_dir": "m"}),
    "without a --budget of time": ({"budget": "1h"}, {"budget": "9steps"}),
    "without --early_stop_minutes": ({"early_stop_minutes": 1.0}, {}),
    "without --lr_schedule=polynomial": ({"lr_schedule": "polynomial"}, {}),
    "without --lr_schedule=exp": ({"lr_schedule": "exp"}, {}),
    "without --learn_vocab": ({"learn_vocab": True, "vocab_file": None}, {}),
    "without --output_format=packed": (
        {}, {"output_format": "google", "output_dir": None, "output_file": "f"},
    ),
    "without --output_format=google": ({}, {}),
    "without --target_sparsity": ({"target_sparsity": 0.5}, {}),
    "with --target_sparsity": ({}, {"target_sparsity": 0.5}),
    "without --dataset, --data_dir, --train_file or --text_file": ({}, {}),
    "without data or a --cost it decides": ({}, {}),
    "without --do_train or --do_eval": (EVAL, {"do_predict": True, "do_eval": False}),
    "without --training_phase=dynabertw": ({"training_phase": "dynabertw"}, {}),
    "without --training_phase=dynabert": ({"training_phase": "dynabert"}, {}),
    "without --training_phase=dynabertw or dynabert": ({"training_phase": "dynabert"}, {}),
    "without --width_mult_list or --depth_mult_list of more than one": (
        {"width_mult_list": "0.5,1.0"}, {},
    ),
    "without --subnetworks": ({"subnetworks": "f", "name": "x"}, {}),
    "with --subnetworks": ({}, {"subnetworks": "f"}),
    "without --latency_rounds of 1 or more": ({}, {"latency_rounds": 0}),
    "without --search": ({"search": "greedy"}, {}),
    "without --search=evolution": ({"search": "evolution"}, {}),
    "without --max_eval_examples or --search": ({}, {}),
    "without --cost=latency": ({"cost": "latency"}, {}),
    "without --format=onnx or --format=openvino": ({}, {"format": "litert"}),
    "without --format=onnx or --format=openvino or --format=litert": ({}, {"format": "savedmodel"}),
    "without --format=openvino": ({"format": "openvino"}, {}),
    "without --format=litert": ({"format": "litert"}, {}),
    "without --precision=int8": ({"precision": "int8"}, {}),
    "without --dataset or --data_dir, or --task_name=custom with --dev_file": (
        {"data_dir": "d"}, {},
    ),
    "without --precision or --embedding_precision of less than float32": ({}, {}),
    "with --pooling=pooled": ({}, {"pooling": "pooled"}),
}  # fmt: skip


def kind(field):
    """bool, int, float or str."""
    kinds = [k for k in getattr(field.type, "__args__", [field.type]) if k is not type(None)]
    return kinds[0]


def accepts(field, value):
    """Whether the flag may have the value."""
    try:
        if field.metadata["valid"]:
            field.metadata["valid"](value, field.name)
    except UserError:
        return False
    return True


def value_of(field):
    """A value that the flag may have."""
    if field.default is not None:
        return True if kind(field) is bool else field.default
    if field.metadata["choices"]:
        return field.metadata["choices"][-1]
    texts = ["x", "1h", "9steps", "0.5", "0.5:1", "-1"]
    values = {int: [9], float: [0.5], str: texts, bool: [True]}
    return next(value for value in values[kind(field)] if accepts(field, value))


def test_no_flag_leaves_open_what_it_may_be():
    loose = [
        field
        for _, field in EVERY_FLAG
        if not (field.metadata["valid"] or field.metadata["choices"] or kind(field) is bool)
    ]
    assert {field.name for field in loose} == FREE_TEXT
    assert all(kind(field) is str for field in loose)


def test_every_range_refuses_something_and_accepts_its_default():
    wrong = {int: [-(10**9)], float: [-1e9], str: ["?"], tuple: [("?",)]}
    for _, field in EVERY_FLAG:
        if not field.metadata["valid"]:
            continue
        assert field.default is None or accepts(field, field.default), field.name
        for value in wrong[kind(field)]:
            with pytest.raises(UserError) as refused:
                field.metadata["valid"](value, field.name)
            assert str(refused.value).startswith(f"--{field.name}"), field.name
            assert "expected" in str(refused.value)


@pytest.mark.parametrize(
    ("cls", "name", "index"),
    [
        pytest.param(cls, field.name, index, id=f"{cls.__name__}-{field.name}-{index}")
        for cls in PROGRAMS
        for field in option_fields(cls)
        for index in range(len(field.metadata["needs"]))
    ],
)
def test_a_flag_without_what_it_needs_is_refused(cls, name, index):
    field = next(field for field in option_fields(cls) if field.name == name)
    *before, need = field.metadata["needs"][: index + 1]
    values = dict(PROGRAMS[cls])
    for other in before:
        values |= NEEDS[f"{other.word} {other.what}"][0]
    values |= NEEDS[f"{need.word} {need.what}"][1]
    values[name] = value_of(field)
    with pytest.raises(UserError) as refused:
        cls(given=frozenset({name}), **values).check()
    message = str(refused.value)
    assert message.startswith(f"--{name} has no effect {need.word} {need.what}")
    assert "\n" not in message


def test_choices_are_held_to_from_python_too():
    options = tiny.options(do_eval=True, output_dir="o", model_dir="m", precision="float8")
    with pytest.raises(UserError, match="--precision=float8: expected one of float32, bfloat16"):
        options.check()


def test_a_flag_that_was_off_counts_wherever_it_is_set():
    options = ClassifierOptions(do_eval=True, output_dir="o", model_dir="m", keep_best=True)
    with pytest.raises(UserError, match="--keep_best has no effect without --do_train"):
        options.check()


def test_the_table_knows_which_flags_a_need_is_of():
    names = names_that_need(ClassifierOptions, RULE)
    assert names == ["num_intervals", "percentile", "freeze_warmup", "max_frozen_layers"]


def test_options_import_no_tensorflow():
    """--help and wrong flags answer at once."""
    modules = [
        "run_classifier", "run_pretraining", "create_pretraining_data", "factorize", "remove_mask",
        "augment_data", "choose_subnetwork", "convert_checkpoint", "export_subnetwork",
        "extract_features", "report",
        "run_squad", "run_tagger",
        "run_sweep",
    ]  # fmt: skip
    parts = [
        ".".join(path.relative_to(tiny.ROOT).with_suffix("").parts)
        for path in pathlib.Path(tiny.ROOT, "bert_tf").rglob("*options.py")
    ]
    assert len(parts) >= 10
    code = f"import sys, {', '.join([*modules, *parts])}; sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=tiny.environment(), cwd=tiny.ROOT)
    assert done.returncode == 0
