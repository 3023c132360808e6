"""Options of run_classifier.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.budget.options import BudgetOptions
from bert_tf.checkpoints import options as model_options
from bert_tf.data import options as data_options
from bert_tf.distillation.options import DistillationOptions
from bert_tf.dynabert.options import DynaBertOptions
from bert_tf.errors import UserError
from bert_tf.freezing.options import FreezingOptions
from bert_tf.options import (
    DO_EVAL,
    DO_PREDICT,
    at_least,
    check_needs,
    option,
    refuse_if,
)
from bert_tf.pruning.options import MaskOptions
from bert_tf.training.run_options import BATCH, RUN, SPEED, TRAIN, TrainingOptions

_WORK = "What to do"

LEVERS = (BudgetOptions, FreezingOptions, MaskOptions, DynaBertOptions, DistillationOptions)
"""The levers of `run_classifier.py`, in the order in which they act."""


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
        check_needs(self, ["data_dir", "dataset"], data_options.FILES)
        refuse_if(
            self.regression and self.labels is not None,
            "--regression predicts a number: --labels has no meaning with it",
        )
