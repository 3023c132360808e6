"""What a technique may do to a training run: the contract of a lever.

A program makes the levers of a run from its options, in the order in which they act, and then
asks them; nothing here knows one by name:

    levers = make_levers(options, source)                   # what the flags ask for
    for lever in levers: source = lever.source(source)      # arrays in, arrays out; no graph
    model = build(source)
    for lever in levers: lever.begin(run)                   # the model has its weights
    model.compile(optimizer, levers=levers)                 # passes, variables, updates of a step
    train_and_evaluate(model, ..., levers=levers)           # data, evaluations, state, results
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from bert_tf.errors import UserError
from bert_tf.step_callback import StepCallback


@dataclasses.dataclass(frozen=True)
class Loss:
    """One term of a pass: `weight` times the mean of `function` over the examples.

    Attributes:
      name: under which the mean is logged, without the weight; terms of one name are added up.
      function: callable (inputs, labels, outputs, shared) -> float32 [batch]. `outputs` is what
        `model.forward` returned, `shared` what all levers returned as such.
      weight: its factor in what is minimised.
    """

    name: str
    function: Callable
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Pass:
    """One forward and backward pass of a step; the gradients of all its passes are added up.

    Attributes:
      losses: tuple of `Loss`, what the pass is trained to.
      forward: more arguments of `model.forward`, such as a width; {} runs everything.
      when: callable (int64 scalar step) -> bool scalar, whether the pass runs in that step; None
        for always.
      weight: factor of all its losses, in what is minimised and in what is logged.
    """

    losses: tuple = ()
    forward: dict = dataclasses.field(default_factory=dict)
    when: Callable | None = None
    weight: float = 1.0


@dataclasses.dataclass
class Run:
    """What a lever is told of the run that begins.

    Attributes:
      options: the program's.
      source: `LoadedModel` that the model was built from.
      model: `UpdatedModel` with its weights, not compiled.
      progress: how far the run is, `Updates` or what a lever gives in their place.
      started: `now()` when the process began.
      now: callable () -> seconds.
      store: `FeatureStore` of the training examples.
      dev: {split: `FeatureStore`} of what is evaluated, {} if nothing is.
      output_dir: folder of the run.
      strategy: `tf.distribute.Strategy` or None.
      chief: whether this process writes the files.
      summaries: the chief's `Summaries`; None on other workers.
      load_other: callable (folder, flag) -> (model of the same task with that folder's weights,
        digest of these); `flag` names it in errors.
      save_model: callable (folder, config, arrays) that writes a model of the run's task.
    """

    options: Any
    source: Any
    model: Any
    progress: Any
    started: float
    now: Callable
    store: Any
    dev: dict
    output_dir: pathlib.Path
    strategy: Any
    chief: bool
    summaries: Any
    load_other: Callable
    save_model: Callable


class Lever(StepCallback):
    """A technique of a run. Every method may be left out; it is a Keras callback of the run, too.

    Attributes:
      name: its key in results.json and in the saved state.
      conflicts: {name of another lever: the sentence that refuses the two together}.
      variables: what `update` trains: gradients are taken, the model's optimizer leaves them alone.
      former_part: where the states of earlier versions have its `trackable`, names from the root.
    """

    name = ""
    conflicts: dict = {}  # noqa: RUF012 - a constant
    variables = ()
    former_part = ()

    def source(self, source):
        """Returns the `LoadedModel` to build from, its configuration and arrays changed."""
        return source

    def begin(self, run):
        """The model of the `Run` has its weights and is not compiled yet.

        Raises:
          UserError: what the options ask for cannot be done with this model.
        """

    def running(self):
        """Context of the training, from `begin` to the final model on disk."""
        return contextlib.nullcontext()

    def progress(self):
        """Returns what tells how far the run is, see `rhythm.Updates`, or None for its updates.

        Asked before `begin`: a run with one has no last update.
        """
        return None

    def rhythm(self):
        """Returns when the run evaluates, saves and stops, see `rhythm.EverySteps`, or None."""
        return None

    def identity(self):
        """Returns {name: value} that a resumed run must share, beside the flags."""
        return {}

    def passes(self, passes):
        """Returns the passes of a step, made of those of the levers before: at first the task's."""
        return passes

    def shared(self, inputs):
        """Returns {name: tensors} that the losses of all passes of a micro-batch share; traced.

        They are computed once and have no gradient.
        """
        return {}

    def noise(self, seed):
        """Context of a step's passes; `seed` int32 [2], the same in all micro-batches, replicas."""
        return contextlib.nullcontext()

    def update(self, step, own, weights, applied):
        """One update, of `variables` if there are any; traced, before that of the weights.

        Args:
          step: int64 scalar, updates done before.
          own: gradients of `variables`, those of the global batch, neither scaled nor clipped.
          weights: [(gradient, variable)] of what the model's optimizer trains, the same.
          applied: bool scalar, False where the loss scale skips this update; None applies all.

        Returns:
          {name: float32 scalar} to log.
        """
        return {}

    def create_slots(self):
        """Creates the variables of its optimizers, which the first update would else do."""

    def callbacks(self):
        """Returns more Keras callbacks of the run."""
        return []

    def stage(self):
        """What the batches depend on beside the step; `activations` is asked anew at a change."""
        return None

    def activations(self):
        """Returns what `make_dataset` takes as `activations` at this stage, or None."""
        return None

    def evaluated(self, step, metrics, main):
        """The weights at `step` were evaluated.

        Args:
          step: updates done.
          metrics: {split: {metric: float}}.
          main: value of the metric that decides what is best.
        """

    def views(self):
        """Returns {name: arguments of `model.forward`} of the models to evaluate, or None.

        What is best is then the mean of theirs.
        """
        return None

    def may_be_best(self):
        """Whether the weights of this moment qualify as the best."""
        return True

    def phase(self):
        """Returns {name: value} of the step just made: steps of different phases are timed apart.

        They stand beside the times in results.json.
        """
        return {}

    def state(self):
        """Returns what a resumed run needs, JSON-able."""
        return {}

    def restore(self, state):
        """Goes on from the dict `state`, before the optimizers have slots."""

    def trackable(self):
        """Returns the tensors that the saved state has besides, a `Trackable`, or None."""
        return None

    def report(self):
        """Returns what results.json says under `name`; {} says nothing."""
        return {}

    def settled(self):
        """Returns {flag: value} of the flags whose default the model or the run has decided."""
        return {}

    def close(self):
        """The training is over."""


def make_levers(options, source):
    """Returns the levers of a run, a tuple in the order in which they act.

    Args:
      options: the program's, whose `LEVERS` are parts of its class.
      source: `LoadedModel` to start from.

    Raises:
      UserError: one of them cannot act on that model, or refuses another.
    """
    found = (part.lever(options, source) for part in options.LEVERS)
    levers = tuple(lever for lever in found if lever is not None)
    refuse_conflicts(levers)
    return levers


def identity_of(options, levers):
    """Returns {name: value} of the levers, also of those that the run is without."""
    without = [part.IDENTITY_WITHOUT for part in options.LEVERS]
    return _merged(*without, *(lever.identity() for lever in levers))


def phase_of(options, levers):
    """Returns {name: value} of the step just made, by all levers, see `Lever.phase`."""
    without = [part.PHASE_WITHOUT for part in options.LEVERS]
    return _merged(*without, *(lever.phase() for lever in levers))


def first_of(found):
    """Returns the first of an iterable that is not None, else None."""
    return next((one for one in found if one is not None), None)


def _merged(*found):
    return {name: value for one in found for name, value in one.items()}


def refuse_conflicts(levers):
    """Raises `UserError` with the sentence of the first lever that refuses another."""
    names = {lever.name for lever in levers}
    for lever in levers:
        for other, sentence in lever.conflicts.items():
            if other in names:
                raise UserError(sentence)
