"""Reads a run's CoNLL files: which they are, the task that they show, and their windows."""

import dataclasses
import pathlib
from typing import Any, ClassVar

import numpy as np
from absl import logging

from bert_tf.checkpoints import head
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data import inputs
from bert_tf.data.table import counted
from bert_tf.errors import UserError, shown
from bert_tf.tagging import conll, entities, features, metrics

NAME = "tagging"
_SUFFIXES = (".txt", ".conll", ".tsv", ".iob", ".iob2", ".bio")
_STEMS = {"train": ("train",), "dev": ("dev", "valid", "validation", "testa"), "test": ("test",)}
_CONLL_2003 = {"train": "eng.train", "dev": "eng.testa", "test": "eng.testb"}


@dataclasses.dataclass(frozen=True)
class TaggingTask:
    """Labels of words.

    Attributes:
      labels: tuple of str, in the order of the model's outputs.
      scheme: one of `entities.SCHEMES`.
      token_column, label_column: see `conll.read`.
      train: the `ConllFile` that was read to find this out, or None.
    """

    labels: tuple
    scheme: str
    token_column: int
    label_column: int
    train: Any = None

    name: ClassVar[str] = NAME
    unit: ClassVar[str] = head.WORDS

    @property
    def metrics(self):
        """Names of the metrics of all types together; the first decides what is best."""
        return metrics.names(self.scheme)

    def to_json(self):
        """Returns what task.json says of the task."""
        return {
            "task_name": NAME,
            "head": head.KINDS[head.WORDS],
            "labels": [*self.labels],
            "scheme": self.scheme,
            "token_column": self.token_column,
            "label_column": self.label_column,
        }

    def positions(self, file):
        """Returns int32 [words], the positions of a `ConllFile`'s labels in the task's.

        Raises:
          UserError: one is none of them; the message names the line.
        """
        places = {label: i for i, label in enumerate(self.labels)}
        for label in dict.fromkeys(file.labels):
            if label not in places:
                raise UserError(
                    f"{file.where(file.labels.index(label))}: unknown label {shown(label)},"
                    f" expected one of {head.listed(self.labels)}; name all of them in --labels,"
                    " or correct the file"
                )
        return np.array([places[label] for label in file.labels], np.int32)


@dataclasses.dataclass
class TaggingInputs:
    """The windows of one run.

    Attributes:
      task: `TaggingTask`.
      train: `TaggedStore`, None without do_train.
      dev, test: {split: `TaggedStore`}, empty when not asked for.
      max_seq_length, doc_stride: how long sentences are cut.
      do_lower_case: how the text was tokenised.
      pad_to: length to pad every batch to, or None.
      test_file: `ConllFile` that is predicted, or None.
    """

    task: TaggingTask
    train: Any
    dev: dict
    test: dict
    max_seq_length: int
    doc_stride: int | None
    do_lower_case: bool
    pad_to: int | None
    test_file: Any


def task_of(options, source):
    """Returns the `TaggingTask` of a run: by the flags, the training file, and the model.

    Args:
      options: `TaggerOptions`.
      source: `LoadedModel`.

    Raises:
      UserError: the training file is malformed, or nothing names the labels.
    """
    trained = head.describe(source)
    own = trained is not None and trained.unit == head.WORDS and not trained.fault
    saved = source.task or {} if own else {}
    columns = {
        name: _as_fine_tuned(options, name, saved, source)
        for name in ("token_column", "label_column")
    }
    train = None
    if options.do_train:
        train = conll.read(file_of(options, "train"), **columns)
    named = _named(options)
    known = trained.labels if own and trained else None
    scheme = _scheme(options, saved, train, named or known)
    labels = named or _labels(train, known, scheme, source)
    return TaggingTask(labels, scheme, **columns, train=train)


def _as_fine_tuned(options, name, saved, source):
    """The option; if it is not given, as the model was fine-tuned, if it was."""
    value = getattr(options, name)
    if name not in options.given:
        value = saved.get(name, value)
    return _whole_number(value, name, source)


def _whole_number(value, name, source):
    """The value, of the flags or of task.json; raises `UserError` if it is another thing."""
    if type(value) is not int:
        raise UserError(
            f"{source.source}: task.json: {name} must be a whole number, found"
            f" {shown(str(value))}: correct it, or give --{name}"
        )
    return value


def _named(options):
    """The labels (tuple of str) of the flag, None without it."""
    if options.labels is None:
        return None
    labels = tuple(label.strip() for label in options.labels.split(","))
    if not all(labels) or len(set(labels)) != len(labels) or len(labels) < 2:
        raise UserError(f"--labels={options.labels}: expected different names, two or more")
    return labels


def _scheme(options, saved, train, labels):
    """One of `entities.SCHEMES`; checks the training file's labels by it.

    Args:
      options: `TaggerOptions`.
      saved: dict of task.json, {} if it is not a tagger's.
      train: `ConllFile`, or None.
      labels: the names that are known without it, or None.
    """
    scheme, given = options.scheme, options.scheme != "auto"
    if not given and train is not None:
        scheme = entities.recognise(train.labels, train.offsets)
        read_as = "those of single words, without entities" if scheme == "none" else scheme
        logging.info("%s: labels are read as %s", train.path, read_as)
    elif not given:
        scheme = saved.get("scheme")
        if scheme not in entities.SCHEMES:  # another program's model; each label by itself
            scheme = entities.recognise(labels or [], np.arange(len(labels or []) + 1))
            scheme = "iob2" if scheme == "iob1" else scheme
    if train is not None:
        entities.check(train, scheme, given)
    return scheme


def _labels(train, known, scheme, source):
    """The task's labels: those of the trained head if they will do, else the training file's."""
    if train is None:
        if known:
            return known
        raise UserError(
            f"{source.source}: nothing names the labels of its words: name them in --labels, in"
            " the order of its outputs, or give a model that run_tagger.py has trained"
        )
    found = entities.discover(train, scheme)
    return known if known and set(train.labels) <= set(known) <= set(found) else found


def file_of(options, split):
    """Returns the path (str) of a split's file: the flag's, else the one in data_dir.

    Raises:
      UserError: data_dir is no folder, or has none or several that could be it.
    """
    given = getattr(options, f"{split}_file")
    if given:
        return given
    folder = pathlib.Path(options.data_dir)
    if not folder.is_dir():
        raise UserError(f"--data_dir={folder}: no such folder")
    stems = _STEMS[split]
    names = [*(f"{stem}{suffix}" for stem in stems for suffix in _SUFFIXES), _CONLL_2003[split]]
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise UserError(
            f"--data_dir={folder}: {found[0].name} and {found[1].name} could both be the {split}"
            f" file: name one in --{split}_file"
        )
    raise UserError(
        f"--data_dir={folder}: holds no {split} file, looked for {', '.join(names)}: name it in"
        f" --{split}_file"
    )


def read(options, source, task, output_dir, write=True):  # noqa: ARG001 - as every `Job.read`
    """Returns the `TaggingInputs` as `TaggerOptions` say for a model and its `task_of`.

    Raises:
      UserError: anything wrong with vocabulary, files or lengths.
    """
    tokenizer = tokenizer_of(source, options.do_lower_case)
    length = inputs.longest(options, source)
    given = inputs.as_fine_tuned("doc_stride", options, source.task or {})
    stride = max(1, (length - 2) // 2)
    if given is not None:
        stride = _whole_number(given, "doc_stride", source)
    if not 0 < stride <= length - 2:
        raise UserError(
            f"--doc_stride={stride}: expected 1 to {length - 2}, as a window of"
            f" --max_seq_length={length} holds so many pieces: words would be left out"
        )

    def build(split, file):
        store = features.build(file, task, tokenizer, length, stride)
        logging.info(
            "%s: %s, %s in %d windows of %s, %.1f tokens on average", split,
            counted(len(file), "sentence", "sentences"), counted(len(file.words), "word", "words"),
            len(store), file.path, store.lengths.mean(),
        )  # fmt: skip
        return store

    columns = (task.token_column, task.label_column)
    train = None
    if options.do_train:
        train = build("train", task.train.first(options.max_train_examples))
    dev, test, test_file = {}, {}, None
    if options.do_eval:
        file = conll.read(file_of(options, "dev"), *columns)
        entities.check(file, task.scheme, options.scheme != "auto")
        dev = {"dev": build("dev", file)}
    if options.do_predict:
        test_file = conll.read(file_of(options, "test"), task.token_column)
        test = {"test": build("test", test_file)}
    return TaggingInputs(
        dataclasses.replace(task, train=None), train, dev, test, length, given,
        tokenizer.do_lower_case, length if options.pad_to_max_length else None, test_file,
    )  # fmt: skip
