"""Options of width- and depth-adaptive training (no TensorFlow)."""

import dataclasses
import re
import typing

from bert_tf.errors import UserError
from bert_tf.options import DO_EVAL, DO_TRAIN, Needs, at_least, option, require
from bert_tf.training.lever_options import LeverOptions

GROUP = "Width and depth: sub-networks of one model (DynaBERT)"
PHASES = ("finetuning", "dynabertw", "dynabert", "final_finetuning")
_LAMBDAS = {
    "dynabertw": ("width_lambda1", "width_lambda2"),
    "dynabert": ("depth_lambda1", "depth_lambda2"),
}

RUNS = Needs("--do_train or --do_eval", lambda options: options.do_train or options.do_eval)
DISTILS = Needs(
    "--training_phase=dynabertw or dynabert", lambda options: options.distils_subnetworks
)
_WIDTH_PHASE = Needs(
    "--training_phase=dynabertw", lambda options: options.training_phase == "dynabertw"
)
_DEPTH_PHASE = Needs(
    "--training_phase=dynabert", lambda options: options.training_phase == "dynabert"
)
_SUBNETWORKS = Needs(
    "--width_mult_list or --depth_mult_list of more than one",
    lambda options: len(options.widths) * len(options.depths) > 1,
)


def parse_multipliers(text, name):
    """Returns the multipliers of a flag such as `0.25,0.5,1.0`, descending, each once.

    Raises:
      UserError: one of them is no number in (0, 1].
    """
    try:
        values = {float(part) for part in text.split(",")}
    except ValueError:
        values = {0.0}
    require(name, text, all(0 < x <= 1 for x in values), "numbers in (0, 1], as 0.25,0.5,1.0")
    return sorted(values, reverse=True)


def parse_sampling(text, name="subnetwork_sampling"):
    """Returns how many sub-networks a step trains besides those that it always does, and these.

    Returns:
      (kind, k): ("all", 0), ("sandwich", 2) or ("random", k).

    Raises:
      UserError: it is none of these.
    """
    found = re.fullmatch(r"random:([1-9]\d*)", text)
    expected = "all, sandwich or random:K with K of 1 or more"
    require(name, text, bool(found) or text in ("all", "sandwich"), expected)
    return ("random", int(found[1])) if found else (text, 2 * (text == "sandwich"))


@dataclasses.dataclass(kw_only=True)
class DynaBertOptions(LeverOptions):
    """The original's flags, and ours."""

    GROUPS: typing.ClassVar = (GROUP,)
    HEAD: typing.ClassVar = "output_weights"  # of a model whose loss says what matters

    training_phase: str = option(
        "finetuning",
        "dynabertw: rewires a fine-tuned model so that its most important heads and neurons come"
        " first, and trains all widths to imitate it. dynabert: trains all widths and depths of"
        " that to imitate it. finetuning, final_finetuning: every sub-network of the lists on the"
        " labels, without a teacher; the last one of a model that dynabertw or dynabert made.",
        GROUP,
        PHASES,
        needs=DO_TRAIN,
        same=True,
    )
    width_mult_list: str = option(
        "1.",
        "Widths to train and to evaluate: shares of the heads and neurons of each layer, comma"
        " separated, as 0.25,0.5,0.75,1.0.",
        GROUP,
        valid=parse_multipliers,
        needs=RUNS,
        same=True,
    )
    depth_mult_list: str = option(
        "1.",
        "Depths: shares of the layers, as 0.5,0.75,1.0.",
        GROUP,
        valid=parse_multipliers,
        needs=RUNS,
        same=True,
    )
    depth_rule: str | None = option(
        None,
        "Which layers a depth keeps: keep_first, floor(i / depth) as the original's code has it,"
        " which drops the last layer, or keep_last, as its paper has it. Default: as the model was"
        " trained, else keep_first.",
        GROUP,
        ("keep_first", "keep_last"),
        needs=RUNS,
        same=True,
    )
    width_lambda1: float = option(
        1.0,
        "dynabertw: factor of the loss on the teacher's logits.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _WIDTH_PHASE),
        same=True,
    )
    width_lambda2: float = option(
        0.1,
        "dynabertw: factor of the loss on its hidden states.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _WIDTH_PHASE),
        same=True,
    )
    depth_lambda1: float = option(
        1.0,
        "dynabert: factor of the loss on the teacher's logits.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _DEPTH_PHASE),
        same=True,
    )
    depth_lambda2: float = option(
        1.0,
        "dynabert: factor of the loss on its hidden states.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _DEPTH_PHASE),
        same=True,
    )
    teacher_width: str = option(
        "full",
        "dynabert: the teacher is the whole model (the original's code), or for each width the"
        " sub-network of that width at full depth (its paper).",
        GROUP,
        ("full", "same"),
        needs=(DO_TRAIN, _DEPTH_PHASE),
        same=True,
    )
    hidden_loss: str = option(
        "tokens",
        "Hidden states are compared at the tokens that count: tokens, or original, at padding too"
        " and at all tokens of the last layer.",
        GROUP,
        ("tokens", "original"),
        needs=(DO_TRAIN, DISTILS),
        same=True,
    )
    subnetwork_sampling: str = option(
        "all",
        "Sub-networks that a step trains: all; sandwich, the largest, the smallest and two others"
        " at random; random:K. Losses are scaled so that the sum stays that of all.",
        GROUP,
        valid=parse_sampling,
        needs=(DO_TRAIN, _SUBNETWORKS),
        same=True,
    )
    importance_split: str = option(
        "train",
        "dynabertw: rows whose gradients say which heads and neurons matter. The original takes"
        " dev, on which it then reports its results.",
        GROUP,
        ("train", "dev"),
        needs=(DO_TRAIN, _WIDTH_PHASE),
        same=True,
    )
    importance_examples: int = option(
        4096,
        "dynabertw: how many of them, drawn at random; 0 takes all.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, _WIDTH_PHASE),
        same=True,
    )
    keep_best_subnetworks: bool = option(
        False,
        "Also keep the best weights of each sub-network, as a model folder of its own size in"
        " output_dir/subnetworks.",
        GROUP,
        needs=(DO_TRAIN, DO_EVAL, _SUBNETWORKS),
    )

    @property
    def widths(self):
        """The width multipliers, descending."""
        return parse_multipliers(self.width_mult_list, "width_mult_list")

    @property
    def depths(self):
        """The depth multipliers, descending."""
        return parse_multipliers(self.depth_mult_list, "depth_mult_list")

    @property
    def trains_whole(self):
        """Whether the whole model alone is trained, or evaluated, as without this lever."""
        whole = self.widths == self.depths == [1.0]
        return whole and self.training_phase in ("finetuning", "final_finetuning")

    @property
    def distils_subnetworks(self):
        """Whether the phase trains to a teacher."""
        return self.training_phase in ("dynabertw", "dynabert")

    def distilled(self):
        """In the phases with a teacher: the model to start from, unless another one is named."""
        if not (self.do_train and self.distils_subnetworks):
            return super().distilled()
        from bert_tf.distillation.options import Distilled

        first, second = _LAMBDAS[self.training_phase]
        own = "model_dir" if self.model_dir else "init_checkpoint"
        flag = "teacher_model_dir" if self.teacher_model_dir else own
        same_width = self.teacher_width == "same" and self.training_phase == "dynabert"
        return Distilled(
            folder=self.teacher_model_dir,
            flag=flag,
            temperature=1.0,
            logits_weight=getattr(self, first),
            hidden_weight=getattr(self, second),
            hidden_weight_flag=second,
            label_weight=0.0,
            hidden_loss=self.hidden_loss,
            same_width=same_width,
        )

    def check_lever(self):
        """Raises `UserError` for what the table of flags cannot say."""
        flags = ("temperature", "logits_weight", "hidden_weight", "label_weight")
        for name in [f"distillation_{flag}" for flag in flags]:
            if name in self.given and self.do_train and self.distils_subnetworks:
                raise UserError(
                    f"--{name} has no effect with --training_phase={self.training_phase}, whose"
                    " losses are those of --width_lambda1 to --depth_lambda2"
                )
        if self.training_phase == "dynabertw" and self.importance_split == "dev":
            require("importance_split", "dev", self.do_eval, "train, or --do_eval with it")
        if self.training_phase == "dynabertw" and self.depths != [1.0]:
            raise UserError(
                f"--depth_mult_list={self.depth_mult_list}: --training_phase=dynabertw trains"
                " widths alone; train depths by --training_phase=dynabert on its result"
            )

    def models_kept(self):
        """One for each sub-network whose best is kept."""
        return len(self.widths) * len(self.depths) if self.keep_best_subnetworks else 0

    def lever(self, source):
        """Returns `DynaBert` for sub-networks, and where a training undoes what a model records.

        Raises:
          UserError: the phase does not follow on what the model is.
        """
        from bert_tf.dynabert.lever import DynaBert

        found = DynaBert(self)
        if self.do_train:
            found.check(source)
        undone = self.do_train and "dynabert" in source.config.extra
        return found if undone or not self.trains_whole else None
