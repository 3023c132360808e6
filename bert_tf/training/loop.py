"""train_and_evaluate: Google's workflow (checkpoint, evaluate, resume) around Keras' `fit`."""

import contextlib
import math
import time
from collections.abc import Sequence

import tf_keras as keras
from absl import logging

from bert_tf.errors import UserError
from bert_tf.step_callback import StepCallback
from bert_tf.training import distribution, results
from bert_tf.training.best import BestModel
from bert_tf.training.lever import first_of
from bert_tf.training.progress import ProgressBar
from bert_tf.training.results import report_names, require_finite, write_eval_results
from bert_tf.training.rhythm import EverySteps
from bert_tf.training.specs import Result, RunConfig, TrainSpec
from bert_tf.training.state import RunState
from bert_tf.training.summaries import Summaries, TrainSummaries


def train_and_evaluate(
    model,
    train_spec: TrainSpec,
    eval_spec,
    run_config: RunConfig,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    summaries: Summaries | None = None,
) -> Result:
    """Trains to the end of the plan or budget; checkpoints, evaluates and resumes on the way.

    Args:
      model: compiled `UpdatedModel`, initialised; a checkpoint in output_dir wins over it.
      train_spec, run_config: see their classes.
      eval_spec: object whose `build` (model) returns what evaluates it; None evaluates nothing.
      callbacks: more Keras callbacks, called before the checkpoint is written.
      summaries: where the chief's events go, for callbacks that write some too; None makes one.

    Returns:
      `Result`; its metrics are those of the final weights.

    Raises:
      UserError: the run in output_dir is another one, or a file cannot be written.
    """
    strategy, levers = run_config.strategy, run_config.levers
    chief = distribution.is_chief(strategy)
    state = _state(run_config, model, chief)
    with distribution.scope(strategy):  # restoring creates the optimizer's slots
        step = state.restore()
    if step:
        of_all = f" of {train_spec.steps}" if train_spec.steps else ""
        logging.info("going on from step %d%s in %s", step, of_all, state.output_dir)
    summaries = (summaries or Summaries(run_config.output_dir)) if chief else None
    rhythm = _rhythm(run_config, train_spec)
    reports = _reports(train_spec, step, summaries, rhythm, run_config) if chief else []
    checkpoints = CheckpointAndEvaluate(
        state, train_spec, eval_spec, run_config, rhythm, summaries, reports
    )
    more_callbacks = [x for lever in levers for x in lever.callbacks()]
    everyone = [*reports, *callbacks, *more_callbacks, *levers, checkpoints]
    first, more = step, checkpoints.begin()
    while more:
        stage = train_spec.stage(model)
        model.stop_training = False
        model.fit(
            train_spec.dataset(model, strategy, step),
            steps_per_epoch=(train_spec.steps or _ENDLESS) - step,
            epochs=1,
            verbose=0,
            callbacks=everyone,
        )
        step = int(model.global_step.numpy())
        # From a change of the stage on the batches are other ones: `fit` ends and begins anew.
        more = train_spec.stage(model) != stage and checkpoints.goes_on(step)
    for lever in levers:
        lever.close()
    examples = sum(train_spec.examples(done) for done in range(first, step))
    return checkpoints.result(examples)


_ENDLESS = 2**40  # updates


def require_same_run(run_config):
    """Requires that the run in output_dir, which is over, is the one that `run_config` describes.

    Raises:
      UserError: a flag, the model or the data is another one.
    """
    _state(run_config).require_same_run()


def _state(run_config, model=None, write=False):
    return RunState(
        run_config.output_dir, model, run_config.identity, write, run_config.levers,
        run_config.keep_checkpoints, run_config.data, run_config.identity_defaults,
    )  # fmt: skip


def _rhythm(run_config, train_spec):
    return (
        run_config.rhythm
        or first_of(lever.rhythm() for lever in run_config.levers)
        or EverySteps(run_config.save_checkpoints_steps, train_spec.steps)
    )


def _reports(spec, start, summaries, rhythm, run_config):
    def more(values):
        own = run_config.more_scalars(values) if run_config.more_scalars else {}
        return {**rhythm.scalars(), **own}

    return [
        ProgressBar(spec.steps, spec.examples, start, epoch_of=spec.epoch_of, left=rhythm.left),
        TrainSummaries(summaries, spec.examples, start, run_config.log_steps, more),
    ]


class CheckpointAndEvaluate(StepCallback):
    """After each update does what the rhythm says is due: evaluate, write markers, save, stop.

    The evaluation's outcome is part of the saved state, so a run killed in between evaluates
    again and a resumed one knows the best so far.
    """

    def __init__(self, state, train_spec, eval_spec, run_config, rhythm, summaries, reports):
        super().__init__()
        self.state = state
        self.train_spec = train_spec
        self.run_config = run_config
        self.rhythm = rhythm
        self.summaries = summaries
        self.reports = reports
        self.evaluation = eval_spec and eval_spec.build(state.model)
        self.saving_seconds = 0.0
        self._best = None
        if summaries:  # the chief's work
            best = BestModel(state.output_dir / "best", run_config.save_model)
            best.recall(state.step)
            self._best = best if run_config.keep_best else None
        self._stopped = self._diverged = None
        self._started = time.monotonic()

    def begin(self):
        """Does what is due before the first update; returns whether there is one to do."""
        self.rhythm.begin(self)
        self._recall_evaluations()
        return self.goes_on(self.state.step)

    def _recall_evaluations(self):
        """Looks at what earlier processes measured with the flags of this one."""
        evaluation = self._evaluation_of(self.state.step) if self.evaluation else {}
        if evaluation:
            self._keep_if_best(self._described(**evaluation))
            self._stopped = self._waited_too_long()

    def goes_on(self, step):
        """Does what is due after `step` updates; returns whether another one is to follow."""
        self._do_all(step, {}, [])
        return not self._stopped and not self.rhythm.ended(step)

    def on_steps(self, before, logs):
        self.rhythm.updated(logs)
        self._do_all(self.step, logs, self.reports)

    def _do_all(self, step, logs, reports):
        while not self._stopped and (due := self.rhythm.due(step)):
            if due.save or due.markers:
                self._require_finite(step, logs)
            with contextlib.ExitStack() as pauses:
                for report in reports:
                    pauses.enter_context(report.paused())
                self._do(due, step)

    def _do(self, due, step):
        if due.evaluate and self.evaluation:
            with self.rhythm.work("evaluate"):
                self._evaluate(step)
        if due.diverged:
            self._diverged = due.stop
        if not self._diverged:
            self._write(due, step)
        self._stopped = self._diverged or due.stop or self._stopped
        if self._stopped:
            self.state.model.stop_training = True

    def _write(self, due, step):
        # A first marker comes after a first state, which says what run it is of.
        if due.save or self._stopped or (due.markers and not self.state.step):
            with self.rhythm.work("save"):
                self._save(step)
        for share in due.markers if self.summaries else ():  # the chief's work
            with self.rhythm.work("marker"):
                self.run_config.save_marker(share)

    def _require_finite(self, step, logs):
        loss = float(logs.get("loss", 0.0))
        if not math.isfinite(loss):
            raise UserError(
                f"step {step}: the loss is {loss}: lower --learning_rate, or change"
                f" --precision; the checkpoint of step {self.state.step} is intact"
            )

    def result(self, examples):
        """Returns the `Result` of the run; evaluates the final weights if that was not done."""
        step = int(self.state.model.global_step.numpy())
        if step != self.state.step and not self._diverged:  # a callback stopped it in between
            self._save(step)
        if self.evaluation and not self._evaluation_of(step) and self.rhythm.may_evaluate():
            self._evaluate(step)
        reason = "finished" if self.rhythm.ended(step) else "interrupted"
        info = self.state.info
        self._warn_of_lost_weights()
        return Result(
            step=step,
            stop_reason=self._stopped or reason,
            metrics=self._evaluation_of(step).get("metrics", {}),
            best=self._best.evaluation if self._best else info.get("best", {}),
            evaluations=info.get("evaluations", []),
            seconds={
                "total": self.state.seconds,
                "evaluation": self.evaluation.seconds if self.evaluation else 0.0,
                "checkpoints": self.saving_seconds,
                "this_session": time.monotonic() - self._started,
            },
            examples_this_session=examples,
        )

    def _warn_of_lost_weights(self):
        best = self.state.info.get("best")
        if self._best and best and self._is_better(best, self._best.evaluation):
            logging.warning(
                "the best evaluation of the run, %s %.4f at step %d, was made without keep_best:"
                " its weights were not kept", best["metric"], best["value"], best["step"],
            )  # fmt: skip

    def _save(self, step):
        started = time.monotonic()
        self.state.info |= self.rhythm.state()
        self.state.save(step)
        self.saving_seconds += time.monotonic() - started

    def _evaluation_of(self, step):
        """{"step", "metrics"} of the evaluation after `step` updates, {} where there was none."""
        last = (self.state.info.get("evaluations") or [{}])[-1]
        return last if last.get("step") == step else {}

    def _evaluate(self, step):
        metrics = self.evaluation.evaluate()
        first = next(iter(metrics.values()))
        self._diverged = self.rhythm.evaluated(first)
        if self._diverged:
            logging.info("step %d: %s", step, self._diverged)
            return
        require_finite(metrics, f"step {step}")
        self._record(step, metrics)
        evaluation = self._described(step, metrics)
        self._compare_with_best(evaluation)
        for lever in self.run_config.levers:
            lever.evaluated(step, metrics, evaluation["value"])
        self._stopped = self._waited_too_long()
        if self._stopped:
            logging.info("stopping early at step %d: %s", step, self._stopped)

    def _record(self, step, metrics):
        values = report_names(metrics)
        self.state.info.setdefault("evaluations", []).append({"step": step, "metrics": metrics})
        logging.info(
            "step %d: %s", step, "  ".join(f"{k} {v:.4f}" for k, v in sorted(values.items()))
        )
        if self.summaries:
            self.summaries.eval_scalars(step, values)
            if not results.holds_model(self.state.output_dir):  # it belongs to a final model
                write_eval_results(self.state.output_dir, metrics, step)

    def _described(self, step, metrics):
        name = self.evaluation.metric
        value = next(iter(metrics.values()))[name]
        return {"metric": name, "value": value, "step": step, "metrics": metrics}

    def _compare_with_best(self, evaluation):
        if not self._may_be_best():
            return
        info = self.state.info
        if self._is_better(evaluation, info.get("best")):
            info["best"] = evaluation
        self._keep_if_best(evaluation)

    def _keep_if_best(self, evaluation):
        """Keeps the weights of this moment if they are better than those that are kept."""
        if not self._best or not self._may_be_best():
            return
        if self._is_better(evaluation, self._best.evaluation):
            self._best.keep(evaluation)

    def _may_be_best(self):
        return all(lever.may_be_best() for lever in self.run_config.levers)

    def _is_better(self, evaluation, other):
        sign = 1 if self.evaluation.higher_is_better else -1
        return not other or sign * evaluation["value"] > sign * other["value"]

    def _waited_too_long(self):
        """Why to stop after this evaluation, by the patience of this process, or None."""
        info, patience = self.state.info, self.run_config.early_stopping_patience
        if not patience or "best" not in info or not self._may_be_best():
            return None
        if self.rhythm.ended(info["evaluations"][-1]["step"]):
            return None
        waited = sum(e["step"] > info["best"]["step"] for e in info["evaluations"])
        if waited < patience:
            return None
        return f"no better {self.evaluation.metric} in {waited} evaluations"
