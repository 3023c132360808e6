"""What is to happen when over a budget, as the options say."""

import dataclasses

from bert_tf.budget import (
    Budget,
    DivergenceGuard,
    Rate,
    ValidationSchedule,
    parse_interval,
    ramp_stages,
)
from bert_tf.budget.intervals import Interval

_MOST_MINUTES, _BUDGET_SHARE = 10.0, 0.05  # that a crash may lose


@dataclasses.dataclass
class Timetable:
    """What is to happen when, over the budget.

    Attributes:
      budget: `Budget`.
      rate: `Rate`.
      end: share of the budget at which to stop.
      markers: shares at which a model folder is written, ascending.
      validation: `ValidationSchedule`.
      save_interval: `Interval` between checkpoints.
      guard: `DivergenceGuard`.
      batch_sizes: [(share from which on, rows per batch)], see `ramp_stages`.
      micro_batch_size: rows per micro-batch over all replicas.
      last_works: names of what is still to be written at the end, each as often as it is.
    """

    budget: Budget
    rate: Rate
    end: float
    markers: list
    validation: ValidationSchedule
    save_interval: Interval
    guard: DivergenceGuard
    batch_sizes: list
    micro_batch_size: int
    last_works: list


def make_timetable(options):
    """Returns the `Timetable` that `PretrainingOptions` describe."""
    intervals = {
        name: value and parse_interval(value, f"validation_{name}")
        for name in ("interval", "begin_interval", "end_interval")
        for value in [getattr(options, f"validation_{name}")]
    }
    minutes, batch = options.early_stop_minutes, options.train_batch_size
    micro = batch // options.gradient_accumulation_steps
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
        save_interval=_save_interval(options),
        guard=DivergenceGuard(
            None if minutes is None else 60 * minutes,
            options.early_stop_loss,
            tolerated=20 if options.precision == "float16" else 0,
        ),
        batch_sizes=ramp_stages(batch, micro, options.batch_ramp),
        micro_batch_size=micro,
        # The best weights are saved by the evaluation, then read and become the final ones.
        last_works=["save", *["model"] * (3 if options.keep_best else 1)],
    )


def _save_interval(options):
    """The flags' interval between checkpoints; by time where the budget is one and none is set."""
    if options.save_checkpoints_minutes is not None:
        return Interval("minutes", options.save_checkpoints_minutes)
    budget = options.the_budget
    if budget.kind != "time" or "save_checkpoints_steps" in options.given:
        return Interval("steps", options.save_checkpoints_steps)
    return Interval("minutes", min(_MOST_MINUTES, budget.amount / 60 * _BUDGET_SHARE))
