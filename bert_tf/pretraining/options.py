"""Options of run_pretraining.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.budget import CURVES
from bert_tf.budget import options as budget_options
from bert_tf.checkpoints import options as model_options
from bert_tf.errors import UserError
from bert_tf.options import (
    DO_EVAL,
    DO_TRAIN,
    UPDATES,
    Needs,
    above,
    at_least,
    between,
    option,
    refuse_if,
    useless_with,
)
from bert_tf.pretraining import checks as pretraining_checks
from bert_tf.pretraining import shape as pretraining_shape
from bert_tf.training.run_options import BATCH, RUN, SPEED, TRAIN, RunOptions

_WORK = "What to do"
_DATA = "Data"

# The budget recipe of 24hBERT (Izsak, Berchansky, Levy, 2021), where its paper has a value.
RECIPES = {
    "google": {},
    "budget": {
        "learning_rate": 1e-3,
        "train_batch_size": 4096,
        "gradient_accumulation_steps": 64,
        "warmup_proportion": 0.06,
        "adam_beta2": 0.98,
        "clip_norm": 0.0,
        "norm_position": "pre",
        "eval_batch_size": 64,
    },
}


def _from_rows(options):
    return bool(options.data_dir)


_PROBE = Needs("--probe", lambda options: options.probe)
_NEW_MODEL = Needs(
    "--data_dir and a new model",
    lambda o: bool(o.data_dir and not (o.model_dir or o.init_checkpoint)),
)
_DRAWN_MASKS = useless_with(
    "--input_file", lambda options: bool(options.input_file), ", whose masks are drawn"
)
_POLYNOMIAL = Needs("--lr_schedule=polynomial", lambda o: o.lr_schedule == "polynomial")
_EXPONENTIAL = Needs("--lr_schedule=exp", lambda options: options.lr_schedule == "exp")


@dataclasses.dataclass(kw_only=True)
class PretrainingOptions(
    budget_options.TimetableOptions,
    pretraining_shape.ShapeOptions,
    model_options.ModelOptions,
    RunOptions,
):
    """Google BERT's flags and defaults; those of the budget recipe come with `recipe="budget"`."""

    LEVERS: typing.ClassVar = (budget_options.TimetableOptions,)
    GROUPS: typing.ClassVar = (
        _WORK, model_options.GROUP, pretraining_shape.GROUP, _DATA, budget_options.GROUP, RUN,
        TRAIN, BATCH, SPEED,
    )  # fmt: skip

    do_train: bool = option(False, "Pre-train.", _WORK)
    do_eval: bool = option(
        False,
        "Evaluate on held-out rows: on the clock while training, and at the end of the budget.",
        _WORK,
    )
    probe: bool = option(
        False, "Time the shapes of --probe_shapes and say what the budget buys with each.", _WORK
    )
    probe_shapes: str = option(
        "2x128,4x256,4x512,8x512,12x768",
        "Shapes to time, LAYERSxHIDDEN; heads are hidden/64, the feed-forward layer 4 x hidden.",
        _WORK,
        valid=pretraining_shape.parse_shapes,
        needs=_PROBE,
    )
    probe_seconds: float = option(
        60.0, "Time for the whole probe.", _WORK, valid=above(0), needs=_PROBE
    )

    output_bias: str = option(
        "frequencies",
        "What the predictions' bias of a new model starts from: the logarithms of the tokens'"
        " frequencies in data_dir's rows, so that no update is spent on learning them, or zeros"
        " (Google's).",
        model_options.GROUP,
        ("frequencies", "zeros"),
        needs=(DO_TRAIN, _NEW_MODEL),
        same=True,
    )
    vocab_file: str | None = option(
        None,
        "vocab.txt for the model folder (with input_file; data_dir has its own).",
        model_options.GROUP,
        needs=useless_with("--data_dir", _from_rows, ", whose rows were made with its vocab.txt"),
    )
    data_dir: str | None = option(
        None, "Folder of packed rows that create_pretraining_data.py wrote.", _DATA
    )
    input_file: str | None = option(
        None, "Google's TFRecord files instead (comma-separated globs): static masks and the"
        " next-sentence loss.", _DATA
    )  # fmt: skip
    eval_input_file: str | None = option(
        None,
        "TFRecord files to evaluate on; those of input_file if absent, as Google does.",
        _DATA,
        needs=useless_with("--data_dir", _from_rows, ", which has held-out rows"),
    )
    max_seq_length: int | None = option(
        None,
        "Tokens per row: must be the data's; 128 with input_file if absent.",
        _DATA,
        valid=at_least(1),
    )
    max_predictions_per_seq: int | None = option(
        None,
        "Masked tokens per row: must be the data's; 20 with input_file if absent.",
        _DATA,
        valid=at_least(1),
    )
    mlm_probability: float = option(
        0.15,
        "Share of a packed row's tokens to predict.",
        _DATA,
        valid=between(0, 1, "(]"),
        needs=_DRAWN_MASKS,
        same=True,
    )
    whole_word_masking: bool = option(
        False, "Mask whole words of packed rows.", _DATA, needs=_DRAWN_MASKS, same=True
    )
    log_data_order: bool = option(
        False,
        "Append to data_order.tsv which rows of the stream each update saw.",
        _DATA,
        needs=DO_TRAIN,
    )

    recipe: str = option(
        "google",
        "Defaults: google's, or budget: rate 1e-3, batch 4096 in 64 parts, warm-up 0.06, Adam's"
        " beta2 0.98, no clipping, pre-LN. Flags given win.",
        budget_options.GROUP,
        tuple(RECIPES),
        needs=UPDATES,
    )
    num_train_steps: int = option(
        100000,
        "Updates, where no budget is given.",
        TRAIN,
        valid=at_least(1),
        needs=UPDATES,
    )
    num_warmup_steps: int = option(
        10000,
        "Updates of the warm-up, where no budget is given.",
        TRAIN,
        valid=at_least(0),
        needs=DO_TRAIN,
    )
    lr_schedule: str = option(
        "linear",
        "Learning rate over the budget after the warm-up; triangle is Cramming's, which rises from"
        " a quarter to the peak at 75 % and has no warm-up.",
        TRAIN,
        CURVES,
        needs=DO_TRAIN,
        same=True,
    )
    minimum_learning_rate: float = option(
        0.0, "Where the rate's fall ends.", TRAIN, valid=at_least(0), needs=DO_TRAIN, same=True
    )
    lr_power: float = option(
        2.0,
        "Power of lr_schedule=polynomial.",
        TRAIN,
        valid=above(0),
        needs=(DO_TRAIN, _POLYNOMIAL),
        same=True,
    )
    lr_decay_rate: float = option(
        0.01,
        "Factor of lr_schedule=exp per lr_decay_interval.",
        TRAIN,
        valid=above(0),
        needs=(DO_TRAIN, _EXPONENTIAL),
        same=True,
    )
    lr_decay_interval: float = option(
        1.0,
        "Share of the budget that lr_decay_rate is for.",
        TRAIN,
        valid=above(0),
        needs=(DO_TRAIN, _EXPONENTIAL),
        same=True,
    )
    adam_beta1: float = option(
        0.9, "Adam's beta1.", TRAIN, valid=between(0, 1, "[)"), needs=DO_TRAIN, same=True
    )
    adam_beta2: float = option(
        0.999, "Adam's beta2.", TRAIN, valid=between(0, 1, "[)"), needs=DO_TRAIN, same=True
    )
    adam_epsilon: float = option(
        1e-6, "Adam's epsilon.", TRAIN, valid=above(0), needs=DO_TRAIN, same=True
    )
    eval_batch_size: int = option(
        8, "Rows per evaluation batch.", BATCH, valid=at_least(1), needs=DO_EVAL, same=True
    )
    max_eval_steps: int = option(
        100,
        "Evaluation batches, the same at each evaluation.",
        BATCH,
        valid=at_least(1),
        needs=DO_EVAL,
        same=True,
    )
    batch_ramp: float = option(
        0.0,
        "Share of the budget over which the batch grows, in doublings, from one micro-batch to"
        " train_batch_size.",
        BATCH,
        valid=between(0, 1, "[)"),
        needs=DO_TRAIN,
        same=True,
    )
    keep_checkpoints: int = option(
        1, "Newest checkpoints to keep.", RUN, valid=at_least(1), needs=DO_TRAIN
    )

    def __post_init__(self):
        super().__post_init__()
        for name, value in RECIPES[self.recipe].items():
            if name not in self.given:
                setattr(self, name, value)

    @property
    def makes_updates(self):
        """Whether updates are run: by training, or by the probe, which times them."""
        return self.do_train or self.probe

    @property
    def warmup(self):
        """The warm-up as a share of the budget."""
        if self.lr_schedule == "triangle":
            return 0.0
        if self.budget is not None or "warmup_proportion" in self.given or self.recipe != "google":
            return self.warmup_proportion
        return min(self.num_warmup_steps, self.num_train_steps - 1) / self.num_train_steps

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        if not (self.do_train or self.do_eval or self.probe):
            raise UserError("give at least one of --do_train, --do_eval, --probe")
        refuse_if(
            self.probe and (self.do_train or self.do_eval),
            "--probe only measures: leave --do_train and --do_eval out",
        )
        self.check_run()
        pretraining_checks.check(self)
