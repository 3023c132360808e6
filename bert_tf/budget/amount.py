"""How much training: an amount of time, of updates or of tokens."""

import dataclasses
import math
import re

from bert_tf.errors import UserError

BUDGET_SPENT = "budget spent"
"""The stop reason of a run at its budget's end."""

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
EXPECTED = "a time (24h, 90m, 300s, or hours as a number), or 5000steps, or 2e9tokens"
_FORM = re.compile(r"([0-9.]+(?:e[+-]?[0-9]+)?) ?([a-z]*)")


@dataclasses.dataclass(frozen=True)
class Budget:
    """An amount of training.

    Attributes:
      kind: "time", "steps" (optimizer updates) or "tokens" (of the rows trained on).
      amount: seconds, updates or tokens.
    """

    kind: str
    amount: float

    def share(self, seconds, steps, tokens):
        """Returns the share of the budget that is spent: 0 at the start, 1 at its end.

        Args:
          seconds: time spent; steps: updates done; tokens: tokens trained on.
        """
        spent = {"time": seconds, "steps": steps, "tokens": tokens}[self.kind]
        return spent / self.amount

    def __str__(self):
        if self.kind != "time":
            return f"{self.amount:.10g} {self.kind}"
        return _time_text(self.amount)


def _time_text(seconds):
    unit = next(u for u in "hms" if seconds >= SECONDS[u] or u == "s")
    return f"{seconds / SECONDS[unit]:.6g} {unit}"


def parse_budget(text, flag="budget"):
    """Returns the `Budget` that `text` means.

    It is a time (`24h`, `90m`, `300s`, `1d`, or `1.5`, in hours), `5000steps` or `2e9tokens`.

    Raises:
      UserError: another form, or not above 0; the message names `--flag`.
    """
    match = _FORM.fullmatch(str(text).strip().lower())
    number = _number(match.group(1)) if match else None
    unit = (match.group(2) if match else "") or "h"
    if number is None or not (unit in SECONDS or unit.rstrip("s") in ("step", "token")):
        raise UserError(f"--{flag}={text}: expected {EXPECTED}")
    if not 0 < number < math.inf:
        raise UserError(f"--{flag}={text}: expected an amount above 0")
    if unit in SECONDS:
        return Budget("time", number * SECONDS[unit])
    return Budget(unit.rstrip("s") + "s", number)


def parse_limit(text, budget, flag="early_exit"):
    """Returns the share of `budget` at which to stop, for `text` an amount of the same kind.

    A long schedule cut short: the rates stay those of the whole budget.

    Raises:
      UserError: another kind of amount than the budget, or more than it.
    """
    limit = parse_budget(text, flag)
    if limit.kind != budget.kind:
        raise UserError(f"--{flag}={text}: the budget is one of {budget.kind}: give the same kind")
    if limit.amount > budget.amount:
        raise UserError(f"--{flag}={text}: is more than the whole budget, {budget}")
    return limit.amount / budget.amount


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None
