"""Options of extract_features.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf import text_lines
from bert_tf.checkpoints.options import GROUP as _MODEL
from bert_tf.checkpoints.options import ModelOptions
from bert_tf.features import layers
from bert_tf.options import at_least, check_table, option, refuse_if, useless_with

_TEXTS, _FEATURES = "Texts", "Features"
_POOLED = useless_with("--pooling=pooled", lambda options: options.pooling == "pooled")


@dataclasses.dataclass(kw_only=True)
class ExtractionOptions(ModelOptions):
    """Which model reads which lines, and what of it is written."""

    GROUPS: typing.ClassVar = (_MODEL, _TEXTS, _FEATURES)

    given: frozenset = frozenset()

    input_file: str | None = option(
        None,
        'UTF-8 text, a text or a pair on each line; " ||| " stands between the texts of a pair.'
        " Default: the standard input.",
        _TEXTS,
    )
    do_lower_case: bool | None = option(
        None, "Lower-case and strip accents. Default: as model folder or vocabulary show.", _TEXTS
    )
    max_seq_length: int | None = option(
        None,
        "Longer inputs are cut to this many tokens, [CLS] and [SEP] included. Default: 128, or as"
        " many as the model takes.",
        _TEXTS,
        valid=at_least(3),
    )
    batch_size: int = option(
        32, "Lines in one run of the model; those of similar length go together.", _TEXTS,
        valid=at_least(1),
    )  # fmt: skip
    layers: str | None = option(
        None,
        "Comma-separated layers whose outputs are written: -1 is the last, -N the first of N; 0 is"
        " the output of the embeddings, 1 to N are the layers from below. Default: -1,-2,-3,-4, as"
        " far as there are so many; -1 with --pooling.",
        _FEATURES,
        valid=layers.check,
        needs=_POOLED,
    )
    pooling: str = option(
        "none",
        "One vector a line instead of one a token: the mean of all tokens, [CLS] and [SEP]"
        " included, that of [CLS], or what the pooler makes of it.",
        _FEATURES,
        ("none", "mean", "cls", "pooled"),
    )
    format: str = option(
        "jsonl",
        "Google's JSON lines, numbers rounded to six digits; or NumPy arrays in float32.",
        _FEATURES,
        ("jsonl", "npz"),
    )
    output_file: str | None = option(
        None,
        "File to write, complete or not at all. Default: the standard output.",
        _FEATURES,
    )

    def check(self):
        """Raises `UserError` for missing flags, and for those out of range or without effect."""
        check_table(self)
        refuse_if(
            bool(self.model_dir) == bool(self.init_checkpoint),
            "give one of --model_dir and --init_checkpoint: the model that reads the texts",
        )
        refuse_if(
            self.format == "npz" and not self.output_file,
            "--format=npz: is a file of arrays, give --output_file",
        )
        text_lines.check_paths(self)
