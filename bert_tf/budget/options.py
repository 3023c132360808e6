"""Options of a budget, a part of run_pretraining.py's (no TensorFlow)."""

import dataclasses

from bert_tf.budget.amount import parse_budget, parse_limit
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
    option,
)

GROUP = "Budget and what happens on its clock"

_TIME = Needs("a --budget of time", lambda options: options.the_budget.kind == "time")
_EARLY_STOP = Needs("--early_stop_minutes", lambda o: o.early_stop_minutes is not None)


@dataclasses.dataclass(kw_only=True)
class BudgetOptions:
    """How much training, and what is to happen when; `num_train_steps` is the amount without."""

    budget: str | None = option(
        None,
        "What the run may take: 24h, 90m, 300s, a number of hours, or 5000steps, 2e9tokens."
        " num_train_steps when absent.",
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
    finetune_time_markers: str | None = option(
        None,
        "Shares of the budget, such as 0.25,0.5: a model folder marker-0.25 is written at each.",
        GROUP,
        valid=lambda text, name: parse_markers(text, flag=name),
        needs=DO_TRAIN,
    )
    save_checkpoints_minutes: float | None = option(
        None,
        "Minutes between checkpoints, instead of save_checkpoints_steps. With a budget of time and"
        " neither of them: 10, or a twentieth of the budget if that is less.",
        GROUP,
        valid=above(0),
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
            # A flag of the options that have this part.
            steps = self.num_train_steps  # pyright: ignore[reportAttributeAccessIssue]
            return parse_budget(f"{steps}steps", "num_train_steps")
        return parse_budget(self.budget)

    @property
    def end(self):
        """Share of the budget at which to stop."""
        if self.early_exit is None:
            return 1.0
        return parse_limit(self.early_exit, self.the_budget)

    @property
    def markers(self):
        """The markers' shares."""
        return parse_markers(self.finetune_time_markers, self.end)
