"""A run of classification before its first step: options checked, files read, model compiled."""

import dataclasses
import datetime
import pathlib
import time

from absl import logging

from bert_tf import files
from bert_tf.checkpoints import head_matching
from bert_tf.checkpoints.model_folder import LoadedModel, load_model, require_pooler
from bert_tf.checkpoints.model_tokenizer import check_same_tokenizer
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.errors import UserError
from bert_tf.training import distribution, freezing, inputs, mask_training, sources
from bert_tf.training.distillation import Distillation
from bert_tf.training.model import SequenceClassifier
from bert_tf.training.optimization import make_optimizer
from bert_tf.training.schedules import autofreeze_steps, make_schedule


@dataclasses.dataclass
class Job:
    """Everything a run is made of, once its options are checked and its files read.

    `source` is the model to start from, its head in the order of the task's labels or left out.
    """

    options: object
    output_dir: pathlib.Path
    strategy: object
    source: LoadedModel
    data: inputs.Inputs
    masks: bool = False
    model: SequenceClassifier | None = None
    teacher_weights: str | None = None
    seconds: dict = dataclasses.field(default_factory=dict)

    @property
    def chief(self):
        """Whether this process writes the files."""
        return distribution.is_chief(self.strategy)

    @property
    def task(self):
        """The `Task` of the data."""
        return self.data.task


def start(options):
    """Returns (strategy, output_dir): options checked, this process prepared, the folder made."""
    options.check()
    strategy = distribution.start(options)
    output_dir = pathlib.Path(options.output_dir)
    if options.timestamped_output_dir:
        now = distribution.value_of_chief(strategy, int(time.time()))  # one folder for all workers
        output_dir /= datetime.datetime.fromtimestamp(now).strftime("%Y-%m-%d-%H:%M:%S")
    return strategy, files.make_output_dir(output_dir)


def prepare(options, strategy, output_dir):
    """Returns the `Job`: model and data read; only the features are written."""
    sources.check_output_dir(options, output_dir)
    source = sources.load(options, output_dir)
    masks = mask_training.trains_masks(options, source)
    freezing.check(options, source, masks)
    source = dataclasses.replace(source, config=mask_training.configure(options, source))
    task = inputs.task_of(options, source)
    initial = _with_head(options, source, task)

    def build(chief):
        write_tfrecord = options.write_tfrecord and chief
        own = dataclasses.replace(options, write_tfrecord=write_tfrecord)
        return inputs.build(own, source, task, output_dir)

    # The other workers of a cluster find the chief's features ready.
    data = distribution.chief_first(strategy, build)
    return Job(options, output_dir, strategy, initial, data, masks)


def _with_head(options, source, task):
    """The model to start from with its head as the task has it; without training it needs one."""
    # The numbers of a model are what its user asks for; those of new rows may be anything.
    initial = head_matching.matched(source, task, numbers_agree=not options.do_train)
    if not options.do_train:
        head_matching.require(
            initial, task, f"give a model fine-tuned on task {task.name}, or --do_train"
        )
        require_pooler(initial)
    elif reason := initial.left.get("output_weights"):
        logging.warning("%s: its classifier is %s: a new one is trained", source.source, reason)
    return initial


def build_model(job):
    """Creates the job's model in the strategy's scope, with the initial weights."""
    with distribution.scope(job.strategy):
        job.model, report = _classifier(job, job.source, job.masks)
        if report:
            logging.info("\n%s", report.table())
        if job.masks:
            mask_training.start_masks(job.options, job.source, job.model.encoder)
        if job.options.do_train:
            freezing.start(job.options, job.model, job.data.train)


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
        model.model_weights, source.arrays, source.source, left=source.left, remarks=source.remarks
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
    for key in ("max_position_embeddings", "type_vocab_size"):
        theirs, needed = getattr(source.config, key), _needed(job)[key]
        if theirs < needed:
            raise UserError(
                f"--teacher_model_dir: {source.source} has {key} {theirs}, the run's examples need"
                f" {needed}: give another teacher"
                + (", or a smaller --max_seq_length" if key.startswith("max") else "")
            )
    require_pooler(source)
    check_same_tokenizer(source, job.source, job.data.do_lower_case)
    job.teacher_weights = sources.digest(source.arrays)
    source = head_matching.matched(source, job.task)
    advice = f"give a --teacher_model_dir that was fine-tuned on task {job.task.name}"
    head_matching.require(source, job.task, advice)
    teacher, _ = _classifier(job, source)
    return Distillation(
        teacher,
        job.source.config,
        temperature=options.distillation_temperature,
        logits_weight=options.distillation_logits_weight,
        hidden_weight=options.distillation_hidden_weight,
        label_weight=options.distillation_label_weight,
    )


def _needed(job):
    """What the training examples need of a model's tables."""
    store = job.data.train
    pairs = bool((store.first_lengths < store.lengths).any())
    longest = job.data.pad_to or int(store.lengths.max())
    return {"max_position_embeddings": longest, "type_vocab_size": 1 + pairs}


def compile_model(job, total_steps):
    """Compiles the job's model for a training of `total_steps` updates."""
    options = job.options
    with distribution.scope(job.strategy):
        schedule = make_schedule(
            options.lr_schedule,
            learning_rate=options.learning_rate,
            total_steps=total_steps,
            warmup_steps=int(total_steps * _warmup_proportion(options)),
            boundaries=autofreeze_steps(total_steps),
        )
        optimizer = make_optimizer(
            options.optimizer,
            schedule,
            weight_decay=options.weight_decay,
            bias_correction=options.adam_bias_correction,
            precision=options.precision,
        )
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


def _warmup_proportion(options):
    if options.lr_schedule == "stepped" and "warmup_proportion" not in options.given:
        return 0.0
    return options.warmup_proportion
