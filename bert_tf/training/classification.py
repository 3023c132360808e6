"""Fine-tune, evaluate and predict sentence classification: what run_classifier.py runs."""

import dataclasses
import datetime
import pathlib
import resource
import time

import tensorflow as tf
import tf_keras as keras
from absl import logging

from bert_tf import files
from bert_tf.checkpoints.model_folder import LoadedModel, load_model, save_model_folder
from bert_tf.checkpoints.names import dense_scopes
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.data.batching import train_plan
from bert_tf.data.features import fingerprint
from bert_tf.errors import UserError
from bert_tf.training import distribution, evaluation, inputs, loop, mask_training, sources
from bert_tf.training.allocator import keep_freed_memory
from bert_tf.training.distillation import Distillation
from bert_tf.training.model import SequenceClassifier
from bert_tf.training.optimization import make_optimizer
from bert_tf.training.pruning_options import MASK_FLAGS, TEACHER_FLAGS
from bert_tf.training.pruning_summaries import PruningSummaries, values_in_force
from bert_tf.training.schedules import make_schedule
from bert_tf.training.summaries import Summaries


@dataclasses.dataclass
class Job:
    """Everything a run is made of, once its options are checked and its files read."""

    options: object
    output_dir: pathlib.Path
    strategy: object
    source: LoadedModel
    data: inputs.Inputs
    masks: bool = False
    model: SequenceClassifier | None = None
    seconds: dict = dataclasses.field(default_factory=dict)

    @property
    def chief(self):
        """Whether this process writes the files."""
        return distribution.is_chief(self.strategy)

    @property
    def task(self):
        """The `Task` of the data."""
        return self.data.task


def run(options):
    """Fine-tunes, evaluates and predicts as `options` (`ClassifierOptions`) say.

    Returns:
      The content of `results.json`: metrics, best metrics, steps, times, parameters, stop reason.

    Raises:
      UserError: bad input; nothing already written is lost.
    """
    started = time.monotonic()
    job = _prepare(options)
    job.seconds["preparation"] = time.monotonic() - started
    _build_model(job)
    results = {"task": job.task.name, "parameters": _count_parameters(job.model)}
    if options.do_train:
        results |= _train(job)
    elif options.do_eval:
        results |= _evaluate(job)
    if options.do_predict:
        _predict(job)
    results["seconds"] = {**results.get("seconds", {}), **job.seconds}
    results["options"] = {
        k: v for k, v in dataclasses.asdict(options).items() if k != "given" and v is not None
    }
    if job.chief and (options.do_train or options.do_eval):
        _report(job, results)
    return results


def _prepare(options):
    """Checks the options, reads model and data; nothing is written but the features."""
    options.check()
    keep_freed_memory()
    strategy = distribution.make_strategy(
        options.distribution_strategy, options.num_gpus, options.tpu
    )
    distribution.check_flags(strategy, options)
    distribution.set_precision(options.precision)
    keras.utils.set_random_seed(options.seed)
    output_dir = pathlib.Path(options.output_dir)
    if options.timestamped_output_dir:
        now = distribution.value_of_chief(strategy, int(time.time()))  # one folder for all workers
        output_dir /= datetime.datetime.fromtimestamp(now).strftime("%Y-%m-%d-%H:%M:%S")
    files.make_output_dir(output_dir)
    source = sources.load(options, output_dir)
    masks = mask_training.trains_masks(options, source)
    source = dataclasses.replace(source, config=mask_training.configure(options, source))

    def build(chief):
        write_tfrecord = options.write_tfrecord and chief
        own = dataclasses.replace(options, write_tfrecord=write_tfrecord)
        return inputs.build(own, source, output_dir)

    # The other workers of a cluster find the chief's features ready.
    data = distribution.chief_first(strategy, build)
    return Job(options, output_dir, strategy, source, data, masks)


def _build_model(job):
    """Creates the model in the strategy's scope, with the initial weights."""
    with distribution.scope(job.strategy):
        job.model, report = _classifier(job, job.source, job.masks)
        if report:
            logging.info("\n%s", report.table())
            if not job.options.do_train:
                _require_classifier(job, job.source, report, ", or --do_train")
        if job.masks:
            mask_training.start_masks(job.options, job.source, job.model.encoder)


def _classifier(job, source, masks=False):
    """(`SequenceClassifier` for the run's task with the weights of `source`, `LoadReport`)."""
    task = job.task
    model = SequenceClassifier(
        source.config,
        num_outputs=1 if task.labels is None else len(task.labels),
        regression=task.labels is None,
        seed=job.options.seed,
        encoder=mask_training.build_encoder(source.config, source.arrays, masks),
    )
    if source.arrays is None:
        return model, None
    return model, assign_arrays(
        model.trainable_variables, source.arrays, source.source, left=source.left
    )


def _require_classifier(job, source, report, alternative=""):
    if "output_weights" not in report.loaded:
        raise UserError(
            f"{source.source}: holds no classifier for the {len(job.task.labels or [1])} outputs"
            f" of task {job.task.name}: give a fine-tuned model{alternative}"
        )


def _distillation(job):
    """The loss that draws the model to `--teacher_model_dir`, or None."""
    options = job.options
    if not options.teacher_model_dir:
        return None
    source = load_model(options.teacher_model_dir)
    if source.config.vocab_size != job.source.config.vocab_size:
        raise UserError(
            f"--teacher_model_dir: {source.source} has a vocabulary of {source.config.vocab_size},"
            f" the student's has {job.source.config.vocab_size}"
        )
    teacher, report = _classifier(job, source)
    _require_classifier(job, source, report)
    return Distillation(
        teacher,
        job.source.config,
        temperature=options.distillation_temperature,
        logits_weight=options.distillation_logits_weight,
        hidden_weight=options.distillation_hidden_weight,
        label_weight=options.distillation_label_weight,
    )


def _train(job):
    options, store = job.options, job.data.train
    multiple = 8 if options.xla else 1  # few shapes, few compilations
    plan = train_plan(
        store.lengths,
        batch_size=None if options.train_token_budget else options.train_batch_size,
        token_budget=options.train_token_budget,
        epochs=options.num_train_epochs,
        seed=options.seed,
        bucket=options.bucket_by_length,
        pad_to=job.data.pad_to,
        pad_multiple=multiple,
    )
    if plan.steps < 1:
        raise UserError(
            f"--num_train_epochs={options.num_train_epochs}: {len(store)} training examples make"
            f" no full batch of --train_batch_size={options.train_batch_size}"
        )
    _compile(job, plan.steps)
    best_dir = job.output_dir / "best"
    summaries = Summaries(job.output_dir)
    result = loop.train_and_evaluate(
        job.model,
        loop.TrainSpec(store, plan, job.data.pad_to, multiple),
        loop.EvalSpec(job.task, job.data.dev, options.eval_batch_size) if options.do_eval else None,
        loop.RunConfig(
            output_dir=job.output_dir,
            identity=_identity(job, plan),
            save_checkpoints_steps=options.save_checkpoints_steps,
            save_best=(lambda model: _save(job, best_dir)) if options.keep_best else None,
            may_be_best=mask_training.near_target(job.model.pruner) if job.masks else None,
            early_stopping_patience=options.early_stopping_patience,
            log_steps=options.log_steps,
            strategy=job.strategy,
        ),
        callbacks=_callbacks(job, summaries, plan.steps),
        summaries=summaries,
    )
    metrics, step = result.metrics, result.step
    if options.keep_best and job.chief and result.best:
        best = load_model(best_dir)
        assign_arrays(job.model.trainable_variables, best.arrays, str(best_dir))
        metrics, step = result.best["metrics"], result.best["step"]
        job.model.global_step.assign(step)
    if job.chief:
        _save(job, job.output_dir)
        if metrics:
            evaluation.write_eval_results(job.output_dir, metrics, step)
    seconds = result.seconds
    busy = seconds["this_session"] - seconds["evaluation"] - seconds["checkpoints"]
    return {
        "metrics": metrics,
        "metrics_step": step,
        "best": result.best,
        "global_step": result.step,
        "epochs": plan.epoch_of(result.step),
        "stop_reason": result.stop_reason,
        "train_examples": len(store),
        "examples_per_second": result.examples_this_session / busy if busy else 0.0,
        "padding_share": plan.padding_share,
        "seconds": seconds,
    }


def _callbacks(job, summaries, total_steps):
    if not (job.masks and job.chief):
        return []
    kernels = dense_scopes(job.source.config)
    every = job.options.log_steps
    return [PruningSummaries(summaries, job.model.pruner, kernels, total_steps, every)]


def _compile(job, total_steps):
    options = job.options
    with distribution.scope(job.strategy):
        schedule = make_schedule(
            options.lr_schedule,
            learning_rate=options.learning_rate,
            total_steps=total_steps,
            warmup_steps=int(total_steps * options.warmup_proportion),
        )
        optimizer = make_optimizer(
            options.optimizer,
            schedule,
            weight_decay=options.weight_decay,
            bias_correction=options.adam_bias_correction,
        )
        if options.precision == "float16":
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
        pruner = None
        if job.masks:
            pruner = mask_training.make_pruner(options, job.source, job.model.encoder, total_steps)
        job.model.compile(
            optimizer=optimizer,
            clip_norm=options.clip_norm or None,
            accumulation_steps=options.gradient_accumulation_steps,
            pruner=pruner,
            train_weights=options.learning_rate > 0,
            regularization_scale=options.regularization_scale,
            distillation=_distillation(job),
            jit_compile=options.xla,
            steps_per_execution=options.steps_per_execution,
        )


def _identity(job, plan):
    """What a resumed run must share with the one it goes on with, by flag name if there is one."""
    options = job.options
    names = (
        "train_batch_size",
        "train_token_budget",
        "num_train_epochs",
        "seed",
        "bucket_by_length",
        "pad_to_max_length",
        "learning_rate",
        "lr_schedule",
        "warmup_proportion",
        "optimizer",
        "adam_bias_correction",
        "weight_decay",
        "clip_norm",
        "gradient_accumulation_steps",
        "precision",
        "max_seq_length",
        "regularization_scale",
    )
    for parts in (MASK_FLAGS if job.masks else (), TEACHER_FLAGS | {"teacher_model_dir"}):
        names += tuple(sorted(parts))
    return {
        **{name: getattr(options, name) for name in names},
        "task": job.task.name,
        "training data": job.data.train.fingerprint,
        "initial weights": _digest(job.source.arrays),
        "model shape": job.source.config.to_dict(),
        "steps": plan.steps,
    }


def _digest(arrays):
    """Tells one set of initial weights from another; None for random ones."""
    if arrays is None:
        return None
    return fingerprint(*(part for name in sorted(arrays) for part in (name, arrays[name])))


def _evaluate(job):
    evaluator = evaluation.Evaluator(job.model, job.options.eval_batch_size, job.data.pad_to)
    metrics = {split: evaluator.evaluate(store, job.task) for split, store in job.data.dev.items()}
    if job.chief:
        step = (job.source.task or {}).get("global_step", 0)
        evaluation.write_eval_results(job.output_dir, metrics, step)
    return {"metrics": metrics, "seconds": {"evaluation": evaluator.seconds}}


def _predict(job):
    evaluator = evaluation.Evaluator(job.model, job.options.predict_batch_size, job.data.pad_to)
    for index, (split, store) in enumerate(job.data.test.items()):
        logits = evaluator.logits(store)
        if job.chief:
            evaluation.write_predictions(job.output_dir, logits, job.task, split, index == 0)
    job.seconds["prediction"] = evaluator.seconds


def _save(job, folder):
    """Writes the model as a model folder that every program here reads."""
    arrays = {v.name.split(":")[0]: v.numpy() for v in job.model.trainable_variables}
    task = {
        **job.task.to_json(),
        "max_seq_length": job.data.max_seq_length,
        "do_lower_case": job.data.do_lower_case,
        "global_step": int(job.model.global_step.numpy()),
    }
    save_model_folder(folder, job.source.config, arrays, job.source.vocab_file, task)


def _count_parameters(model):
    counts = {"total": 0, "embeddings": 0}
    for variable in model.trainable_variables:
        size = int(variable.shape.num_elements())
        counts["total"] += size
        if variable.name.startswith("bert/embeddings/"):
            counts["embeddings"] += size
    return counts


def _report(job, results):
    """Writes results.json and the run's hyper-parameters and outcome to TensorBoard."""
    results["environment"] = {
        "tensorflow": tf.__version__,
        "devices": [d.name for d in tf.config.list_logical_devices()],
        "precision": job.options.precision,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    files.write_json(job.output_dir / "results.json", results)
    summaries = Summaries(job.output_dir)
    described = results["options"]
    if job.model.pruner:
        described = {**described, **values_in_force(job.source.config, job.model.pruner)}
    summaries.text("Hyperparameters", described)
    if results.get("metrics"):
        summaries.hparams(described, evaluation.report_names(results["metrics"]))
    first = next(iter(results["metrics"].values()), {})
    outcome = "  ".join(f"{k} {v:.4f}" for k, v in first.items())
    logging.info("%s: %s  (%s)", job.task.name, outcome or "done", job.output_dir)
