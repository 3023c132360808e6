"""Distillation as a lever of a run: the teacher's outputs, and the loss that draws to them."""

import dataclasses

from bert_tf.distillation.losses import DistillationLoss
from bert_tf.training.lever import Lever, Loss


class Distillation(Lever):
    """Trains to a teacher's logits and hidden states beside the task.

    Args:
      options: `PruningOptions` with the teacher's flags.
    """

    name = "distillation"

    def __init__(self, options):
        super().__init__()
        self._options = options
        self._loss = self._digest = None

    def begin(self, run):
        options = self._options
        teacher, self._digest = run.load_other(options.teacher_model_dir, "teacher_model_dir")
        self._loss = DistillationLoss(
            teacher,
            run.model.config,
            temperature=options.distillation_temperature,
            logits_weight=options.distillation_logits_weight,
            hidden_weight=options.distillation_hidden_weight,
        )

    def identity(self):
        return {"teacher's weights": self._digest}

    def shared(self, inputs):
        return {"teacher": self._loss.wanted(inputs)}

    def passes(self, passes):
        return tuple(self._with_teacher(one) for one in passes)

    def _with_teacher(self, one):
        weight = self._options.distillation_label_weight
        task = (dataclasses.replace(x, weight=weight * x.weight) for x in one.losses)

        def losses(inputs, labels, outputs, shared):
            return self._loss(inputs, outputs, shared["teacher"])

        return dataclasses.replace(one, losses=(*task, Loss("distillation_loss", losses)))
