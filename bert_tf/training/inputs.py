"""Reads a run's files into feature stores: vocabulary, tokenizer, task, splits."""

import dataclasses
import pathlib

from absl import logging

from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data import tfrecord
from bert_tf.data.features import build_features
from bert_tf.data.tasks import custom_task, get_task, task_from_json
from bert_tf.errors import UserError
from bert_tf.training.options import CUSTOM_FLAGS

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
    """

    task: object
    train: object
    dev: dict
    test: dict
    max_seq_length: int
    truncation: str
    do_lower_case: bool
    pad_to: int | None


def build(options, source, output_dir):
    """Builds `Inputs` as `options` say for the model `source` (`LoadedModel`).

    Raises:
      UserError: anything wrong with vocabulary, task, files or lengths.
    """
    saved = source.task or {}
    tokenizer = tokenizer_of(source, options.do_lower_case)
    length = _as_fine_tuned("max_seq_length", options, saved)
    truncation = _as_fine_tuned("truncation", options, saved)
    if length > source.config.max_position_embeddings:
        raise UserError(
            f"--max_seq_length={length}: the model's position table (max_position_embeddings in"
            f" its configuration) has {source.config.max_position_embeddings} rows"
        )
    task = _task(options, saved)
    builder = _Builder(options, task, tokenizer, length, truncation, output_dir)
    train = builder.store("train", "train") if options.do_train else None
    if train is not None and train.labels is None:
        raise UserError("the training examples carry no labels")
    dev = {s: builder.store(s, "dev") for s in task.dev_splits} if options.do_eval else {}
    test = {s: builder.store(s, "test") for s in task.test_splits} if options.do_predict else {}
    return Inputs(
        builder.task, train, dev, test, length, truncation, tokenizer.do_lower_case,
        length if options.pad_to_max_length else None,
    )  # fmt: skip


class _Builder:
    """Turns splits into feature stores, from the task's files or from TFRecord files."""

    def __init__(self, options, task, tokenizer, length, truncation, output_dir):
        self.options = options
        self.task = task
        self.length = length
        self.truncation = truncation
        self.output_dir = output_dir
        self.feature_dir = pathlib.Path(options.feature_dir or output_dir / "features")
        self.tokenizer = tokenizer

    def store(self, split, kind):
        """The `FeatureStore` of `split`, a split of `kind` train, dev or test."""
        suffix = split.removeprefix(kind)
        record = f"{_RECORD_NAMES[kind]}{suffix}.tf_record"
        if self.options.tfrecord_dir:
            path = pathlib.Path(self.options.tfrecord_dir) / record
            store = self._records(path)
            # For its refusal of pairs.
            self._cut(bool((store.first_lengths < store.lengths).any()))
            return store
        examples = self.task.read(self.options.data_dir, split)
        if kind == "train" and self.options.max_train_examples:
            examples = examples[: self.options.max_train_examples]
        cut = self._cut(examples.text_b is not None)
        store = build_features(examples, self.tokenizer, self.length, self.feature_dir / split, cut)
        logging.info(
            "%s: %d examples of %s, %.1f tokens on average",
            split, len(store), examples.source, store.lengths.mean(),
        )  # fmt: skip
        if self.options.write_tfrecord:
            tfrecord.write_tfrecord(store, self.output_dir / record, self.length)
        return store

    def _cut(self, pairs):
        """The truncation of single texts, or the only one that pairs have."""
        if not pairs:
            return self.truncation
        if "truncation" in self.options.given:
            raise UserError(
                f"--truncation has no effect on task {self.task.name}, whose examples are pairs:"
                " the longer text is cut at its end"
            )
        return "head"

    def _records(self, path):
        labels = self.task.labels
        store = tfrecord.read_tfrecord(
            path, regression=labels is None, num_labels=len(labels or ()) or None
        )
        for what, found, limit in (
            ("token id", int(store.ids.max()), len(self.tokenizer.vocab) - 1),
            ("example length", int(store.lengths.max()), self.length),
        ):
            if found > limit:
                raise UserError(
                    f"{path}: found {what} {found}, expected {limit} at most: the file was made"
                    " with another vocabulary or --max_seq_length"
                )
        return store


def _as_fine_tuned(name, options, saved):
    """The option `name`; without training it is as the model was fine-tuned, unless given."""
    value = getattr(options, name)
    if name in options.given or options.do_train:
        return value
    return saved.get(name, value)


def _task(options, saved):
    """The task that the flags name, or the one that the model was fine-tuned on."""
    name = (options.task_name or saved.get("task_name") or "").lower()
    if not name:
        raise UserError("--task_name is required: the model folder records no task")
    if name == "custom":
        return _custom_task(options, saved)
    stray = sorted(CUSTOM_FLAGS & options.given)
    if stray:
        raise UserError(f"--{stray[0]} needs --task_name=custom, the task is {name}")
    if not options.data_dir and not options.tfrecord_dir:
        raise UserError("--data_dir is required: the folder with the task's files")
    if not options.task_name:
        return task_from_json(saved)
    return get_task(name, language=options.xnli_language)


def _custom_task(options, saved):
    """The user's own files; what flags leave out is as the model was fine-tuned."""
    if options.data_dir is not None:
        raise UserError(
            "--data_dir has no effect on the custom task, which reads --train_file, --dev_file"
            " and --test_file"
        )
    known = saved if saved.get("task_name") == "custom" else {}
    arguments = {
        name: getattr(options, name) or known.get(name)
        for name in ("text_column", "text_pair_column", "label_column")
    }
    arguments |= {name: getattr(options, name) for name in ("train_file", "dev_file", "test_file")}
    labels = options.labels.split(",") if options.labels else None
    saved_labels = known.get("labels")
    regression = options.regression or ("labels" in known and saved_labels is None)
    if labels is None and saved_labels and not options.do_train:
        labels = saved_labels
    task = custom_task(**arguments, labels=labels, regression=regression)
    if labels is None and saved_labels and set(saved_labels) == set(task.labels or ()):
        task = custom_task(**arguments, labels=saved_labels)  # the order of the trained head
    return task
