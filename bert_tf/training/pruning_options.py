"""Options of mask training and of distillation, a part of run_classifier.py's (no TensorFlow)."""

import dataclasses

from bert_tf.errors import UserError
from bert_tf.options import option, require, require_dropout_rates

GROUP = "Pruning: masks on a factorised model (factorize.py makes one)"
TEACHER_GROUP = "Distillation"

# Those that only mask training gives a meaning.
MASK_FLAGS = frozenset(
    {
        "learning_rate_warmup",
        "alpha_learning_rate",
        "lambda_learning_rate",
        "target_sparsity",
        "target_sparsity_warmup",
        "sparsity_base",
        "init_masks",
        "mask_evaluation",
    }
)
TEACHER_FLAGS = frozenset(
    {
        "distillation_temperature",
        "distillation_logits_weight",
        "distillation_hidden_weight",
        "distillation_label_weight",
    }
)


@dataclasses.dataclass(kw_only=True)
class PruningOptions:
    """The pruning original's flags (its defaults in flop.md differ where noted), and ours."""

    factorized: bool | None = option(
        None,
        "true trains a factorised model as it is, false puts masks on it. Default: masks on what"
        " factorize.py made at full rank, none on what remove_mask.py or --target_sparsity cut.",
        GROUP,
    )
    target_sparsity: float = option(
        0.8, "Share of the encoder's kernel parameters that the masks remove.", GROUP
    )
    target_sparsity_warmup: int | None = option(
        None, "Updates over which the target rises; a third of all updates if absent.", GROUP
    )
    sparsity_base: str = option(
        "dense",
        "What target_sparsity is a share of: the dense model's kernels, or those of the factorised"
        " model (the original's way: 2.75 times as many after its full SVD).",
        GROUP,
        ("dense", "factorized"),
    )
    alpha_learning_rate: float = option(
        20.0, "Scale of the masks' Noam learning rate (peak: scale / sqrt(768 warmup)).", GROUP
    )
    lambda_learning_rate: float = option(
        100.0, "Scale of the multipliers' Noam learning rate.", GROUP
    )
    learning_rate_warmup: int = option(
        100, "Updates over which the rates of masks and multipliers rise.", GROUP
    )
    init_masks: str = option(
        "constant",
        "Start of log_alpha: 5 everywhere, or by the scores that factorize.py wrote beside the"
        " model (mask_scores.npz).",
        GROUP,
        ("constant", "scores"),
    )
    mask_evaluation: str | None = option(
        None,
        "Masks outside training: clipped is the median of each (the original's; default), hard"
        " zeroes as many as are expected to be zero.",
        GROUP,
        ("clipped", "hard"),
    )
    regularization_scale: float = option(
        0.0, "Factor of the l2 loss on the kernels of encoder and pooler.", GROUP
    )
    hidden_dropout_prob: float | None = option(
        None, "Overrides the model's dropout of embeddings, dense layers and classifier.", GROUP
    )
    attention_probs_dropout_prob: float | None = option(
        None, "Overrides the model's dropout of attention probabilities.", GROUP
    )
    teacher_model_dir: str | None = option(
        None,
        "Fine-tuned model folder of the same task whose logits and hidden states are learnt too.",
        TEACHER_GROUP,
    )
    distillation_temperature: float = option(
        2.0, "Softens the class probabilities of teacher and student.", TEACHER_GROUP
    )
    distillation_logits_weight: float = option(
        1.0, "Factor of the loss on the logits.", TEACHER_GROUP
    )
    distillation_hidden_weight: float = option(
        1.0, "Factor of the loss on the hidden states.", TEACHER_GROUP
    )
    distillation_label_weight: float = option(
        1.0, "Factor of the task's own loss beside the teacher's.", TEACHER_GROUP
    )

    def check_pruning(self):
        """Raises `UserError` for values out of range and flags without effect."""
        for name, value, holds, expected in (
            ("target_sparsity", self.target_sparsity, 0 <= self.target_sparsity <= 1, "[0, 1]"),
            (
                "target_sparsity_warmup",
                self.target_sparsity_warmup,
                (self.target_sparsity_warmup or 0) >= 0,
                "0 or more",
            ),
            (
                "learning_rate_warmup",
                self.learning_rate_warmup,
                self.learning_rate_warmup >= 0,
                "0 or more",
            ),
            (
                "distillation_temperature",
                self.distillation_temperature,
                self.distillation_temperature > 0,
                "a number above 0",
            ),
            *(
                (name, getattr(self, name), (getattr(self, name) or 0) >= 0, "0 or more")
                for name in (
                    "alpha_learning_rate",
                    "lambda_learning_rate",
                    "regularization_scale",
                    "distillation_logits_weight",
                    "distillation_hidden_weight",
                    "distillation_label_weight",
                )
            ),
        ):
            require(name, value, holds, expected)
        require_dropout_rates(self)
        stray = sorted(TEACHER_FLAGS & self.given)
        if stray and not self.teacher_model_dir:
            raise UserError(f"--{stray[0]} has no effect without --teacher_model_dir")
        stray = sorted(MASK_FLAGS & self.given)
        if stray and self.factorized:
            raise UserError(
                f"--{stray[0]} has no effect with --factorized, which trains without masks"
            )
