"""Options of distillation (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.options import DO_TRAIN, Needs, above, at_least, option
from bert_tf.training.lever_options import LeverOptions

GROUP = "Distillation"

_TEACHER = Needs("--teacher_model_dir", lambda options: bool(options.teacher_model_dir))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distilled:
    """Which teacher a run has, and what is learnt from it.

    Attributes:
      folder: the teacher's model folder; None for the model that the run starts from.
      flag: that names it, for errors.
      hidden_weight_flag: that gives hidden_weight, for errors.
      temperature, logits_weight, hidden_weight: see `DistillationLoss`.
      label_weight: factor of the task's own loss.
      hidden_loss: how hidden states are compared, see `DistillationLoss`.
      same_width: whether a student of a part of the width learns from the same part of the teacher.
    """

    folder: str | None
    flag: str
    temperature: float
    logits_weight: float
    hidden_weight: float
    label_weight: float
    hidden_weight_flag: str = "distillation_hidden_weight"
    hidden_loss: str = "relative"
    same_width: bool = False


@dataclasses.dataclass(kw_only=True)
class DistillationOptions(LeverOptions):
    """Which teacher, and what is learnt from it."""

    GROUPS: typing.ClassVar = (GROUP,)
    IDENTITY_WITHOUT: typing.ClassVar = {"teacher's weights": None}

    teacher_model_dir: str | None = option(
        None,
        "Fine-tuned model folder of the same task whose logits and hidden states are learnt too.",
        GROUP,
        needs=DO_TRAIN,
    )
    distillation_temperature: float = option(
        2.0,
        "Softens the class probabilities of teacher and student.",
        GROUP,
        valid=above(0),
        needs=(DO_TRAIN, _TEACHER),
        same=True,
    )
    distillation_logits_weight: float = option(
        1.0,
        "Factor of the loss on the logits.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _TEACHER),
        same=True,
    )
    distillation_hidden_weight: float = option(
        1.0,
        "Factor of the loss on the hidden states.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _TEACHER),
        same=True,
    )
    distillation_label_weight: float = option(
        1.0,
        "Factor of the task's own loss beside the teacher's.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _TEACHER),
        same=True,
    )

    def distilled(self):
        """Returns the `Distilled` of the run, None without a teacher.

        Options of a lever that comes before this one may say something else.
        """
        if not self.teacher_model_dir:
            return None
        return Distilled(
            folder=self.teacher_model_dir,
            flag="teacher_model_dir",
            temperature=self.distillation_temperature,
            logits_weight=self.distillation_logits_weight,
            hidden_weight=self.distillation_hidden_weight,
            label_weight=self.distillation_label_weight,
        )

    def lever(self, source):
        """Returns `Distillation` if there is a teacher."""
        distilled = self.distilled()
        if distilled is None:
            return None
        from bert_tf.distillation.lever import Distillation

        return Distillation(distilled)
