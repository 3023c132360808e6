"""Options of run_classifier.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.data import options as data_options
from bert_tf.finetuning.options import LEVERS, FinetuningOptions, groups
from bert_tf.options import check_needs, refuse_if

__all__ = ["LEVERS", "ClassifierOptions"]


@dataclasses.dataclass(kw_only=True)
class ClassifierOptions(FinetuningOptions, data_options.InputOptions):
    """Options of `run_classifier.py` and of `classification.run`."""

    GROUPS: typing.ClassVar = groups(data_options.GROUP, data_options.CUSTOM_GROUP)

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        super().check()
        check_needs(self, ["data_dir", "dataset"], data_options.FILES)
        refuse_if(
            self.regression and self.labels is not None,
            "--regression predicts a number: --labels has no meaning with it",
        )
