"""Options of layer freezing, a part of run_classifier.py's (no TensorFlow)."""

import dataclasses
import re

from bert_tf.errors import UserError
from bert_tf.options import option, require

GROUP = "Freezing: stop training the lower layers, and stop computing them"

RULE_FLAGS = frozenset({"num_intervals", "percentile", "max_frozen_layers", "freeze_warmup"})
TEST_FLAGS = frozenset({"freeze_guard", "freeze_guard_margin"})
CACHE_FLAGS = frozenset({"cache_dtype", "cache_budget_gb", "cache_dir", "keep_cache"})
# What decides the numbers of a run; the cache does not.
IDENTITY_FLAGS = (
    "freeze_layers",
    "freeze_policy",
    "num_intervals",
    "percentile",
    "freeze_metric",
    "freeze_warmup",
    "max_frozen_layers",
    "freeze_schedule",
    "freeze_guard",
    "freeze_guard_margin",
)


@dataclasses.dataclass(kw_only=True)
class FreezingOptions:
    """Which layers freeze, when, and whether their outputs are kept."""

    freeze_layers: int = option(
        0,
        "Layers frozen from the start: 0 none, -1 the embeddings, n > 0 the embeddings and the"
        " first n layers.",
        GROUP,
    )
    freeze_policy: str | None = option(
        None,
        "static: freeze_layers and no more. autofreeze: layers whose gradients change least from"
        " interval to interval freeze, bottom up (AutoFreeze). random: the same rule on random"
        " numbers, its control. schedule: see freeze_schedule. Default: static with freeze_layers,"
        " else none.",
        GROUP,
        ("none", "static", "autofreeze", "random", "schedule"),
    )
    num_intervals: int = option(20, "autofreeze, random: tests over the whole training.", GROUP)
    percentile: float = option(
        50.0,
        "autofreeze, random: a layer freezes while its change is below this percentile of the live"
        " layers'.",
        GROUP,
    )
    freeze_metric: str = option(
        "signed_sum",
        "autofreeze: signed_sum, the L1 norm of the summed gradients, in which opposite signs"
        " cancel; norm_sum, the sum of the gradients' L1 norms.",
        GROUP,
        ("signed_sum", "norm_sum"),
    )
    freeze_warmup: int = option(
        0,
        "autofreeze, random: updates whose gradients do not count; the first test comes an interval"
        " later.",
        GROUP,
    )
    max_frozen_layers: int | None = option(
        None, "autofreeze, random: freeze no more layers; all but the last if absent.", GROUP
    )
    freeze_schedule: str | None = option(
        None,
        "schedule: shares of the training and the layers frozen from there on, as 0.25:2,0.5:4.",
        GROUP,
    )
    freeze_guard: str = option(
        "off",
        "When the main dev metric falls below its best by more than freeze_guard_margin: stop"
        " freezes no more, unfreeze also thaws all layers (needs do_eval).",
        GROUP,
        ("off", "stop", "unfreeze"),
    )
    freeze_guard_margin: float = option(0.01, "See freeze_guard; 0.01 is a point.", GROUP)
    activation_cache: str = option(
        "off",
        "Keep the frozen layers' outputs and read them instead of computing them: in memory, on"
        " disk; auto takes memory if there is room, and none where reading is slower.",
        GROUP,
        ("off", "memory", "disk", "auto"),
    )
    cache_dtype: str | None = option(
        None,
        "How they are stored; the compute precision, which loses nothing, if absent.",
        GROUP,
        ("float32", "bfloat16", "float16"),
    )
    cache_budget_gb: float = option(
        8.0, "Most gigabytes to store; what does not fit is computed each time.", GROUP
    )
    cache_dir: str | None = option(
        None, "Folder for a cache on disk; output_dir/activations if absent.", GROUP
    )
    keep_cache: bool = option(False, "Leave the cache's files there at the end.", GROUP)

    @property
    def chosen_policy(self):
        """The policy, its default filled in."""
        return self.freeze_policy or ("static" if self.freeze_layers else "none")

    @property
    def schedule_points(self):
        """[(share of the training, layers)] of `freeze_schedule`.

        Raises:
          UserError: it is no such list.
        """
        points = []
        for part in (self.freeze_schedule or "").split(","):
            found = re.fullmatch(r"\s*([\d.]+)\s*:\s*(\d+)\s*", part)
            share = float(found[1]) if found and _is_number(found[1]) else 0.0
            last_share, last_layers = points[-1] if points else (0.0, 0)
            if not last_share < share < 1 or int(found[2]) <= last_layers:
                raise UserError(
                    f"--freeze_schedule={self.freeze_schedule}: expected growing shares in (0, 1)"
                    " and layers, as 0.25:2,0.5:4"
                )
            points.append((share, int(found[2])))
        return points

    def check_freezing(self):
        """Raises `UserError` for values out of range and flags without effect."""
        for name, holds, expected in (
            ("freeze_layers", self.freeze_layers >= -1, "-1 or more"),
            ("num_intervals", self.num_intervals >= 1, "1 or more"),
            ("percentile", 0 <= self.percentile <= 100, "0 to 100"),
            ("freeze_warmup", self.freeze_warmup >= 0, "0 or more"),
            ("max_frozen_layers", (self.max_frozen_layers or 0) >= 0, "0 or more"),
            ("freeze_guard_margin", self.freeze_guard_margin >= 0, "0 or more"),
            ("cache_budget_gb", self.cache_budget_gb > 0, "a number above 0"),
        ):
            require(name, getattr(self, name), holds, expected)
        self._check_policy()
        self._check_cache()

    def _check_policy(self):
        policy = self.chosen_policy
        if policy == "none" and self.freeze_layers:
            raise UserError("--freeze_policy=none contradicts --freeze_layers: give one of them")
        if policy == "static" and not self.freeze_layers:
            raise UserError("--freeze_policy=static needs --freeze_layers, which layers to freeze")
        if (policy == "schedule") != (self.freeze_schedule is not None):
            raise UserError("--freeze_policy=schedule and --freeze_schedule need each other")
        if policy == "schedule":
            self.schedule_points  # noqa: B018 - raises
        tests = policy in ("autofreeze", "random", "schedule")
        for flags, holds, needed in (
            (RULE_FLAGS, policy in ("autofreeze", "random"), "=autofreeze or random"),
            ({"freeze_metric"}, policy == "autofreeze", "=autofreeze"),
            (TEST_FLAGS, tests, "=autofreeze, random or schedule"),
        ):
            stray = sorted(flags & self.given)
            if stray and not holds:
                raise UserError(f"--{stray[0]} has no effect without --freeze_policy{needed}")
        if "freeze_guard_margin" in self.given and self.freeze_guard == "off":
            raise UserError("--freeze_guard_margin has no effect without --freeze_guard")

    def _check_cache(self):
        stray = sorted(CACHE_FLAGS & self.given)
        if self.activation_cache == "off":
            if stray:
                raise UserError(f"--{stray[0]} has no effect without --activation_cache")
            return
        if self.chosen_policy == "none":
            raise UserError(
                f"--activation_cache={self.activation_cache} has no effect: no layer freezes; give"
                " --freeze_layers or --freeze_policy"
            )
        if self.chosen_policy == "static" and self.freeze_layers < 0:
            raise UserError(
                f"--activation_cache={self.activation_cache} has no effect with"
                f" --freeze_layers={self.freeze_layers}: it keeps the outputs of layers"
            )
        if self.activation_cache == "memory" and {"cache_dir", "keep_cache"} & self.given:
            raise UserError("--activation_cache=memory writes no files: --cache_dir and"
                            " --keep_cache have no effect")  # fmt: skip


def _is_number(text):
    return text.count(".") < 2 and text != "."
