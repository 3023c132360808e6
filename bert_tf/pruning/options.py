"""Options of mask training (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.options import DO_TRAIN, at_least, between, option, useless_with
from bert_tf.training.lever_options import LeverOptions

GROUP = "Pruning: masks on a factorised model (factorize.py makes one)"

MASKS = useless_with(
    "--factorized", lambda options: bool(options.factorized), ", which trains without masks"
)


@dataclasses.dataclass(kw_only=True)
class MaskOptions(LeverOptions):
    """The pruning original's flags, and ours."""

    GROUPS: typing.ClassVar = (GROUP,)
    IDENTITY_WITHOUT: typing.ClassVar = {"mask training": False}

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
        "Updates over which the target rises; a third of all updates, or of the budget, if absent.",
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

    def lever(self, source):
        """Returns `Masks` if the run trains masks, or evaluates them in a way of its own.

        Raises:
          UserError: see `trains_masks`.
        """
        from bert_tf.pruning.lever import Masks, trains_masks

        return Masks(self) if trains_masks(self, source) or self.mask_evaluation else None
