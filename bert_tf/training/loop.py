"""train_and_evaluate: Google's workflow (checkpoint, evaluate, resume) around Keras' `fit`."""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import tf_keras as keras
from absl import logging

from bert_tf.data.pipeline import make_dataset
from bert_tf.errors import UserError
from bert_tf.training import distribution
from bert_tf.training.evaluation import Evaluator, report_names, write_eval_results
from bert_tf.training.progress import ProgressBar
from bert_tf.training.state import RunState
from bert_tf.training.summaries import Summaries, TrainSummaries


@dataclasses.dataclass
class TrainSpec:
    """What to train on.

    Attributes:
      store: `FeatureStore` of the training examples.
      plan: `BatchPlan`; its steps are the optimizer updates of the whole run.
      pad_to, pad_multiple: padding of each batch, see `make_dataset`.
      cache: `ActivationCache` that supplies the outputs of frozen layers; None computes them.
    """

    store: Any
    plan: Any
    pad_to: int | None = None
    pad_multiple: int = 1
    cache: Any = None


@dataclasses.dataclass
class EvalSpec:
    """What to evaluate on.

    Attributes:
      task: `Task`; the first of its metrics on the first store decides what is best.
      stores: {split: FeatureStore}, in the task's order.
      batch_size: examples per evaluation batch.
    """

    task: Any
    stores: dict
    batch_size: int = 32


@dataclasses.dataclass
class RunConfig:
    """Where and how often.

    Attributes:
      output_dir: folder of the run; a run found there goes on.
      identity: what must be equal for that, see `RunState`.
      save_checkpoints_steps: updates between checkpoints; each one is evaluated.
      save_best: callable (model) that stores the best model so far; None keeps no best.
      may_be_best: callable () -> whether the weights of this moment qualify as best; None for
        always. (While masks are on their way to their sparsity, being better means little.)
      early_stopping_patience: stop after this many evaluations without a better one; 0 never.
      log_steps: updates between TensorBoard points.
      strategy: `tf.distribute.Strategy` or None.
      freezing: `AutoFreeze` of the run; None without.
    """

    output_dir: pathlib.Path
    identity: dict
    save_checkpoints_steps: int = 1000
    save_best: Callable | None = None
    may_be_best: Callable | None = None
    early_stopping_patience: int = 0
    log_steps: int = 10
    strategy: Any = None
    freezing: Any = None


@dataclasses.dataclass
class Result:
    """What a run did: see `results.json` for the meaning of each value."""

    step: int
    stop_reason: str
    metrics: dict
    best: dict
    evaluations: list
    seconds: dict
    examples_this_session: int


def train_and_evaluate(
    model,
    train_spec: TrainSpec,
    eval_spec: EvalSpec | None,
    run_config: RunConfig,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    summaries: Summaries | None = None,
) -> Result:
    """Trains to the end of the plan; checkpoints, evaluates and resumes on the way.

    Args:
      model: compiled `SequenceClassifier`, initialised; a checkpoint in output_dir wins over it.
      train_spec, eval_spec, run_config: see their classes; eval_spec None evaluates nothing.
      callbacks: more Keras callbacks, called before the checkpoint is written.
      summaries: where the chief's events go, for callbacks that write some too; None makes one.

    Returns:
      `Result`; its metrics are those of the final weights.

    Raises:
      UserError: the run in output_dir is another one, or a file cannot be written.
    """
    chief = distribution.is_chief(run_config.strategy)
    freezing = run_config.freezing
    state = RunState(run_config.output_dir, model, run_config.identity, chief, freezing)
    with distribution.scope(run_config.strategy):  # restoring creates the optimizer's slots
        start, plan = state.restore(), train_spec.plan
    if start:
        logging.info("going on from step %d of %d in %s", start, plan.steps, state.output_dir)
    summaries = (summaries or Summaries(run_config.output_dir)) if chief else None
    reports = _reports(plan, start, summaries, run_config.log_steps) if chief else []
    checkpoints = CheckpointAndEvaluate(
        state, eval_spec, run_config, plan.steps, summaries, reports
    )
    everyone = [*reports, *callbacks, *([freezing] if freezing else []), checkpoints]
    step, more = start, start < plan.steps and not state.info.get("stop_reason")
    while more:
        depth = model.encoder.gradient_start
        model.stop_training = False
        model.fit(
            _dataset(model, train_spec, run_config.strategy, step),
            steps_per_epoch=plan.steps - step,
            epochs=1,
            verbose=0,
            callbacks=everyone,
        )
        step = int(model.global_step.numpy())
        # With a cache, a freeze ends `fit`: from there on the batches are other ones.
        more = train_spec.cache and depth != model.encoder.gradient_start and step < plan.steps
        more = more and not state.info.get("stop_reason")
    examples = sum(len(plan.ids(done)) for done in range(start, state.step))
    return checkpoints.result(examples)


def _dataset(model, spec, strategy, start_step):
    """The batches from `start_step` on, with the frozen layers' outputs if there is a cache."""
    frozen = model.encoder.gradient_start
    activations = spec.cache.at(frozen) if spec.cache and frozen else None
    return distribution.distribute(
        strategy,
        lambda index, count: make_dataset(
            spec.store,
            spec.plan,
            start_step=start_step,
            shard_index=index,
            shard_count=count,
            pad_to=spec.pad_to,
            pad_multiple=spec.pad_multiple,
            activations=activations,
        ),
    )


def _reports(plan, start, summaries, log_steps):
    def examples(step):
        return len(plan.ids(step))

    return [
        ProgressBar(plan.steps, examples, initial_step=start, epoch_of=plan.epoch_of),
        TrainSummaries(summaries, examples, initial_step=start, every_n_steps=log_steps),
    ]


class CheckpointAndEvaluate(keras.callbacks.Callback):
    """Every `save_checkpoints_steps` updates and at the end: evaluate, then save the state.

    The evaluation's outcome is part of the saved state, so a run killed in between evaluates
    again and a resumed one knows the best so far.
    """

    def __init__(self, state, eval_spec, run_config, total_steps, summaries, reports):
        super().__init__()
        self._supports_tf_logs = True
        self.state = state
        self.eval_spec = eval_spec
        self.run_config = run_config
        self.total_steps = total_steps
        self.summaries = summaries
        self.reports = reports
        self.evaluator = eval_spec and Evaluator(state.model, eval_spec.batch_size)
        self.saving_seconds = 0.0
        self._saved_step = state.step
        self._started = time.monotonic()

    def on_train_begin(self, logs=None):
        self._initial_step = int(self.model.global_step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        step = self._initial_step + batch + 1
        every = self.run_config.save_checkpoints_steps
        if step // every > self._saved_step // every or step >= self.total_steps:
            self._require_finite(step, logs or {})
            for report in self.reports:  # this is not training time
                report.on_test_begin()
            self._checkpoint(step)
            for report in self.reports:
                report.on_test_end()

    def _require_finite(self, step, logs):
        loss = float(logs.get("loss", 0.0))
        if not math.isfinite(loss):
            raise UserError(
                f"step {step}: the loss is {loss}: lower --learning_rate, or change"
                f" --precision; the checkpoint of step {self._saved_step} is intact"
            )

    def result(self, examples):
        """Returns the `Result` of the run, evaluating the final weights if that was not done."""
        info = self.state.info
        if self.eval_spec and not info.get("evaluations"):
            self._evaluate(self.state.step)
        done = self.state.step >= self.total_steps
        return Result(
            step=self.state.step,
            stop_reason=info.get("stop_reason") or ("finished" if done else "interrupted"),
            metrics=info["evaluations"][-1]["metrics"] if self.eval_spec else {},
            best=info.get("best", {}),
            evaluations=info.get("evaluations", []),
            seconds={
                "total": self.state.seconds,
                "evaluation": self.evaluator.seconds if self.evaluator else 0.0,
                "checkpoints": self.saving_seconds,
                "this_session": time.monotonic() - self._started,
            },
            examples_this_session=examples,
        )

    def _checkpoint(self, step):
        if self.eval_spec:
            self._evaluate(step)
        started = time.monotonic()
        self.state.save(step)
        self.saving_seconds += time.monotonic() - started
        self._saved_step = step

    def _evaluate(self, step):
        spec, info = self.eval_spec, self.state.info
        metrics = {
            split: self.evaluator.evaluate(store, spec.task) for split, store in spec.stores.items()
        }
        values = report_names(metrics)
        info.setdefault("evaluations", []).append({"step": step, "metrics": metrics})
        logging.info(
            "step %d: %s", step, "  ".join(f"{k} {v:.4f}" for k, v in sorted(values.items()))
        )
        if self.summaries:
            self.summaries.eval_scalars(step, values)
            write_eval_results(self.state.output_dir, metrics, step)
        self._compare_with_best(step, metrics)
        if self.run_config.freezing:
            first = next(iter(metrics.values()))
            self.run_config.freezing.on_evaluation(step, first[spec.task.metrics[0]])

    def _compare_with_best(self, step, metrics):
        name = self.eval_spec.task.metrics[0]
        value = next(iter(metrics.values()))[name]
        info = self.state.info
        if self.run_config.may_be_best and not self.run_config.may_be_best():
            return
        if value > info.get("best", {}).get("value", -math.inf):
            info["best"] = {"metric": name, "value": value, "step": step, "metrics": metrics}
            if self.run_config.save_best and self.summaries:
                self.run_config.save_best(self.state.model)
        waited = sum(e["step"] > info["best"]["step"] for e in info["evaluations"])
        patience = self.run_config.early_stopping_patience
        if patience and waited >= patience and step < self.total_steps:
            info["stop_reason"] = f"no better {name} in {waited} evaluations"
            logging.info("stopping early at step %d: %s", step, info["stop_reason"])
            self.state.model.stop_training = True
