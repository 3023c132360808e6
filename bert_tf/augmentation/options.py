"""Options of augment_data.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.checkpoints.options import model_flag, one_spelling
from bert_tf.data import options as data_options
from bert_tf.data.options import TaskOptions
from bert_tf.options import SEED, at_least, between, check_table, option

_MODELS, _VARIANTS, _OUTPUT = "Models", "Variants", "Output"


@dataclasses.dataclass(kw_only=True)
class AugmentationOptions(TaskOptions):
    """Which training rows, which model says what their words may become, and how often."""

    GROUPS: typing.ClassVar = (
        _MODELS, data_options.GROUP, data_options.CUSTOM_GROUP, _VARIANTS, _OUTPUT,
    )  # fmt: skip

    given: frozenset = frozenset()

    model: str | None = model_flag(_MODELS)
    model_dir: str | None = option(
        None,
        "Model with its masked-LM head, which says what a word may become: a pre-trained model in"
        " any format that convert_checkpoint.py reads. Required.",
        _MODELS,
        required="a pre-trained model with its masked-LM head",
    )
    teacher_model_dir: str | None = option(
        None,
        "Model folder fine-tuned on the task, whose logits take the place of the labels.",
        _MODELS,
    )
    glove_file: str | None = option(
        None,
        "GloVe vectors as text, whose first 100,000 words say what a word of several pieces may"
        " become. Default: the model's own word embeddings.",
        _MODELS,
    )
    max_train_examples: int | None = option(
        None,
        "Make variants of the first this many examples only.",
        data_options.GROUP,
        valid=at_least(1),
    )
    variants: int | None = option(
        None,
        "Attempts at a variant of each text; those that come out alike count once. Default: as"
        " TinyBERT, cola, mrpc, rte and sts-b 30, sst-2 and qnli 20, mnli and qqp 10; others 20.",
        _VARIANTS,
        valid=at_least(1),
    )
    candidates: int = option(
        15, "Words that each word may become, the likeliest.", _VARIANTS, valid=at_least(1)
    )
    replace_probability: float = option(
        0.4,
        "How likely each word is replaced in an attempt.",
        _VARIANTS,
        valid=between(0, 1, "(]"),
    )
    seed: int = option(
        42,
        "Seed of the draws, which are those of a row whatever the others are.",
        _VARIANTS,
        valid=SEED,
    )
    output_file: str | None = option(
        None,
        "File to write, with a description beside it (.json). An earlier output is replaced."
        " Default: where run_classifier.py --data_aug looks for it, beside the training file.",
        _OUTPUT,
    )

    def __post_init__(self):
        one_spelling(self)

    def check(self):
        """Raises `UserError` for missing flags, and for those out of range or without effect."""
        check_table(self)
