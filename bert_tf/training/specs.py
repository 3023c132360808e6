"""What a training run is made of: data, evaluation, folder and rhythm; and what it did."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from bert_tf.data.pipeline import make_dataset
from bert_tf.training import distribution
from bert_tf.training.lever import first_of
from bert_tf.training.rhythm import DIVERGED, TERMINATED


@dataclasses.dataclass
class TrainSpec:
    """What to train on: the batches of a plan.

    Another kind of data brings a class with the same properties and methods.

    Attributes:
      store: `FeatureStore` of the training examples.
      plan: `BatchPlan`, whose steps are the optimizer updates of the whole run, or `EndlessPlan`.
      pad_to, pad_multiple: padding of each batch, see `make_dataset`.
      levers: the run's; one of them may supply activations.
    """

    store: Any
    plan: Any
    pad_to: int | None = None
    pad_multiple: int = 1
    levers: tuple = ()

    @property
    def steps(self):
        """Optimizer updates of the whole run; None where a budget ends it."""
        return self.plan.steps

    def examples(self, step):
        """Returns how many examples update `step` (from 0) sees."""
        return len(self.plan.ids(step))

    def epoch_of(self, step):
        """Returns the epochs (float) seen before update `step`."""
        return self.plan.epoch_of(step)

    def tokens(self, step):
        """Returns how many tokens update `step` sees, padding included."""
        ids = self.plan.ids(step)
        return len(ids) * self.store.padded_length(ids, self.pad_to, self.pad_multiple)

    def stage(self, model):
        """What the batches depend on beside the step: when it changes, `dataset` is asked anew."""
        return tuple(lever.stage() for lever in self.levers)

    def dataset(self, model, strategy, start_step):
        """Returns the batches from `start_step` on, as `fit` takes them under `strategy`."""
        activations = first_of(lever.activations() for lever in self.levers)
        return distribution.distribute(
            strategy,
            lambda index, count: make_dataset(
                self.store,
                self.plan,
                start_step=start_step,
                shard_index=index,
                shard_count=count,
                pad_to=self.pad_to,
                pad_multiple=self.pad_multiple,
                activations=activations,
            ),
        )


@dataclasses.dataclass
class RunConfig:
    """Where and how often.

    Attributes:
      output_dir: folder of the run; a run found there goes on.
      identity, identity_defaults, data: what must be equal for that, see `RunState`.
      save_checkpoints_steps: updates between checkpoints; each one is evaluated. A `rhythm` has
        intervals of its own.
      keep_best: keep the model of the best evaluation in the folder `best`, see `BestModel`.
      save_model: callable (folder) that writes the model as it is now; needed for that.
      early_stopping_patience: stop after this many evaluations without a better one; 0 never.
      log_steps: updates between TensorBoard points.
      strategy: `tf.distribute.Strategy` or None.
      levers: the run's `Lever`s, in the order in which they act.
      rhythm: when to evaluate, save and stop; None asks the levers, and if none of them knows is
        `EverySteps(save_checkpoints_steps)`.
      save_marker: callable (share) that stores the model at this share of the budget.
      keep_checkpoints: newest checkpoints to keep.
      more_scalars: see `TrainSummaries`.
    """

    output_dir: pathlib.Path
    identity: dict
    save_checkpoints_steps: int = 1000
    keep_best: bool = False
    save_model: Callable | None = None
    early_stopping_patience: int = 0
    log_steps: int = 10
    strategy: Any = None
    levers: tuple = ()
    rhythm: Any = None
    save_marker: Callable | None = None
    keep_checkpoints: int = 1
    more_scalars: Callable | None = None
    data: dict | None = None
    identity_defaults: dict | None = None


@dataclasses.dataclass
class Result:
    """What a run did: see `results.json` for the meaning of each value.

    Attributes:
      step: updates that the final weights have seen.
      metrics: {split: {metric: value}} of these weights; {} where they were not evaluated.
      best: the best evaluation, with `keep_best` the best one whose weights are kept; {} without.
      (and the others)
    """

    step: int
    stop_reason: str
    metrics: dict
    best: dict
    evaluations: list
    seconds: dict
    examples_this_session: int

    @property
    def leaves_model(self):
        """Whether the run came to an end that has a final model."""
        return not self.stop_reason.startswith((TERMINATED, DIVERGED))
