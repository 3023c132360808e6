"""Options of distillation (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.options import DO_TRAIN, Needs, above, at_least, option
from bert_tf.training.lever_options import LeverOptions

GROUP = "Distillation"

_TEACHER = Needs("--teacher_model_dir", lambda options: bool(options.teacher_model_dir))


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

    def lever(self, source):
        """Returns `Distillation` if there is a teacher."""
        if not self.teacher_model_dir:
            return None
        from bert_tf.distillation.lever import Distillation

        return Distillation(self)
