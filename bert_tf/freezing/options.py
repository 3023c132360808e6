"""Options of layer freezing (no TensorFlow)."""

import dataclasses
import re
import typing

from bert_tf.errors import UserError
from bert_tf.options import (
    DO_EVAL,
    DO_TRAIN,
    Needs,
    above,
    at_least,
    between,
    option,
    useless_with,
)
from bert_tf.training.lever_options import LeverOptions

GROUP = "Freezing: stop training the lower layers, and stop computing them"

RULE = Needs(
    "--freeze_policy=autofreeze or random",
    lambda options: options.chosen_policy in ("autofreeze", "random"),
)
GRADIENTS = Needs(
    "--freeze_policy=autofreeze", lambda options: options.chosen_policy == "autofreeze"
)
TESTS = Needs(
    "--freeze_policy=autofreeze, random or schedule",
    lambda options: options.chosen_policy in ("autofreeze", "random", "schedule"),
)
CACHE = Needs("--activation_cache", lambda options: options.activation_cache != "off")
_GUARD = Needs("--freeze_guard", lambda options: options.freeze_guard != "off")
_CACHE_FILES = useless_with(
    "--activation_cache=memory",
    lambda options: options.activation_cache == "memory",
    ", which writes no files",
)


def parse_schedule(text, flag="freeze_schedule"):
    """Returns [(share of the training, layers frozen from there on)] of text as `0.25:2,0.5:4`.

    Raises:
      UserError: it is no such list; the message names `--flag`.
    """
    points = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([\d.]+)\s*:\s*(\d+)\s*", part)
        share = float(found[1]) if found and _is_number(found[1]) else 0.0
        last_share, last_layers = points[-1] if points else (0.0, 0)
        if not last_share < share < 1 or int(found[2]) <= last_layers:
            raise UserError(
                f"--{flag}={text}: expected growing shares in (0, 1) and layers, as 0.25:2,0.5:4"
            )
        points.append((share, int(found[2])))
    return points


@dataclasses.dataclass(kw_only=True)
class FreezingOptions(LeverOptions):
    """Which layers freeze, when, and whether their outputs are kept."""

    GROUPS: typing.ClassVar = (GROUP,)
    PHASE_WITHOUT: typing.ClassVar = {"frozen_layers": None, "cached": False, "ceiling": 1.0}

    freeze_layers: int = option(
        0,
        "Layers frozen from the start: 0 none, -1 the embeddings, n > 0 the embeddings and the"
        " first n layers.",
        GROUP,
        valid=at_least(-1),
        needs=DO_TRAIN,
        same=True,
    )
    freeze_policy: str | None = option(
        None,
        "static: freeze_layers and no more. autofreeze: layers whose gradients change least from"
        " interval to interval freeze, bottom up (AutoFreeze). random: the same rule on random"
        " numbers, its control. schedule: see freeze_schedule. Default: static with freeze_layers,"
        " else none.",
        GROUP,
        ("none", "static", "autofreeze", "random", "schedule"),
        needs=DO_TRAIN,
        same=True,
    )
    num_intervals: int = option(
        20,
        "autofreeze, random: tests over the whole training.",
        GROUP,
        valid=at_least(1),
        needs=(DO_TRAIN, RULE),
        same=True,
    )
    percentile: float = option(
        50.0,
        "autofreeze, random: a layer freezes while its change is below this percentile of the live"
        " layers'.",
        GROUP,
        valid=between(0, 100),
        needs=(DO_TRAIN, RULE),
        same=True,
    )
    freeze_metric: str = option(
        "signed_sum",
        "autofreeze: signed_sum, the L1 norm of the summed gradients, in which opposite signs"
        " cancel; norm_sum, the sum of the gradients' L1 norms.",
        GROUP,
        ("signed_sum", "norm_sum"),
        needs=(DO_TRAIN, GRADIENTS),
        same=True,
    )
    freeze_warmup: int = option(
        0,
        "autofreeze, random: updates whose gradients do not count; the first test comes an interval"
        " later.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, RULE),
        same=True,
    )
    max_frozen_layers: int | None = option(
        None,
        "autofreeze, random: freeze no more layers; all but the last if absent.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, RULE),
        same=True,
    )
    freeze_schedule: str | None = option(
        None,
        "schedule: shares of the training and the layers frozen from there on, as 0.25:2,0.5:4.",
        GROUP,
        valid=parse_schedule,
        needs=DO_TRAIN,
        same=True,
    )
    freeze_guard: str = option(
        "off",
        "When the main dev metric falls below its best by more than freeze_guard_margin: stop"
        " freezes no more, unfreeze also thaws all layers (needs do_eval).",
        GROUP,
        ("off", "stop", "unfreeze"),
        needs=(DO_TRAIN, DO_EVAL, TESTS),
        same=True,
    )
    freeze_guard_margin: float = option(
        0.01,
        "See freeze_guard; 0.01 is a point.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, TESTS, _GUARD),
        same=True,
    )
    activation_cache: str = option(
        "off",
        "Keep the frozen layers' outputs and read them instead of computing them: in memory, on"
        " disk; auto takes memory if there is room, and none where reading is slower.",
        GROUP,
        ("off", "memory", "disk", "auto"),
        needs=DO_TRAIN,
    )
    cache_dtype: str | None = option(
        None,
        "How they are stored; the compute precision, which loses nothing, if absent.",
        GROUP,
        ("float32", "bfloat16", "float16"),
        needs=(DO_TRAIN, CACHE),
    )
    cache_budget_gb: float = option(
        8.0,
        "Most gigabytes to store; what does not fit is computed each time.",
        GROUP,
        valid=above(0),
        needs=(DO_TRAIN, CACHE),
    )
    cache_dir: str | None = option(
        None,
        "Folder for a cache on disk; output_dir/activations if absent.",
        GROUP,
        needs=(DO_TRAIN, CACHE, _CACHE_FILES),
    )
    keep_cache: bool = option(
        False,
        "Leave the cache's files there at the end.",
        GROUP,
        needs=(DO_TRAIN, CACHE, _CACHE_FILES),
    )

    @property
    def chosen_policy(self):
        """The policy, its default filled in."""
        return self.freeze_policy or ("static" if self.freeze_layers else "none")

    @property
    def schedule_points(self):
        """[(share of the training, layers)] of `freeze_schedule`."""
        return parse_schedule(self.freeze_schedule)

    def check_lever(self):
        """Raises `UserError` for flags that are at odds with each other."""
        policy = self.chosen_policy
        if policy == "none" and self.freeze_layers:
            raise UserError("--freeze_policy=none contradicts --freeze_layers: give one of them")
        if policy == "static" and not self.freeze_layers:
            raise UserError("--freeze_policy=static needs --freeze_layers, which layers to freeze")
        if (policy == "schedule") != (self.freeze_schedule is not None):
            raise UserError("--freeze_policy=schedule and --freeze_schedule need each other")
        if self.activation_cache == "off":
            return
        if policy == "none":
            raise UserError(
                f"--activation_cache={self.activation_cache} has no effect: no layer freezes; give"
                " --freeze_layers or --freeze_policy"
            )
        if policy == "static" and self.freeze_layers < 0:
            raise UserError(
                f"--activation_cache={self.activation_cache} has no effect with"
                f" --freeze_layers={self.freeze_layers}: it keeps the outputs of layers"
            )

    def lever(self, source):
        """Returns `Freezing` if layers are to freeze."""
        if not self.do_train or self.chosen_policy == "none":
            return None
        from bert_tf.freezing.lever import Freezing

        return Freezing(self)


def _is_number(text):
    return text.count(".") < 2 and text != "."
