"""Distillation as a lever of a run: the teacher's outputs, and the loss that draws to them."""

import dataclasses
import functools

from bert_tf.distillation.losses import DistillationLoss
from bert_tf.errors import UserError
from bert_tf.training.lever import Lever, Loss


class Distillation(Lever):
    """Trains each pass to a teacher's logits and hidden states beside the task.

    Args:
      distilled: `Distilled`.
    """

    name = "distillation"

    def __init__(self, distilled):
        super().__init__()
        self._distilled = distilled
        self._loss = self._digest = None
        self._widths = (None,)

    def begin(self, run):
        distilled = self._distilled
        teacher, self._digest = run.load_other(distilled.folder, distilled.flag)
        if distilled.same_width:
            _require_same_units(teacher.config, run.model.config, distilled.flag)
        self._loss = DistillationLoss(
            teacher,
            run.model.config,
            temperature=distilled.temperature,
            logits_weight=distilled.logits_weight,
            hidden_weight=distilled.hidden_weight,
            hidden_loss=distilled.hidden_loss,
            flags=(distilled.flag, distilled.hidden_weight_flag),
        )

    def identity(self):
        return {"teacher's weights": self._digest}

    def shared(self, inputs):
        return {"teacher": {width: self._loss.wanted(inputs, width) for width in self._widths}}

    def passes(self, passes):
        """Adds the teacher's loss to each; `forward` says which layers and width the pass runs."""
        if self._distilled.same_width:
            # What a step may leave out is run where it is needed.
            always = (one for one in passes if one.when is None)
            self._widths = tuple(dict.fromkeys(map(_width, always)))
        return tuple(self._with_teacher(one) for one in passes)

    def _with_teacher(self, one):
        weight = self._distilled.label_weight
        task = (dataclasses.replace(x, weight=weight * x.weight) for x in one.losses)
        width = _width(one) if self._distilled.same_width else None
        losses = functools.partial(self._losses, one.forward.get("layers"), width)
        return dataclasses.replace(one, losses=(*task, Loss("distillation_loss", losses)))

    def _losses(self, layers, width, inputs, labels, outputs, shared):
        wanted = shared["teacher"].get(width) or self._loss.wanted(inputs, width)
        return self._loss(inputs, outputs, wanted, layers, labels)


def _width(one):
    """The units of the first layer that a pass runs, which all its layers have; None for all."""
    units = one.forward.get("width")
    return units and units[0]


def _require_same_units(teacher, student, flag):
    """Raises `UserError` unless the first units of both are as many, the same in all layers."""
    ours, theirs = (
        {config.units_of(layer) for layer in range(config.num_hidden_layers)}
        for config in (student, teacher)
    )
    rewired = teacher.extra.get("dynabert", {}).get("rewired")
    if len(ours) > 1 or ours != theirs or not rewired:
        raise UserError(
            f"--teacher_width=same: the teacher of --{flag} must be a result of"
            f" --training_phase=dynabertw with the heads and neurons of the model that is trained,"
            f" {_listed(ours)} in each layer, found {_listed(theirs)},"
            f" {'' if rewired else 'not '}rewired: leave the flag out, or give such a model"
        )


def _listed(units):
    return " and ".join(f"{heads} and {neurons}" for heads, neurons in sorted(units))
