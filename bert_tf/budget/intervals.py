"""When to validate: every so many minutes, updates or epochs, denser at both ends if wanted."""

import dataclasses
import math
import re

from bert_tf.budget.amount import SECONDS
from bert_tf.errors import UserError

_FORM = re.compile(r"([0-9.]+) ?([a-z]+)")
_UNITS = {"step": "steps", "steps": "steps", "epoch": "epochs", "epochs": "epochs"}


@dataclasses.dataclass(frozen=True)
class Interval:
    """An amount of training between two events.

    Attributes:
      unit: "minutes", "steps" or "epochs".
      length: how many of them.
    """

    unit: str
    length: float

    def passed(self, position, last):
        """Whether a multiple of the interval lies in (last, position].

        Args:
          position, last: {unit: how many are done}, now and when this was asked before.
        """
        now, before = position[self.unit], last[self.unit]
        return math.floor(now / self.length) > math.floor(before / self.length)


def parse_interval(text, flag):
    """Returns the `Interval` that `text` means: `10m`, `30s`, `2h`, `500 steps`, `0.5 epochs`.

    Raises:
      UserError: another form, or not above 0; the message names `--flag`.
    """
    match = _FORM.fullmatch(str(text).strip().lower())
    length, unit = match.groups() if match else ("", "")
    try:
        length = float(length)
        if unit in SECONDS:
            length, unit = length * SECONDS[unit] / 60, "minutes"
        else:
            unit = _UNITS[unit]
    except (ValueError, KeyError):
        length = 0.0
    if length <= 0:
        raise UserError(f"--{flag}={text}: expected such as 10m, 500steps or 0.5epochs")
    return Interval(unit, length)


@dataclasses.dataclass(frozen=True)
class ValidationSchedule:
    """24hBERT's validation schedule: one interval, and others for the beginning and the end.

    Attributes:
      interval: `Interval` between validations; None for none.
      begin_interval, end_interval: those of the beginning and the end; None as in between.
      begin_proportion: the beginning is while the share of the budget spent is below this.
      end_proportion: the end is when the share is above 1 minus this.
    """

    interval: Interval | None
    begin_interval: Interval | None = None
    end_interval: Interval | None = None
    begin_proportion: float = 0.1
    end_proportion: float = 0.1

    def due(self, position, last, share):
        """Whether to validate now.

        Args:
          position, last: {"minutes", "steps", "epochs"} done, now and when this was asked before.
          share: share of the budget spent.
        """
        interval = self.interval
        if share < self.begin_proportion:
            interval = self.begin_interval or interval
        elif share > 1 - self.end_proportion:
            interval = self.end_interval or interval
        return interval is not None and interval.passed(position, last)
