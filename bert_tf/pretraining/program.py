"""Pre-training inside a budget: what run_pretraining.py runs."""

import dataclasses
import functools
import time

from absl import logging

from bert_tf import files, folders
from bert_tf.budget import Clock, marker_name
from bert_tf.budget.clock import CLOCK_FILE
from bert_tf.budget.rhythm import ClockRhythm
from bert_tf.budget.running import running
from bert_tf.budget.timetable import make_batches, make_timetable
from bert_tf.checkpoints.model_folder import save_model_folder
from bert_tf.checkpoints.model_tokenizer import settings_of
from bert_tf.data.pretraining.pipeline import user_errors
from bert_tf.options import identity, identity_defaults
from bert_tf.pretraining import setup as pretraining_model
from bert_tf.pretraining.data import HeldOutSpec, PretrainingSpec
from bert_tf.pretraining.reports import DataOrderLog, more_scalars
from bert_tf.training import distribution, loop, sources
from bert_tf.training.results import (
    command,
    described,
    environment,
    finished_results,
    holds_model,
    raise_if_diverged,
    require_finite,
    write_eval_results,
    write_final_model,
)
from bert_tf.training.summaries import Summaries

MARKER_FILE = "marker.json"


def run(options, callbacks=(), age=0.0, now=time.monotonic):
    """Pre-trains and evaluates as `options` say.

    Args:
      options: `PretrainingOptions`.
      callbacks: Keras callbacks of the training.
      age, now: seconds that this process has spent before, and the time to go by, see `Clock`.

    Returns:
      The content of `results.json`.

    Raises:
      UserError: bad input, another run is at work in output_dir, or the training diverged; nothing
        already written is lost.
    """
    options.check()
    strategy = distribution.start(options)
    output_dir = files.make_output_dir(options.output_dir)
    with distribution.only_run(strategy, output_dir):
        sources.check_output_dir(options, output_dir, _markers_of_others(output_dir))
        if options.do_train:
            return _Training(options, strategy, output_dir).run(callbacks, age, now)
        return _evaluate(options, strategy, output_dir)


def _markers_of_others(output_dir):
    """Names of the markers that no run of this folder has written: it would have a clock."""
    if (output_dir / CLOCK_FILE).exists():
        return ()
    return [path.name for path in sorted(output_dir.glob("marker-*"))]


def _evaluate(options, strategy, output_dir):
    source, data = pretraining_model.load_inputs(options, output_dir)
    with distribution.scope(strategy):
        model = pretraining_model.build(options, source, data)
    spec = HeldOutSpec(data, options.eval_batch_size, options.max_eval_steps)
    with user_errors(data.source):
        metrics = spec.build(model).evaluate()
    require_finite(metrics, source.source)
    if distribution.is_chief(strategy):
        write_eval_results(output_dir, metrics, _steps_of(output_dir))
    return {"metrics": metrics}


def _steps_of(run_dir):
    """The updates that the run's model has seen, which wins over the flags; 0 without one."""
    path = run_dir / "results.json"
    if not (holds_model(run_dir) and path.exists()):
        return 0
    return files.read_json(path, "results of the run").get("metrics_step", 0)


class _Training:
    """One process of a training run."""

    def __init__(self, options, strategy, output_dir):
        self.options = options
        self.strategy = strategy
        self.output_dir = output_dir
        self.chief = distribution.is_chief(strategy)

    def run(self, callbacks, age, now):
        """Trains, saves, reports; returns the content of results.json."""
        options = self.options
        done = finished_results(self.output_dir, options, self.strategy)
        if done is not None:
            self.source, self.data = pretraining_model.load_inputs(options, self.output_dir)
            loop.require_same_run(self._run_config())
            return done
        clock = Clock(self.output_dir if self.chief else None, options.budget_counts, age, now=now)
        self.batches = make_batches(options)
        self.rhythm = ClockRhythm(make_timetable(options), clock, self.strategy, self.batches)
        with running(self.rhythm):
            self._prepare()
            with user_errors(self.data.source):
                result = self._train(callbacks)
            metrics, step = self._final_model(result)
            results = self._results(result, metrics, step)
            if self.chief and (result.leaves_model or not holds_model(self.output_dir)):
                files.write_json(self.output_dir / "results.json", results)
        raise_if_diverged(result)
        return results

    def _prepare(self):
        options = self.options
        self.source, self.data = pretraining_model.load_inputs(options, self.output_dir)
        with distribution.scope(self.strategy):
            self.model = pretraining_model.build(options, self.source, self.data)
            pretraining_model.compile_model(options, self.model)
        self.held_out = None
        if options.do_eval:
            self.held_out = HeldOutSpec(self.data, options.eval_batch_size, options.max_eval_steps)
        self.spec = PretrainingSpec(self.data, self.batches, options.seed)

    def _train(self, callbacks):
        options = self.options
        order = [DataOrderLog(self.output_dir / "data_order.tsv", self.batches)]
        summaries = Summaries(self.output_dir)
        if self.chief:
            summaries.text("Hyperparameters", described(options))
        return loop.train_and_evaluate(
            self.model,
            self.spec,
            self.held_out,
            self._run_config(self.rhythm, more_scalars(self.model, self.data.seq_length)),
            callbacks=[*callbacks, *(order if options.log_data_order and self.chief else [])],
            summaries=summaries,
        )

    def _run_config(self, rhythm=None, scalars=None):
        options = self.options
        return loop.RunConfig(
            output_dir=self.output_dir,
            identity=self._identity(),
            identity_defaults=identity_defaults(options),
            data=self.data.digests(held_out=options.do_eval),
            keep_best=options.keep_best,
            save_model=self._save,
            early_stopping_patience=options.early_stopping_patience,
            log_steps=options.log_steps,
            strategy=self.strategy,
            rhythm=rhythm,
            save_marker=self._save_marker,
            keep_checkpoints=options.keep_checkpoints,
            more_scalars=scalars,
        )

    def _final_model(self, result):
        """Saves the trained model, the best one if that is kept; returns its (metrics, step)."""
        return write_final_model(
            self.output_dir,
            result,
            self._load if self.options.keep_best else None,
            save=functools.partial(self._save, self.output_dir),
            arrays=self.model.arrays,
            chief=self.chief,
        )

    def _load(self, best):
        self.model.load(best.arrays, best.source)

    def _save(self, folder):
        config = self.source.config
        settings = self.data.tokenizer_settings or settings_of(self.source)
        config = config.replace(extra={**config.extra, **settings})
        vocab_file = self.data.vocab_file or self.source.vocab_file
        save_model_folder(folder, config, self.model.arrays(), vocab_file)

    def _save_marker(self, share):
        """Writes the folder of a marker, whole."""
        folder = self.output_dir / marker_name(share)
        with folders.replaced(folder) as new:
            self._save(new)
            files.write_json(new / MARKER_FILE, {"marker": share, **self._progress()})
        logging.info("%s written at %.4f of the budget", folder, self.rhythm.share)

    def _progress(self):
        step = int(self.model.global_step.numpy())
        rows = self.batches.stages.rows(step)
        return {
            "share": self.rhythm.share_now(step),
            "spent_seconds": self.rhythm.clock.spent,
            "global_step": step,
            "sequences": rows,
            "tokens": rows * self.data.seq_length,
            "epochs": rows / self.data.rows,
        }

    def _results(self, result, metrics, step):
        budget, rhythm = self.rhythm.timetable.budget, self.rhythm
        markers = sorted(self.output_dir.glob(f"marker-*/{MARKER_FILE}"))
        written = [files.read_json(path, "marker") for path in markers]
        return {
            **self._progress(),
            "stop_reason": result.stop_reason,
            "budget": {**dataclasses.asdict(budget), "counts": self.options.budget_counts},
            "markers": sorted(written, key=lambda marker: marker["marker"]),
            "metrics": metrics,
            "metrics_step": step,
            "best": result.best,
            "evaluations": result.evaluations,
            "learning_rate": rhythm.timetable.rate(rhythm.share),
            "parameters": self.model.num_parameters,
            "corrupt_rows": self.data.corrupt_rows,
            "seconds": result.seconds,
            "expected_seconds": rhythm.costs.report(),
            "options": described(self.options),
            "command": command("run_pretraining.py", self.options),
            "environment": environment(self.options.precision),
        }

    def _identity(self):
        """What a resumed run must share with the one it goes on with, by flag name if it has one.

        The budget's amount, its end and its markers may change: a run may be given more time.
        """
        options = self.options
        return {
            **identity(options),
            "warmup_proportion": options.warmup,
            "budget kind": options.the_budget.kind,
            "training data": self.data.fingerprint,
            "initial weights": sources.digest(self.source.arrays),
            "model shape": self.source.config.to_dict(),
        }
