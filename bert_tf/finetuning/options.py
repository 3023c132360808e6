"""Options that every fine-tuning program shares (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.budget.options import BudgetOptions
from bert_tf.checkpoints import options as model_options
from bert_tf.distillation.options import DistillationOptions
from bert_tf.dynabert.options import DynaBertOptions
from bert_tf.errors import UserError
from bert_tf.freezing.options import FreezingOptions
from bert_tf.options import DO_EVAL, DO_PREDICT, at_least, option, refuse_if
from bert_tf.pruning.options import MaskOptions
from bert_tf.training.run_options import BATCH, RUN, SPEED, TRAIN, TrainingOptions

WORK = "What to do"

LEVERS = (BudgetOptions, FreezingOptions, MaskOptions, DynaBertOptions, DistillationOptions)
"""The levers of a fine-tuning, in the order in which they act."""


def groups(*own):
    """Returns the headings of --help: what to do, the model, `own`, the run and its levers."""
    return (
        WORK, model_options.GROUP, *own, RUN, TRAIN, BATCH, SPEED,
        *(group for part in LEVERS for group in part.GROUPS),
    )  # fmt: skip


@dataclasses.dataclass(kw_only=True)
class FinetuningOptions(*LEVERS, model_options.ModelOptions, TrainingOptions):
    """What to do, with which model, and how; a program adds what is read."""

    LEVERS: typing.ClassVar = LEVERS

    do_train: bool = option(False, "Fine-tune.", WORK)
    do_eval: bool = option(
        False,
        "Evaluate on the dev split(s): at each checkpoint of training, and at its end.",
        WORK,
    )
    do_predict: bool = option(False, "Predict the test split(s).", WORK)
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
