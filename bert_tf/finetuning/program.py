"""Fine-tune, evaluate and predict, whatever is learnt: what the fine-tuning programs run."""

import contextlib
import functools
import time

from absl import logging

from bert_tf import files
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.data.batching import EndlessPlan, train_plan
from bert_tf.errors import UserError
from bert_tf.finetuning import job as job_lib
from bert_tf.options import identity, identity_defaults
from bert_tf.training import distribution, loop, sources
from bert_tf.training import results as results_lib
from bert_tf.training.lever import first_of, identity_of, phase_of
from bert_tf.training.rhythm import TERMINATED, Updates
from bert_tf.training.step_times import StepTimes
from bert_tf.training.summaries import Summaries


def run(kind, options, callbacks=(), age=0.0, now=time.monotonic):
    """Fine-tunes, evaluates and predicts as `options` say.

    Args:
      kind: subclass of `Job`, what is learnt.
      options: its `FinetuningOptions`.
      callbacks: Keras callbacks of the training.
      age, now: seconds that this process has spent before, and the time to go by.

    Returns:
      The content of `results.json`: metrics, best metrics, steps, times, parameters, stop reason.

    Raises:
      UserError: bad input, another run is at work in output_dir, or the training diverged; nothing
        already written is lost.
    """
    started = now()
    strategy, output_dir = job_lib.start(options)
    with distribution.only_run(strategy, output_dir):
        done = results_lib.finished_results(output_dir, options, strategy)
        job = job_lib.prepare(kind, options, strategy, output_dir)
        if done is not None:
            _require_same_inputs(job, done)
            return done
        job.seconds["preparation"] = now() - started
        return _run(job, started - age, now, callbacks)


def _run(job, started, now, callbacks):
    options = job.options
    job_lib.build_model(job)
    results = {"task": job.task.name, "parameters": _count_parameters(job.model)}
    if options.do_train:
        results |= _train(job, started, now, callbacks)
    elif options.do_eval:
        results |= _evaluate(job)
    if results.get("stop_reason") == TERMINATED:
        logging.info("terminated at step %d: the same command goes on", results["global_step"])
        return results
    if options.do_predict:
        _predict(job)
        results["predicted"] = _digests(job.data.test)
    results["seconds"] = {**results.get("seconds", {}), **job.seconds}
    results["options"] = results_lib.described(options)
    results["command"] = results_lib.command(job.program, options)
    results["metric"] = job.task.metrics[0]
    results["split"] = next(iter(results.get("metrics") or ()), None)
    if job.chief and (options.do_train or options.do_eval):
        _report(job, results)
    return results


def _require_same_inputs(job, done):
    """Requires that a run which is over had the inputs that its command names now."""
    loop.require_same_run(_run_config(job, make_plan(job)))
    for split, digest in _digests(job.data.test).items():
        if done.get("predicted", {}).get(split, digest) != digest:
            raise UserError(
                f"{job.output_dir}: the run in this folder is over and predicted another {split}"
                f" split: give --do_predict --model_dir={job.output_dir} with another --output_dir"
            )


def _digests(stores):
    return {split: store.fingerprint for split, store in stores.items()}


def _train(job, started, now, callbacks):
    plan = make_plan(job)
    progress = first_of(lever.progress() for lever in job.levers) or Updates(plan.steps)
    summaries = job_lib.begin_levers(job, progress, started, now)
    job_lib.compile_model(job, progress)
    with contextlib.ExitStack() as running:
        for lever in job.levers:
            running.enter_context(lever.running())
        spec = loop.TrainSpec(job.data.train, plan, job.data.pad_to, _multiple(job), job.levers)
        times = StepTimes(spec.tokens, functools.partial(phase_of, job.options, job.levers))
        result = loop.train_and_evaluate(
            job.model,
            spec,
            _eval_spec(job) if job.options.do_eval else None,
            _run_config(job, plan),
            callbacks=[*callbacks, times],
            summaries=summaries,
        )
        results_lib.raise_if_diverged(result)
        metrics, step = _final_model(job, result)
    return _outcome(job, plan, times, result) | {"metrics": metrics, "metrics_step": step}


def _run_config(job, plan):
    options = job.options
    return loop.RunConfig(
        output_dir=job.output_dir,
        identity=_identity(job, plan),
        identity_defaults=identity_defaults(options),
        data={f"{name} examples": x for name, x in _digests(job.data.dev).items()},
        save_checkpoints_steps=options.save_checkpoints_steps,
        keep_best=options.keep_best,
        save_model=functools.partial(job_lib.save_model, job),
        early_stopping_patience=options.early_stopping_patience,
        log_steps=options.log_steps,
        strategy=job.strategy,
        levers=job.levers,
    )


def _outcome(job, plan, times, result):
    """What results.json says of the training, but for the metrics of its final model."""
    reports = {lever.name: found for lever in job.levers if (found := lever.report())}
    seconds = {**result.seconds, "tracing": times.tracing_seconds()}
    busy = seconds["this_session"] - seconds["evaluation"] - seconds["checkpoints"]
    return {
        "levers": [lever.name for lever in job.levers],
        "best": result.best,
        "evaluations": result.evaluations,
        "global_step": result.step,
        "epochs": plan.epoch_of(result.step),
        "stop_reason": result.stop_reason,
        "train_examples": len(job.data.train),
        "examples_per_second": result.examples_this_session / busy if busy else 0.0,
        "padding_share": plan.padding_share,
        "phases": times.phases(),
        **reports,
        "seconds": seconds,
    }


def _eval_spec(job, pad_to=None):
    return job.eval_spec(job.data.dev, job.options.eval_batch_size, pad_to)


def make_plan(job):
    """Returns the `BatchPlan` of the whole run, an `EndlessPlan` where a lever ends it.

    Raises:
      UserError: there are too few examples for a batch.
    """
    options, store = job.options, job.data.train
    make = functools.partial(
        train_plan,
        store.lengths,
        batch_size=None if options.train_token_budget else options.train_batch_size,
        token_budget=options.train_token_budget,
        seed=options.seed,
        bucket=options.bucket_by_length,
        pad_to=job.data.pad_to,
        pad_multiple=_multiple(job),
    )
    if any(lever.progress() for lever in job.levers):
        return EndlessPlan(lambda epochs: make(epochs=epochs))
    plan = make(epochs=options.num_train_epochs)
    if plan.steps < 1:
        raise UserError(
            f"--num_train_epochs={options.num_train_epochs}: {len(store)} training examples make"
            f" no full batch of --train_batch_size={options.train_batch_size}"
        )
    return plan


def _multiple(job):
    """What batches are padded to a multiple of: few shapes, few compilations."""
    return 8 if job.options.xla else 1


def _final_model(job, result):
    """Saves the trained model, the best one if that is kept; returns its (metrics, step)."""

    def load(best):
        assign_arrays(job.model.model_weights, best.arrays, best.source)
        job.model.global_step.assign(result.best["step"])

    return results_lib.write_final_model(
        job.output_dir,
        result,
        load if job.options.keep_best else None,
        save=functools.partial(job_lib.save_model, job, job.output_dir),
        arrays=job.model.arrays,
        chief=job.chief,
    )


def _identity(job, plan):
    """What a resumed run must share with the one it goes on with, by flag name if there is one."""
    return {
        **identity(job.options),
        **identity_of(job.options, job.levers),
        "task": job.task.name,
        "labels": job.task.to_json()["labels"],
        "training data": job.data.train.fingerprint,
        "initial weights": sources.digest(job.initial.arrays),
        "model shape": job.source.config.to_dict(),
        "steps": plan.steps,
    }


def _evaluate(job):
    found = _eval_spec(job, job.data.pad_to).build(job.model)
    metrics = found.evaluate()
    if job.chief:
        step = (job.source.task or {}).get("global_step", 0)
        results_lib.write_eval_results(job.output_dir, metrics, step)
    return {"metrics": metrics, "seconds": {"evaluation": found.seconds}}


def _predict(job):
    name, forward = next(iter((job.views or {"": None}).items()))
    if name:
        logging.info("predictions are those of the largest sub-network of the lists, %s", name)
    job.seconds["prediction"] = job.predict(forward)


def _count_parameters(model):
    counts = {"total": 0, "embeddings": 0}
    for variable in model.model_weights:
        size = int(variable.shape.num_elements())
        counts["total"] += size
        if variable.name.startswith("bert/embeddings/"):
            counts["embeddings"] += size
    return counts


def _report(job, results):
    """Writes results.json and the run's hyper-parameters and outcome to TensorBoard."""
    results["environment"] = results_lib.environment(job.options.precision)
    files.write_json(job.output_dir / "results.json", results)
    summaries = Summaries(job.output_dir)
    described = results["options"]
    for lever in job.levers if job.options.do_train else ():
        described = {**described, **lever.settled()}
    summaries.text("Hyperparameters", described)
    if results.get("metrics"):
        summaries.hparams(described, results_lib.report_names(results["metrics"]))
    first = next(iter(results["metrics"].values()), {})
    of_views = tuple(f"_{name}" for name in job.views or ())
    outcome = "  ".join(f"{k} {v:.4f}" for k, v in first.items() if not k.endswith(of_views))
    logging.info("%s: %s  (%s)", job.task.name, outcome or "done", job.output_dir)
