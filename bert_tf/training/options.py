"""Options of training by epochs, and those of run_classifier.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.checkpoints import options as model_options
from bert_tf.data import options as data_options
from bert_tf.distillation.options import DistillationOptions
from bert_tf.errors import UserError
from bert_tf.freezing.options import FreezingOptions
from bert_tf.options import (
    DO_EVAL,
    DO_PREDICT,
    DO_TRAIN,
    above,
    at_least,
    check_needs,
    option,
    refuse_if,
)
from bert_tf.pruning.options import MaskOptions
from bert_tf.training.run_options import BATCH, RUN, SPEED, TRAIN, RunOptions

_WORK = "What to do"

LEVERS = (MaskOptions, DistillationOptions, FreezingOptions)
"""The levers of `run_classifier.py`, in the order in which they act."""


@dataclasses.dataclass(kw_only=True)
class TrainingOptions(RunOptions):
    """Options of a training by epochs; names and defaults are Google BERT's where it has them."""

    timestamped_output_dir: bool = option(
        False, "Write to a dated child of output_dir instead (the pruning original's way).", RUN
    )
    save_checkpoints_steps: int = option(
        1000,
        "Updates between checkpoints; with do_eval each one is evaluated.",
        RUN,
        valid=at_least(1),
        needs=DO_TRAIN,
    )
    learning_rate: float = option(
        5e-5,
        "Peak learning rate; 0 trains masks alone, the weights stay.",
        TRAIN,
        valid=at_least(0),
        needs=DO_TRAIN,
        same=True,
    )
    lr_schedule: str = option(
        "linear",
        "Learning rate after the warm-up: linear to zero, constant, noam (inverse square root), or"
        " stepped: AutoFreeze's, 1, 0.7 and 0.4 of the rate from 0, 30 and 60 % on; it warms up"
        " only if warmup_proportion is given.",
        TRAIN,
        ("linear", "constant", "noam", "stepped"),
        needs=DO_TRAIN,
        same=True,
    )
    num_train_epochs: float = option(
        3.0,
        "Passes over the training examples; fractions are allowed.",
        TRAIN,
        valid=above(0),
        needs=DO_TRAIN,
        same=True,
    )
    regularization_scale: float = option(
        0.0,
        "Factor of the l2 loss on the kernels of encoder and pooler.",
        TRAIN,
        valid=at_least(0),
        needs=DO_TRAIN,
        same=True,
    )
    train_token_budget: int | None = option(
        None,
        "Padded tokens per update instead of train_batch_size: short texts come in large batches.",
        BATCH,
        valid=at_least(1),
        needs=DO_TRAIN,
        same=True,
    )
    bucket_by_length: bool = option(
        True,
        "Put examples of similar length in one batch (the order stays random).",
        BATCH,
        needs=DO_TRAIN,
        same=True,
    )
    pad_to_max_length: bool = option(
        False,
        "Pad every batch to max_seq_length instead of to its longest example.",
        BATCH,
        same=True,
    )
    steps_per_execution: int = option(
        1,
        "Updates per call of the compiled step (saves Python time on fast devices).",
        SPEED,
        valid=at_least(1),
        needs=DO_TRAIN,
    )

    def check_training(self):
        """Raises `UserError` for flags that are out of range, without effect, or at odds."""
        budget, parts = self.train_token_budget, self.gradient_accumulation_steps
        self.check_run(divides=budget is None)
        refuse_if(
            budget is not None and "train_batch_size" in self.given,
            "--train_token_budget and --train_batch_size both set the batch: give one of them",
        )
        refuse_if(
            budget is not None and self.xla and parts > 1,
            "--xla with --train_token_budget cannot cut batches into"
            " --gradient_accumulation_steps: give --train_batch_size instead",
        )


@dataclasses.dataclass(kw_only=True)
class ClassifierOptions(
    *LEVERS,
    data_options.InputOptions,
    model_options.ModelOptions,
    TrainingOptions,
):
    """Options of `run_classifier.py` and of `classification.run`."""

    GROUPS: typing.ClassVar = (
        _WORK, model_options.GROUP, data_options.GROUP, data_options.CUSTOM_GROUP, RUN, TRAIN,
        BATCH, SPEED,
        *(group for part in LEVERS for group in part.GROUPS),
    )  # fmt: skip

    LEVERS: typing.ClassVar = LEVERS

    do_train: bool = option(False, "Fine-tune.", _WORK)
    do_eval: bool = option(
        False,
        "Evaluate on the dev split(s): at each checkpoint of training, and at its end.",
        _WORK,
    )
    do_predict: bool = option(False, "Predict the test split(s).", _WORK)
    eval_batch_size: int = option(
        8, "Examples per evaluation batch.", BATCH, valid=at_least(1), needs=DO_EVAL
    )
    predict_batch_size: int = option(
        8, "Examples per prediction batch.", BATCH, valid=at_least(1), needs=DO_PREDICT
    )

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        if not (self.do_train or self.do_eval or self.do_predict):
            raise UserError("give at least one of --do_train, --do_eval, --do_predict")
        self.check_training()
        if not self.model_dir and not (self.bert_config_file and self.vocab_file):
            raise UserError(
                "give --model_dir, or --bert_config_file and --vocab_file (and --init_checkpoint)"
            )
        refuse_if(
            bool(self.model_dir and self.init_checkpoint),
            "--model_dir and --init_checkpoint both name the initial weights: give one of them",
        )
        for part in self.LEVERS:
            part.check_lever(self)
        check_needs(self, ["data_dir"], data_options.FILES)
        refuse_if(
            self.regression and self.labels is not None,
            "--regression predicts a number: --labels has no meaning with it",
        )
