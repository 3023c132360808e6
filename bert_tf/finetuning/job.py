"""A fine-tuning before its first step: options checked, files read, model compiled."""

import dataclasses
import datetime
import functools
import pathlib
import time
from typing import Any, ClassVar

from absl import logging

from bert_tf import files
from bert_tf.checkpoints import head_matching
from bert_tf.checkpoints.model_folder import LoadedModel, load_model, save_model_folder
from bert_tf.checkpoints.model_tokenizer import check_same_tokenizer
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.errors import UserError
from bert_tf.training import distribution, sources
from bert_tf.training.lever import Run, first_of, make_levers
from bert_tf.training.optimization import make_optimizer
from bert_tf.training.schedules import make_schedule, stepped_boundaries
from bert_tf.training.summaries import Summaries


@dataclasses.dataclass
class Job:
    """Everything a run is made of, once its options are checked and its files read.

    A subclass says what is learnt: it reads the data and makes the model, and so on.

    Attributes:
      program: the script that such runs are of.
      initial: the model to start from, its head in the order of the task's labels or left out.
      source: what the levers made of it.
      data: object with `task`, the feature stores `train`, `dev` and `test` ({split: store}),
        `do_lower_case` and `pad_to`, see `data.inputs.Inputs`.
    """

    program: ClassVar[str]

    options: Any
    output_dir: pathlib.Path
    strategy: Any
    initial: LoadedModel
    source: LoadedModel
    data: Any
    levers: tuple = ()
    model: Any = None
    seconds: dict = dataclasses.field(default_factory=dict)

    @staticmethod
    def task_of(options, source):
        """Returns the task that the flags name, or the one that the model was fine-tuned on."""
        raise NotImplementedError

    @staticmethod
    def read(options, source, task, output_dir, write):
        """Returns the `data` of the task; of what it writes but features, only if `write`."""
        raise NotImplementedError

    @staticmethod
    def matched(source, task, numbers_agree=False):
        """Returns the `LoadedModel` with its head as the task has it, see `head_matching`."""
        return head_matching.matched(source, task, numbers_agree)

    @staticmethod
    def require(source, task, advice):
        """Raises `UserError` if the `matched` model has no head; `advice` says what to do."""
        head_matching.require(source, task, advice)

    @staticmethod
    def check_source(source):
        """Raises `UserError` if a `LoadedModel` with a head lacks what this stands on."""

    def new_model(self, source):
        """Returns the `TaskModel` of the shape of a `LoadedModel`, its weights random."""
        raise NotImplementedError

    def eval_spec(self, stores, batch_size, pad_to=None):
        """Returns what evaluates a model on {split: store}, see `evaluation.EvalSpec`."""
        raise NotImplementedError

    def predict(self, view):
        """Predicts the test splits by the model of a view, see `Lever.views`, and writes them.

        Returns the seconds that the model took.
        """
        raise NotImplementedError

    def described(self):
        """Returns what task.json says of how the data were read, besides the task."""
        return {"max_seq_length": self.data.max_seq_length}

    @property
    def chief(self):
        """Whether this process writes the files."""
        return distribution.is_chief(self.strategy)

    @property
    def task(self):
        """The task of the data."""
        return self.data.task

    @property
    def views(self):
        """{name: arguments of `forward`} of the models to evaluate, None for the whole one."""
        return first_of(lever.views() for lever in self.levers)


def start(options):
    """Returns (strategy, output_dir): options checked, this process prepared, the folder made."""
    options.check()
    strategy = distribution.start(options)
    output_dir = pathlib.Path(options.output_dir)
    if options.timestamped_output_dir:
        now = distribution.value_of_chief(strategy, int(time.time()))  # one folder for all workers
        output_dir /= datetime.datetime.fromtimestamp(now).strftime("%Y-%m-%d-%H:%M:%S")
    return strategy, files.make_output_dir(output_dir)


def prepare(kind, options, strategy, output_dir):
    """Returns the `Job` of a `kind`, a subclass: model and data read; only features are written."""
    sources.check_output_dir(options, output_dir)
    source = sources.load(options, output_dir)
    levers = make_levers(options, source)
    task = kind.task_of(options, source)
    initial = _with_head(kind, options, source, task)

    def build(chief):
        return kind.read(options, source, task, output_dir, write=chief)

    # The other workers of a cluster find the chief's features ready.
    data = distribution.chief_first(strategy, build)
    changed = initial
    for lever in levers:
        changed = lever.source(changed)
    return kind(options, output_dir, strategy, initial, changed, data, levers)


def _with_head(kind, options, source, task):
    """The model to start from with its head as the task has it; without training it needs one."""
    # The numbers of a model are what its user asks for; those of new rows may be anything.
    initial = kind.matched(source, task, numbers_agree=not options.do_train)
    if not options.do_train:
        kind.require(initial, task, f"give a model fine-tuned on task {task.name}, or --do_train")
        kind.check_source(initial)
    elif reason := initial.left.get("output_weights"):
        logging.warning("%s: its classifier is %s: a new one is trained", source.source, reason)
    return initial


def build_model(job):
    """Creates the job's model in the strategy's scope, with the initial weights."""
    with distribution.scope(job.strategy):
        job.model = job.new_model(job.source)
        if job.initial.arrays is not None:
            logging.info("\n%s", _assign(job.model, job.source).table())


def _assign(model, source):
    """Gives the model the weights of `source`; returns the `LoadReport`."""
    return assign_arrays(
        model.model_weights, source.arrays, source.source, left=source.left, remarks=source.remarks
    )


def _load_other(job, folder, flag):
    """Returns (classifier of the job's task with the weights of a model folder, their digest).

    Args:
      job: `Job`.
      folder: of a model fine-tuned on the same task; None for the model that the job starts from.
      flag: that names it.

    Raises:
      UserError: it does not read the job's examples, or has no head for its task.
    """
    advice = f"give a --{flag} that was fine-tuned on task {job.task.name}"
    if folder is None:
        source, digest = job.initial, sources.digest(job.initial.arrays)
    else:
        source, digest = _read_other(job, folder, flag)
    job.require(source, job.task, advice)
    model = job.new_model(source)
    _assign(model, source)
    return model, digest


def _read_other(job, folder, flag):
    """(`LoadedModel` of the folder, its head as the job's task has it, digest of its arrays)."""
    source = load_model(folder)
    if source.config.vocab_size != job.source.config.vocab_size:
        raise UserError(
            f"--{flag}: {source.source} has a vocabulary of {source.config.vocab_size},"
            f" the student's has {job.source.config.vocab_size}"
        )
    for key, needed in _needed(job).items():
        theirs = getattr(source.config, key)
        if theirs < needed and (theirs or not source.config.reads_pairs):
            raise UserError(
                f"--{flag}: {source.source} has {key} {theirs}, the run's examples need"
                f" {needed}: give another teacher"
                + (", or a smaller --max_seq_length" if key.startswith("max") else "")
            )
    job.check_source(source)
    check_same_tokenizer(source, job.source, job.data.do_lower_case)
    return job.matched(source, job.task), sources.digest(source.arrays)


def _needed(job):
    """What the training examples need of a model's tables."""
    store = job.data.train
    pairs = bool((store.first_lengths < store.lengths).any())
    longest = job.data.pad_to or int(store.lengths.max())
    return {"max_position_embeddings": longest, "type_vocab_size": 1 + pairs}


def begin_levers(job, progress, started, now):
    """Tells the levers of the run that begins; returns the chief's `Summaries`, else None.

    Args:
      job: `Job`.
      progress, started, now: see `Run`.
    """
    summaries = Summaries(job.output_dir) if job.chief else None
    run = Run(
        options=job.options,
        source=job.source,
        model=job.model,
        progress=progress,
        started=started,
        now=now,
        store=job.data.train,
        dev=job.data.dev,
        output_dir=job.output_dir,
        strategy=job.strategy,
        chief=job.chief,
        summaries=summaries,
        load_other=functools.partial(_load_other, job),
        save_model=functools.partial(save_model, job),
    )
    with distribution.scope(job.strategy):
        for lever in job.levers:
            lever.begin(run)
    return summaries


def save_model(job, folder, config=None, arrays=None):
    """Writes the job's model as a model folder that every program here reads.

    Args:
      job: `Job`.
      folder: where it goes.
      config, arrays: of another model of the job's task to write in its place.
    """
    task = {
        **job.task.to_json(),
        **job.described(),
        "do_lower_case": job.data.do_lower_case,
        "global_step": int(job.model.global_step.numpy()),
    }
    arrays = job.model.arrays() if arrays is None else arrays
    save_model_folder(folder, config or job.source.config, arrays, job.source.vocab_file, task)


def compile_model(job, progress):
    """Compiles the job's model for a training whose length `progress` tells, see `Run`."""
    options = job.options
    with distribution.scope(job.strategy):
        schedule = make_schedule(
            options.lr_schedule,
            learning_rate=options.learning_rate,
            total_steps=progress.total,
            warmup_steps=int(progress.total * _warmup_proportion(options)),
            boundaries=stepped_boundaries(progress.total),
        )
        optimizer = make_optimizer(
            options.optimizer,
            progress.learning_rate(schedule),
            weight_decay=options.weight_decay,
            bias_correction=options.adam_bias_correction,
            precision=options.precision,
        )
        job.model.compile(
            optimizer=optimizer,
            clip_norm=options.clip_norm or None,
            accumulation_steps=options.gradient_accumulation_steps,
            levers=job.levers,
            train_weights=options.learning_rate > 0,
            regularization_scale=options.regularization_scale,
            jit_compile=options.xla,
            steps_per_execution=options.steps_per_execution,
        )


def _warmup_proportion(options):
    if options.lr_schedule == "stepped" and "warmup_proportion" not in options.given:
        return 0.0
    return options.warmup_proportion
