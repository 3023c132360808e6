"""Flags of export_model.py (no TensorFlow)."""

import dataclasses
import pathlib
import re
import typing

from bert_tf import files
from bert_tf.checkpoints import options as model_options
from bert_tf.checkpoints.options import CheckpointOptions
from bert_tf.data import options as data_options
from bert_tf.data.options import TaskOptions
from bert_tf.errors import UserError
from bert_tf.options import (
    SEED,
    Needs,
    above,
    at_least,
    check_table,
    option,
    option_fields,
    refuse_if,
    require,
)

FORMATS = ("savedmodel", "onnx", "openvino", "litert", "huggingface")
PRECISIONS = {
    "savedmodel": ("float32",),
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "float16", "int8"),
    "litert": ("float32", "float16", "int8"),
    "huggingface": ("float32",),
}
"""What each format's weights may be."""
_INT8_TABLE = ("onnx", "openvino", "litert")
_ONNX = ("onnx", "openvino")

_FORM, _CHECK, _OUTPUT = "What to write", "The check", "Output"


def parse_formats(text, name="format"):
    """Returns the formats of a list such as `onnx,litert`, each once.

    Raises:
      UserError: one of them is none.
    """
    formats = list(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    expected = f"a list out of {', '.join(FORMATS)}"
    require(name, text, all(x in FORMATS for x in formats), expected)
    return formats


def parse_lengths(text, name="lengths"):
    """Returns the lengths of a list such as `32,128`, ascending; `dynamic` is ().

    Raises:
      UserError: one of them is no length.
    """
    if text == "dynamic":
        return ()
    parts = text.split(",")
    valid = all(re.fullmatch(r" *[1-9][0-9]{0,5} *", part) for part in parts)
    require(name, text, valid, "dynamic, or lengths in tokens such as 32,128")
    return tuple(sorted({int(part) for part in parts}))


def parse_keep(text, name="keep"):
    """Returns the beginnings (list) of kernels' names in a list.

    Raises:
      UserError: there is none.
    """
    begins = [x.strip() for x in (text or "").split(",") if x.strip()]
    require(name, text, text is None or begins, "a list of beginnings of kernels' names")
    return begins


def _with(*formats):
    names = " or ".join(f"--format={name}" for name in formats)
    return Needs(names, lambda options: bool(set(formats) & set(options.formats)))


_ROWS = Needs(
    "--dataset or --data_dir, or --task_name=custom with --dev_file",
    lambda options: options.reads_rows,
)
_REDUCED = Needs(
    "--precision or --embedding_precision of less than float32", lambda options: options.is_reduced
)
_INT8 = Needs("--precision=int8", lambda options: options.precision == "int8")


@dataclasses.dataclass(kw_only=True)
class ExportOptions(TaskOptions, CheckpointOptions):
    """What to export, as what, and on which rows it is checked."""

    GROUPS: typing.ClassVar = (
        model_options.GROUP, _FORM, data_options.GROUP, data_options.CUSTOM_GROUP, _CHECK, _OUTPUT,
    )  # fmt: skip
    given: frozenset = frozenset()

    format: str = option(
        "onnx",
        "Comma-separated: onnx (ONNX Runtime), openvino, litert (LiteRT, TensorFlow Lite),"
        " savedmodel (TensorFlow, TensorFlow Serving), huggingface (a model folder of theirs).",
        _FORM,
        valid=parse_formats,
    )
    precision: str = option(
        "float32",
        "Of the layers' kernels. int8: onnx, weights by column, activations as they come; openvino,"
        " weights; litert, dynamic range. float16: openvino and litert, stored so.",
        _FORM,
        ("float32", "float16", "int8"),
    )
    embedding_precision: str = option(
        "float32",
        "Of the word table: int8 stores each row with a scale of its own, which makes a small model"
        " four times as small.",
        _FORM,
        ("float32", "int8"),
        needs=_with(*_INT8_TABLE),
    )
    keep: str | None = option(
        None,
        "Comma-separated kernels that stay float32, by the beginnings of their names, as"
        " bert/encoder/layer_0/output. A refusal names the most fragile ones.",
        _FORM,
        needs=_INT8,
    )
    max_seq_length: int | None = option(
        None,
        "Longest input in tokens; longer texts are cut. Default: as fine-tuned, else as many as the"
        " model has positions.",
        _FORM,
        valid=at_least(3),
    )
    calibration_examples: int | None = option(
        None,
        "openvino int8: calibrate activations on this many training rows, drawn at random, which"
        " then are int8, too; other formats are written as without.",
        _FORM,
        valid=at_least(1),
        needs=(_with("openvino"), _INT8, _ROWS),
    )
    opset: int = option(
        20, "Version of ONNX's operators.", _FORM, valid=at_least(1), needs=_with(*_ONNX)
    )
    lengths: str = option(
        "dynamic",
        "litert: dynamic, or lengths that inputs are padded to, as 32,128, for devices whose"
        " accelerators want fixed shapes.",
        _FORM,
        valid=parse_lengths,
        needs=_with("litert"),
    )
    dev_split: str | None = data_options.dev_split_option()
    dev_file: str | None = option(
        None,
        "custom task: file whose rows the artefact is checked on.",
        data_options.CUSTOM_GROUP,
        needs=data_options.CUSTOM,
    )
    max_eval_examples: int | None = option(
        None,
        "Check on this many dev rows, drawn at random.",
        _CHECK,
        valid=at_least(1),
        needs=_ROWS,
    )
    max_metric_loss: float = option(
        0.5,
        "Points (hundredths) of the task's metric that reduced precision may cost.",
        _CHECK,
        valid=above(0),
        needs=(_ROWS, _REDUCED),
    )
    seed: int = option(
        42,
        "Seed of the rows or random tokens of the check, and of the rows of a calibration.",
        _CHECK,
        valid=SEED,
    )
    output_dir: str | None = option(
        None,
        "Folder of the artefact: new, empty, or an earlier export. Several formats each take a"
        " folder in it. Required.",
        _OUTPUT,
        required="the folder to write",
    )

    @property
    def formats(self):
        """The formats, in the order given."""
        return parse_formats(self.format)

    @property
    def folders(self):
        """{format: its folder (`pathlib.Path`)}."""
        output = pathlib.Path(self.output_dir)
        several = len(self.formats) > 1
        return {name: output / name if several else output for name in self.formats}

    @property
    def fixed_lengths(self):
        """The lengths that inputs are padded to, ascending; () where they are dynamic."""
        return parse_lengths(self.lengths)

    @property
    def reads_rows(self):
        """Whether the check has rows of a task."""
        return any(x is not None for x in (self.dataset, self.data_dir, self.dev_file))

    @property
    def is_reduced(self):
        """Whether anything is stored in less than float32."""
        return self.precision != "float32" or self.embedding_precision != "float32"

    @property
    def row_flags(self):
        """{name: value} of the given flags that say which rows."""
        names = {field.name for field in option_fields(TaskOptions)} | {"dev_file", "dev_split"}
        return {name: getattr(self, name) for name in self.given & names}

    def check(self):
        """Raises `UserError` for flags that are wrong, alone or together."""
        check_table(self)
        parse_keep(self.keep)
        self.check_model("the model to export")
        given = self.model_dir or self.checkpoint
        for folder in self.folders.values():
            files.refuse_same_folder("output_dir", folder, given)
        refuse_if(
            self.fixed_lengths and self.formats != ["litert"],
            f"--lengths={self.lengths}: inputs of litert alone are padded to them: export it by a"
            " command of its own",
        )
        for name in self.formats:
            if self.precision not in PRECISIONS[name]:
                raise UserError(
                    f"--precision={self.precision}: {name} is written in"
                    f" {' or '.join(PRECISIONS[name])}: export it by a command of its own"
                )
            if self.embedding_precision == "int8" and name not in _INT8_TABLE:
                raise UserError(
                    f"--embedding_precision=int8: {name} has no place for it: export it by a"
                    " command of its own"
                )
