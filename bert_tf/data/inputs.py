"""Reads a run's files into feature stores: vocabulary, tokenizer, task, splits."""

import dataclasses
import functools
import pathlib

from absl import logging

from bert_tf.checkpoints import head
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data import augmented, class_labels, records, tfrecord
from bert_tf.data.features import build_features
from bert_tf.data.options import CUSTOM
from bert_tf.data.sources import choosing
from bert_tf.data.sources.dataset_task import write_drawn
from bert_tf.data.tasks import custom_task, get_task, task_from_json
from bert_tf.errors import UserError
from bert_tf.options import names_that_need

# Google's TFRecord names of the splits.
_RECORD_NAMES = {"train": "train", "dev": "eval", "test": "predict"}


@dataclasses.dataclass
class Inputs:
    """Feature stores of one run.

    Attributes:
      task: `Task`.
      train: `FeatureStore`, None without do_train.
      dev, test: {split name: FeatureStore} in the task's order, empty when not asked for.
      max_seq_length: tokens that inputs are cut to.
      truncation: what stays of longer single texts.
      do_lower_case: how the text was tokenised.
      pad_to: length to pad every batch to, or None.
      test_rows: {split name: `RowNumbers`} of the test splits that come from the task's files.
    """

    task: object
    train: object
    dev: dict
    test: dict
    max_seq_length: int
    truncation: str
    do_lower_case: bool
    pad_to: int | None
    test_rows: dict


def build(options, source, task, output_dir, write=True):
    """Builds `Inputs` as `options` say for the model `source` (`LoadedModel`) and its `task_of`.

    Args:
      options: `InputOptions` of the run.
      source: `LoadedModel` that will read the examples.
      task: its `task_of`.
      output_dir: folder of the run (`pathlib.Path`), for features and TFRecord files.
      write: False leaves the TFRecord files that `options` ask for, and the rows of a drawn dev
        set, to another process.

    Raises:
      UserError: anything wrong with vocabulary, files or lengths.
    """
    saved = source.task or {}
    tokenizer = tokenizer_of(source, options.do_lower_case)
    length = longest(options, source)
    truncation = as_fine_tuned("truncation", options, saved)
    if write:
        write_drawn(task, output_dir)
    pairs = source.config.reads_pairs
    builder = _Builder(options, task, tokenizer, length, truncation, pairs, output_dir, write)
    train = builder.store("train", "train") if options.do_train else None
    if train is not None and train.labels is None:
        raise UserError("the training examples carry no labels")
    dev = {s: builder.store(s, "dev") for s in task.dev_splits} if options.do_eval else {}
    if task.labels is not None:
        evaluated = {split: store.labels for split, store in dev.items()}
        class_labels.report(task.labels, train and train.labels, evaluated)
    test = {s: builder.store(s, "test") for s in task.test_splits} if options.do_predict else {}
    return Inputs(
        builder.task, train, dev, test, length, truncation, tokenizer.do_lower_case,
        length if options.pad_to_max_length else None, builder.test_rows,
    )  # fmt: skip


class _Builder:
    """Turns splits into feature stores, from the task's files or from TFRecord files."""

    def __init__(
        self, options, task, tokenizer, length, truncation, reads_pairs, output_dir, write
    ):
        self.options = options
        self.task = task
        self.length = length
        self.truncation = truncation
        self.output_dir = output_dir
        self.feature_dir = pathlib.Path(options.feature_dir or output_dir / "features")
        self.tokenizer = tokenizer
        self.reads_pairs = reads_pairs
        self.write_tfrecord = options.write_tfrecord and write
        self.test_rows = {}

    def store(self, split, kind):
        """The `FeatureStore` of `split`, a split of `kind` train, dev or test."""
        suffix = split.removeprefix(kind)
        record = f"{_RECORD_NAMES[kind]}{suffix}.tf_record"
        if self.options.tfrecord_dir:
            path = pathlib.Path(self.options.tfrecord_dir) / record
            store = records.read(path, self.task, len(self.tokenizer.vocab), self.length)
            # For its refusal of pairs.
            self._cut(bool((store.first_lengths < store.lengths).any()))
            return store
        examples = self.task.read(self.options.data_dir, split)
        if kind == "train":
            examples = self._to_train_on(examples)
        if kind == "test":
            self.test_rows[split] = examples.numbers
        cut = self._cut(examples.text_b is not None)
        store = build_features(examples, self.tokenizer, self.length, self.feature_dir / split, cut)
        logging.info(
            "%s: %d examples of %s, %.1f tokens on average",
            split, len(store), examples.source, store.lengths.mean(),
        )  # fmt: skip
        if self.write_tfrecord:
            tfrecord.write_tfrecord(store, self.output_dir / record, self.length)
        return store

    def _to_train_on(self, examples):
        """As many of the training examples as are asked for, and their variants if they are."""
        options = self.options
        if options.data_aug:
            if options.dataset and not options.augmented_file:
                raise UserError(
                    "--data_aug with --dataset: name the file that augment_data.py has written with"
                    " --augmented_file"
                )
            path, limit = options.augmented_file, options.max_train_examples
            return augmented.extended(self.task, examples, path, limit)
        return examples[: options.max_train_examples]

    def _cut(self, pairs):
        """The truncation of single texts, or the only one that pairs have."""
        if not pairs:
            return self.truncation
        if not self.reads_pairs:
            raise UserError(
                f"task {self.task.name} has pairs of texts, and the model knows single texts only"
                " (type_vocab_size 1 in its configuration): give a model with two token types"
            )
        if "truncation" in self.options.given:
            raise UserError(
                f"--truncation has no effect on task {self.task.name}, whose examples are pairs:"
                " the longer text is cut at its end"
            )
        return "head"


def longest(options, source):
    """Returns the `max_seq_length` of a run, int.

    Raises:
      UserError: the `LoadedModel` records none that can be, or has fewer positions.
    """
    length = as_fine_tuned("max_seq_length", options, source.task or {})
    if not isinstance(length, int):
        raise UserError(
            f"{source.source}: task.json: max_seq_length must be a whole number, found {length!r}:"
            " correct it, or give --max_seq_length"
        )
    if length > source.config.max_position_embeddings:
        raise UserError(
            f"--max_seq_length={length}: the model's position table (max_position_embeddings in"
            f" its configuration) has {source.config.max_position_embeddings} rows"
        )
    return length


def as_fine_tuned(name, options, saved):
    """Returns the option `name`; without training as the model was fine-tuned, unless given.

    Args:
      name: of the option.
      options: of the run.
      saved: dict of task.json.
    """
    value = getattr(options, name)
    if name in options.given or options.do_train:
        return value
    return saved.get(name, value)


def task_of(options, source):
    """Returns the `Task` that the flags name, or the one that the model was fine-tuned on.

    Its labels are in the order of --labels, else of the model's head if that has the same ones.

    Raises:
      UserError: no such task, it lacks a flag or a file, or one of the flags does not belong to it.
    """
    saved = source.task or {}
    is_own = not (options.task_name or (options.dataset and options.do_train))
    if is_own and saved.get("head") is not None:
        raise UserError(
            f"{source.source}: was fine-tuned for {saved['head']}, not for sentences with one label"
            " each: give it to the program that made it (run_tagger.py, run_squad.py), or name a"
            " --task_name"
        )
    if options.dataset:
        return _dataset_task(options, saved, source)
    name = options.task_name or saved.get("task_name")
    if not name or not isinstance(name, str):
        raise UserError("--task_name is required: the model folder records no task")
    name = name.lower()
    if name == "custom":
        return _custom_task(options, saved, head.describe(source))
    for flag in names_that_need(options, CUSTOM):
        if flag in options.given:
            raise UserError(f"--{flag} has no effect without {CUSTOM.what}, the task is {name}")
    if not options.data_dir and not options.tfrecord_dir:
        raise UserError("--data_dir is required: the folder with the task's files")
    if options.task_name:
        return get_task(name, language=options.xnli_language)
    try:
        return task_from_json(saved)
    except UserError as e:
        raise UserError(f"{source.source}: {e}") from e


def _custom_task(options, saved, trained):
    """The user's own files; what flags leave out is as the model was fine-tuned.

    Args:
      options: `ClassifierOptions`.
      saved: dict of task.json.
      trained: the model's `head.Head`, or None.
    """
    if options.data_dir is not None:
        raise UserError(
            "--data_dir has no effect on the custom task, which reads --train_file, --dev_file"
            " and --test_file"
        )
    known = saved if saved.get("task_name") == "custom" else {}
    arguments = {
        name: getattr(options, name) or known.get(name) for name in ("text_column", "label_column")
    }
    # Given and empty: the files have no such column, though those before had.
    for name in ("text_pair_column", "id_column"):
        given = getattr(options, name)
        arguments[name] = known.get(name) if given is None else given
    arguments |= {name: getattr(options, name) for name in ("train_file", "dev_file", "test_file")}
    return _labelled(functools.partial(custom_task, **arguments), options, bool(known), trained)


def _labelled(make, options, is_own, trained):
    """The task with the labels that flags give, else the model's if they are the same.

    Args:
      make: function (labels=None, regression=False) -> `Task`.
      options: `InputOptions`.
      is_own: whether the model was fine-tuned on a custom task.
      trained: its `head.Head`, or None.
    """
    labels = options.labels.split(",") if options.labels else None
    if options.regression or labels is not None:
        return make(labels=labels, regression=options.regression)
    own = trained is not None and (is_own or not options.do_train)
    if own and trained.regression and "regression" not in options.given:
        return make(regression=True)
    trained_labels = trained and trained.labels
    if trained_labels and not options.do_train:
        return make(labels=trained_labels)
    task = make()
    if trained_labels and set(trained_labels) == set(task.labels):
        task = make(labels=trained_labels)  # the order of the trained head
    return task


def _dataset_task(options, saved, source):
    """The task of --dataset: with labels and metrics of a known task if one is named."""
    make = choosing.maker(options, saved)
    name = options.task_name or (None if options.do_train else saved.get("task_name")) or "custom"
    if isinstance(name, str) and name.lower() == "custom":
        is_own = saved.get("task_name") == "custom"
        return _labelled(make, options, is_own, head.describe(source))
    for flag in ("labels", "regression"):
        if flag in options.given:
            raise UserError(f"--{flag} has no effect on task {name}, which has its own")
    if options.task_name:
        known = get_task(name, language=options.xnli_language)
    else:
        known = task_from_json(saved)
    made = make(labels=known.labels, regression=known.labels is None)
    return dataclasses.replace(
        made, name=known.name, metrics=known.metrics, score_range=known.score_range
    )
