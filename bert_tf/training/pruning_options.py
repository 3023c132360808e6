"""Options of mask training and of distillation, a part of run_classifier.py's (no TensorFlow)."""

import dataclasses

from bert_tf.options import DO_TRAIN, Needs, above, at_least, between, option, useless_with

GROUP = "Pruning: masks on a factorised model (factorize.py makes one)"
TEACHER_GROUP = "Distillation"

MASKS = useless_with(
    "--factorized", lambda options: bool(options.factorized), ", which trains without masks"
)
_TEACHER = Needs("--teacher_model_dir", lambda options: bool(options.teacher_model_dir))


@dataclasses.dataclass(kw_only=True)
class PruningOptions:
    """The pruning original's flags (its defaults in flop.md differ where noted), and ours."""

    factorized: bool | None = option(
        None,
        "true trains a factorised model as it is, false puts masks on it. Default: masks on what"
        " factorize.py made at full rank, none on what remove_mask.py or --target_sparsity cut.",
        GROUP,
        needs=DO_TRAIN,
    )
    target_sparsity: float = option(
        0.8,
        "Share of the encoder's kernel parameters that the masks remove.",
        GROUP,
        valid=between(0, 1),
        needs=(DO_TRAIN, MASKS),
        same=True,
    )
    target_sparsity_warmup: int | None = option(
        None,
        "Updates over which the target rises; a third of all updates if absent.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, MASKS),
        same=True,
    )
    sparsity_base: str = option(
        "dense",
        "What target_sparsity is a share of: the dense model's kernels, or those of the factorised"
        " model (the original's way: 2.75 times as many after its full SVD).",
        GROUP,
        ("dense", "factorized"),
        needs=(DO_TRAIN, MASKS),
        same=True,
    )
    alpha_learning_rate: float = option(
        20.0,
        "Scale of the masks' Noam learning rate (peak: scale / sqrt(768 warmup)).",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, MASKS),
        same=True,
    )
    lambda_learning_rate: float = option(
        100.0,
        "Scale of the multipliers' Noam learning rate.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, MASKS),
        same=True,
    )
    learning_rate_warmup: int = option(
        100,
        "Updates over which the rates of masks and multipliers rise.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, MASKS),
        same=True,
    )
    init_masks: str = option(
        "constant",
        "Start of log_alpha: 5 everywhere, or by the scores that factorize.py wrote beside the"
        " model (mask_scores.npz).",
        GROUP,
        ("constant", "scores"),
        needs=(DO_TRAIN, MASKS),
        same=True,
    )
    mask_evaluation: str | None = option(
        None,
        "Masks outside training: clipped is the median of each (the original's; default), hard"
        " zeroes as many as are expected to be zero.",
        GROUP,
        ("clipped", "hard"),
        needs=MASKS,
        same=True,
    )
    teacher_model_dir: str | None = option(
        None,
        "Fine-tuned model folder of the same task whose logits and hidden states are learnt too.",
        TEACHER_GROUP,
        needs=DO_TRAIN,
    )
    distillation_temperature: float = option(
        2.0,
        "Softens the class probabilities of teacher and student.",
        TEACHER_GROUP,
        valid=above(0),
        needs=(DO_TRAIN, _TEACHER),
        same=True,
    )
    distillation_logits_weight: float = option(
        1.0,
        "Factor of the loss on the logits.",
        TEACHER_GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _TEACHER),
        same=True,
    )
    distillation_hidden_weight: float = option(
        1.0,
        "Factor of the loss on the hidden states.",
        TEACHER_GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _TEACHER),
        same=True,
    )
    distillation_label_weight: float = option(
        1.0,
        "Factor of the task's own loss beside the teacher's.",
        TEACHER_GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _TEACHER),
        same=True,
    )
