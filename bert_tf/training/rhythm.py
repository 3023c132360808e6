"""When a run evaluates, saves and stops: the steps' own rhythm, which a budget's clock replaces."""

import contextlib
import dataclasses

TERMINATED = "terminated"
DIVERGED = "diverged"
"""How the reasons to stop begin after which a run leaves no final model."""


@dataclasses.dataclass(frozen=True)
class Due:
    """What is to be done now, in this order.

    Attributes:
      evaluate: evaluate the weights.
      save: write a checkpoint.
      markers: shares of the budget whose model folders are to be written.
      stop: why no update is to follow; None goes on.
      diverged: whether that is a divergence, after which nothing of the model is written.
    """

    evaluate: bool = False
    markers: tuple = ()
    save: bool = False
    stop: str | None = None
    diverged: bool = False

    def __bool__(self):
        return bool(self.evaluate or self.markers or self.save or self.stop)


class Updates:
    """How far a run of a known number of updates is: counted in these.

    A run that a clock ends brings another class with the same attributes and methods.

    Args:
      total: updates of the whole run.

    Attributes:
      total: what the whole run counts.
      are_updates: whether what is counted are updates.
    """

    are_updates = True

    def __init__(self, total):
        self.total = total

    def done(self, step):
        """Returns what the run counts after `step` updates, an integer."""
        return step

    def traced(self, step):
        """Returns the same for a tensor, in the compiled step."""
        return step

    def learning_rate(self, schedule):
        """Returns what the optimizer takes as its rate, for a schedule over what is counted."""
        return schedule


class EverySteps:
    """Google's rhythm: every so many updates, and at the end, a checkpoint that is evaluated.

    Args:
      every: updates between checkpoints.
      total_steps: updates of the whole run.
    """

    left = None  # the progress bar counts steps

    def __init__(self, every, total_steps):
        self.every = every
        self.total_steps = total_steps

    def begin(self, checkpoints):
        """The run begins or goes on; `checkpoints` is its `CheckpointAndEvaluate`."""
        self._saved_step = checkpoints.state.step

    def due(self, step):
        """Returns the `Due` after `step` updates; asked again until nothing is due."""
        before, self._saved_step = self._saved_step, step
        now = step // self.every > before // self.every or step >= self.total_steps
        return Due(evaluate=now, save=now) if now and step > before else Due()

    def ended(self, step):
        """Whether the run is complete after `step` updates."""
        return step >= self.total_steps

    def updated(self, logs):
        """An update was made; `logs` are its scalars."""

    def work(self, name):
        """Context of work that is no training: "evaluate", "marker" or "save"."""
        return contextlib.nullcontext()

    def evaluated(self, metrics):
        """Returns why to stop after an evaluation with these metrics (dict), or None."""

    def may_evaluate(self):
        """Whether there is time for an evaluation after the end."""
        return True

    def state(self):
        """Returns what the next process has to know, JSON-able."""
        return {}

    def scalars(self):
        """Returns {name: float} for TensorBoard."""
        return {}
