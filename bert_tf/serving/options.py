"""Options of predict.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.options import at_least, option

_MODEL, _TEXTS, _SPEED = "Model", "Texts", "Speed"


@dataclasses.dataclass(kw_only=True)
class PredictOptions:
    """Which exported model predicts, and for which lines."""

    GROUPS: typing.ClassVar = (_MODEL, _TEXTS, _SPEED)

    given: frozenset = frozenset()

    model_dir: str | None = option(
        None,
        "Folder that export_model.py --format=onnx wrote, of a classifier or a regression."
        " Required.",
        _MODEL,
        required="the folder of an exported model",
    )
    verify: bool = option(
        True,
        "Refuse model and tokenizer that are not the files that were exported, by their digests.",
        _MODEL,
    )
    input_file: str | None = option(
        None, "UTF-8 text, one text a line. Default: the standard input.", _TEXTS
    )
    pairs: bool | None = option(
        None,
        "A line is two texts with a tab between them. Default: as the model was fine-tuned; where"
        " nothing says how, a line with a tab is refused.",
        _TEXTS,
    )
    output_file: str | None = option(
        None,
        "File to write, complete or not at all. Default: the standard output.",
        _TEXTS,
    )
    threads: int | None = option(
        None,
        "Threads of the runtime; 1: of the tokenizer, too. Default: all cores.",
        _SPEED,
        valid=at_least(1),
    )
    batch_size: int = option(
        32, "Texts in one run of the model; those of one length go together.", _SPEED,
        valid=at_least(1),
    )  # fmt: skip
