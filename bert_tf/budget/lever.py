"""The clock as a lever: a training that ends when its budget is spent."""

import dataclasses
from typing import Any

from bert_tf.budget import Clock
from bert_tf.budget.elapsed import Elapsed
from bert_tf.budget.rhythm import ClockRhythm
from bert_tf.budget.running import running
from bert_tf.budget.timetable import checkpoint_timetable
from bert_tf.training.lever import Lever


class BudgetClock(Lever):
    """Ends a training by a budget, over which its schedules run: rate, masks, freezing.

    It acts before the other levers, which ask it how far the run is.

    Args:
      options: options of a program, `BudgetOptions` with a budget among them.
    """

    name = "budget"

    def __init__(self, options):
        super().__init__()
        self._options = options
        self._elapsed = Elapsed()
        self._run: Any = None
        self._rhythm: Any = None

    def identity(self):
        return {"budget kind": self._options.the_budget.kind}

    def progress(self):
        return self._elapsed

    def begin(self, run):
        """Starts the clock, which has run since the process began."""
        self._run = run
        self._elapsed.build()
        age = run.now() - run.started
        folder = run.output_dir if run.chief else None
        clock = Clock(folder, self._options.budget_counts, age, now=run.now)
        timetable = checkpoint_timetable(self._options, self._elapsed.rate)
        self._rhythm = ClockRhythm(timetable, clock, run.strategy, elapsed=self._elapsed)

    def running(self):
        return running(self._rhythm)

    def rhythm(self):
        return self._rhythm

    def report(self):
        """The budget, the share and the seconds spent, and what the end was expected to take."""
        rhythm, step = self._rhythm, int(self._run.model.global_step.numpy())
        return {
            **dataclasses.asdict(rhythm.timetable.budget),
            "counts": self._options.budget_counts,
            "share": rhythm.share_now(step),
            "spent_seconds": rhythm.clock.spent,
            "expected_seconds": rhythm.costs.report(),
        }
