"""What is to happen when over a budget, as the options say."""

import dataclasses
from collections.abc import Callable

from bert_tf.budget import (
    Budget,
    DivergenceGuard,
    GrowingBatches,
    Rate,
    ValidationSchedule,
    parse_interval,
    ramp_stages,
)
from bert_tf.budget.intervals import Interval

_MOST_MINUTES, _BUDGET_SHARE = 10.0, 0.05  # that a crash may lose
_EVALUATED_SHARE = 0.1  # where every checkpoint takes an evaluation, too


@dataclasses.dataclass
class Timetable:
    """What is to happen when, over the budget.

    Attributes:
      budget: `Budget`.
      rate: callable (share of the budget spent) -> learning rate.
      end: share of the budget at which to stop.
      markers: shares at which a model folder is written, ascending.
      validation: `ValidationSchedule`.
      save_interval: `Interval` between checkpoints.
      guard: `DivergenceGuard`.
      last_works: names of what is still to be written at the end, each as often as it is.
      models_kept: how many model folders an evaluation may write.
    """

    budget: Budget
    rate: Callable
    end: float
    markers: list
    validation: ValidationSchedule
    save_interval: Interval
    guard: DivergenceGuard
    last_works: list
    models_kept: int


def make_timetable(options):
    """Returns the `Timetable` that `TimetableOptions` of a pre-training describe."""
    intervals = {
        name: value and parse_interval(value, f"validation_{name}")
        for name in ("interval", "begin_interval", "end_interval")
        for value in [getattr(options, f"validation_{name}")]
    }
    minutes = options.early_stop_minutes
    return Timetable(
        budget=options.the_budget,
        rate=Rate(
            options.learning_rate,
            options.lr_schedule,
            options.warmup,
            options.minimum_learning_rate,
            options.lr_power,
            options.lr_decay_rate,
            options.lr_decay_interval,
        ),
        end=options.end,
        markers=options.markers,
        validation=ValidationSchedule(
            **intervals,
            begin_proportion=options.validation_begin_proportion,
            end_proportion=options.validation_end_proportion,
        ),
        save_interval=_save_interval(options, _BUDGET_SHARE),
        guard=_guard(options, None if minutes is None else 60 * minutes, options.early_stop_loss),
        last_works=_last_works(options),
        models_kept=_models_kept(options),
    )


def checkpoint_timetable(options, rate):
    """Returns the `Timetable` of a run whose evaluations are those of its checkpoints.

    Args:
      options: `BudgetOptions` of a training.
      rate: see `Timetable`.
    """
    interval = _save_interval(options, _EVALUATED_SHARE if options.do_eval else _BUDGET_SHARE)
    return Timetable(
        budget=options.the_budget,
        rate=rate,
        end=options.end,
        markers=[],
        validation=ValidationSchedule(interval),
        save_interval=interval,
        guard=_guard(options),
        last_works=_last_works(options),
        models_kept=_models_kept(options),
    )


def make_batches(options):
    """Returns the `GrowingBatches` of `PretrainingOptions`."""
    batch = options.train_batch_size
    micro = batch // options.gradient_accumulation_steps
    return GrowingBatches(ramp_stages(batch, micro, options.batch_ramp), micro)


def _guard(options, seconds=None, loss=None):
    return DivergenceGuard(seconds, loss, tolerated=20 if options.precision == "float16" else 0)


def _last_works(options):
    # The best weights, which the evaluation's time has saved, are read and become the final ones.
    return ["save", *["model"] * (2 if options.keep_best else 1)]


def _models_kept(options):
    return options.keep_best + sum(part.models_kept(options) for part in options.LEVERS)


def _save_interval(options, share):
    """The flags' interval between checkpoints; this share of a time budget where none is set."""
    if options.save_checkpoints_minutes is not None:
        return Interval("minutes", options.save_checkpoints_minutes)
    budget = options.the_budget
    if budget.kind != "time" or "save_checkpoints_steps" in options.given:
        return Interval("steps", options.save_checkpoints_steps)
    return Interval("minutes", min(_MOST_MINUTES, budget.amount / 60 * share))
