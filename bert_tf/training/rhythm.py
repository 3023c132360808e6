"""When a run evaluates, saves and stops: the steps' own rhythm, which a budget's clock replaces."""

import contextlib
import dataclasses


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
