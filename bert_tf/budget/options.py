"""Options of a budget (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.budget.amount import BUDGET_SPENT, parse_budget, parse_limit
from bert_tf.budget.clock import COUNTS
from bert_tf.budget.intervals import parse_interval
from bert_tf.budget.markers import parse_markers
from bert_tf.options import (
    DO_EVAL,
    DO_TRAIN,
    UPDATES,
    Needs,
    above,
    at_least,
    between,
    check_needs,
    option,
    refuse_if,
)
from bert_tf.training.lever_options import LeverOptions

GROUP = "Budget and what happens on its clock"

_BUDGET = Needs("--budget", lambda options: options.budget is not None)
_TIME = Needs(
    "a --budget of time", lambda o: o.the_budget is not None and o.the_budget.kind == "time"
)
_EARLY_STOP = Needs("--early_stop_minutes", lambda o: o.early_stop_minutes is not None)


@dataclasses.dataclass(kw_only=True)
class BudgetOptions(LeverOptions):
    """How much training by a clock, and how often it saves."""

    GROUPS: typing.ClassVar = (GROUP,)
    IDENTITY_WITHOUT: typing.ClassVar = {"budget kind": None}

    budget: str | None = option(
        None,
        "What the run may take: 24h, 90m, 300s, a number of hours, or 5000steps, 2e9tokens; in"
        " place of a number of updates or epochs.",
        GROUP,
        valid=parse_budget,
        needs=UPDATES,
    )
    budget_counts: str = option(
        "wall",
        "What a budget of time counts: wall everything from the start of the process to its end,"
        " last evaluation and model folder included; train the updates alone.",
        GROUP,
        COUNTS,
        needs=(UPDATES, _TIME),
        same=True,
    )
    early_exit: str | None = option(
        None,
        "Stop here, an amount like budget: a longer schedule cut short.",
        GROUP,
        valid=parse_budget,
        needs=DO_TRAIN,
    )
    save_checkpoints_minutes: float | None = option(
        None,
        "Minutes between checkpoints, instead of save_checkpoints_steps. With a budget of time and"
        " neither of them: 10, or if that is less a twentieth of the budget (a tenth where each"
        " checkpoint is evaluated).",
        GROUP,
        valid=above(0),
        needs=DO_TRAIN,
    )

    @property
    def the_budget(self):
        """The `Budget` of the run, None without one."""
        return None if self.budget is None else parse_budget(self.budget)

    @property
    def end(self):
        """Share of the budget at which to stop."""
        if self.early_exit is None:
            return 1.0
        return parse_limit(self.early_exit, self.the_budget)

    def check_lever(self):
        """Raises `UserError` for flags of a run by epochs beside those of a budget."""
        check_needs(self, ("budget_counts", "early_exit", "save_checkpoints_minutes"), _BUDGET)
        self.check_budget()
        if self.budget is None:
            return
        refuse_if(
            "num_train_epochs" in self.given,
            "--num_train_epochs and --budget both set the length: give one of them",
        )
        refuse_if(
            self.lr_schedule == "noam",
            "--lr_schedule=noam counts updates, --budget does not: give linear, constant or"
            " stepped",
        )
        refuse_if(
            self.steps_per_execution > 1,
            "--steps_per_execution cannot go with --budget, whose clock is read after each update",
        )

    def check_budget(self):
        """Raises `UserError` for an end or an interval that cannot be."""
        refuse_if(
            {"save_checkpoints_steps", "save_checkpoints_minutes"} <= self.given,
            "--save_checkpoints_steps and --save_checkpoints_minutes: give one of them",
        )
        _ = self.end

    def is_over(self, results):
        """Whether the budget of that run is spent."""
        return results.get("stop_reason") == BUDGET_SPENT

    def lever(self, source):
        """Returns `BudgetClock` if the run has a budget."""
        if not self.do_train or self.budget is None:
            return None
        from bert_tf.budget.lever import BudgetClock

        return BudgetClock(self)


@dataclasses.dataclass(kw_only=True)
class TimetableOptions(BudgetOptions):
    """A budget of pre-training and all that is to happen on its clock.

    `num_train_steps` is the amount of a run without `budget`.
    """

    finetune_time_markers: str | None = option(
        None,
        "Shares of the budget, such as 0.25,0.5: a model folder marker-0.25 is written at each.",
        GROUP,
        valid=lambda text, name: parse_markers(text, flag=name),
        needs=DO_TRAIN,
    )
    validation_interval: str = option(
        "10m",
        "Between validations: 10m, 500steps or 0.5epochs (with do_eval).",
        GROUP,
        valid=parse_interval,
        needs=(DO_TRAIN, DO_EVAL),
    )
    validation_begin_interval: str | None = option(
        None,
        "The same in the first part of the budget; as in between if absent.",
        GROUP,
        valid=parse_interval,
        needs=(DO_TRAIN, DO_EVAL),
    )
    validation_end_interval: str | None = option(
        None,
        "The same in the last part of the budget; as in between if absent.",
        GROUP,
        valid=parse_interval,
        needs=(DO_TRAIN, DO_EVAL),
    )
    validation_begin_proportion: float = option(
        0.1,
        "How long the first part is.",
        GROUP,
        valid=between(0, 1, "[)"),
        needs=(DO_TRAIN, DO_EVAL),
    )
    validation_end_proportion: float = option(
        0.1,
        "How long the last part is.",
        GROUP,
        valid=between(0, 1, "[)"),
        needs=(DO_TRAIN, DO_EVAL),
    )
    early_stop_minutes: float | None = option(
        None,
        "Stop as diverged if after these minutes the held-out loss is above early_stop_loss.",
        GROUP,
        valid=at_least(0),
        needs=(DO_TRAIN, DO_EVAL),
    )
    early_stop_loss: float = option(
        6.0,
        "The bound of early_stop_minutes.",
        GROUP,
        valid=above(0),
        needs=(DO_TRAIN, DO_EVAL, _EARLY_STOP),
    )

    @property
    def the_budget(self):
        """The `Budget` of the run."""
        if self.budget is None:
            return parse_budget(f"{self.num_train_steps}steps", "num_train_steps")
        return parse_budget(self.budget)

    @property
    def markers(self):
        """The markers' shares."""
        return parse_markers(self.finetune_time_markers, self.end)
