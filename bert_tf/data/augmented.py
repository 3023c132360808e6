"""The variants of training rows that augment_data.py writes: which file, what it is of, its rows.

Beside a file of variants stands a description, `<file>.json`. It says of which training rows the
variants are, which model's logits stand in the column of the labels, and in which order.
"""

import hashlib
import itertools
import pathlib

import numpy as np
from absl import logging

from bert_tf import files
from bert_tf.data.examples import Examples, make_examples
from bert_tf.data.features import fingerprint
from bert_tf.data.readers import read_table, read_tsv
from bert_tf.data.table import counted
from bert_tf.errors import UserError, shown

FORMAT = 1

_AGAIN = "run augment_data.py again"
_KEYS = {"task": dict, "training_rows": str, "rows": str, "file": str, "teacher": dict | None}
_BLOCK = 1 << 20
_FOLDERS = {"cola": "CoLA", "mnli-mm": "MNLI"}  # as GLUE spells them, where not in capitals


def default_path(task, train_file, logits):
    """Returns where the variants of a task's training rows are if no flag says.

    Args:
      task: `Task`.
      train_file: the file with the training rows; the variants are beside it.
      logits: whether they have a teacher's logits in the place of labels.
    """
    path = pathlib.Path(train_file)
    ending = "aug_with_logits" if logits else "aug"
    if task.name == "custom":
        return path.with_name(f"{path.stem}_{ending}{path.suffix}")
    return path.with_name(f"train_{_family(task.name)}_{ending}.tsv")


def description_path(path):
    """Returns where the description of the variants in `path` is."""
    return pathlib.Path(f"{path}.json")


def read_description(path):
    """Returns the description (dict) of the variants in `path`, None if there is none.

    Raises:
      UserError: it is damaged, or is something else.
    """
    place = description_path(path)
    if not place.exists():
        return None
    about = files.read_json(place, "description of augmented rows")
    if about.get("format") != FORMAT or not all(
        isinstance(about.get(key), kind) for key, kind in _KEYS.items()
    ):
        raise UserError(
            f"{place}: expected the description of augmented rows that augment_data.py writes, of"
            f" format {FORMAT}: {_AGAIN}, or move the file away"
        )
    return about


def digest_of_rows(examples, task):
    """Returns a hex digest of training `Examples`: their texts, and labels by name."""
    labels = examples.labels
    if task.labels is not None:
        labels = [task.labels[i] for i in labels]
    return fingerprint(examples.text_a, examples.text_b, labels)


def digest_of_file(path):
    """Returns a hex digest of the bytes of a file."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as f:
        while block := f.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def extended(task, examples, path=None, limit=None):
    """Returns training `Examples` with the variants of these rows behind them.

    A text that is there already (the rows themselves stand among their variants) is left out.

    Args:
      task: `Task` of the run.
      examples: `Examples`, all its training rows.
      path: the file with the variants; None takes the one that augment_data.py writes by default,
        that with logits if there are both.
      limit: take the first so many rows, and their variants; None takes all.

    Raises:
      UserError: there is no such file, it is of another task or of other rows, or one of its labels
        or logits is none; the message names file and row.
    """
    path = _find(task, examples.source) if path is None else pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"--augmented_file={path}: no such file: run augment_data.py on the task")
    about = read_description(path)
    if about is not None:
        _check_origin(about, path, task, examples)
    elif limit is not None:
        raise UserError(
            f"{path}: {description_path(path).name} is missing, which says of which rows the"
            f" variants are: {_AGAIN}, or leave out --max_train_examples"
        )
    added = _read(task, path, about)
    originals = examples[:limit]
    keep = _new(added, originals, _variants(about, len(added), limit, path))
    logging.info(
        "%s, and %s of the %d rows in %s",
        counted(len(originals), "training row", "training rows"),
        counted(len(keep), "variant", "variants"), len(added), path,
    )  # fmt: skip
    return _joined(originals, added, keep)


def _family(name):
    """The task's name in the name of a file: MNLI's two share their training rows."""
    return _FOLDERS.get(name, name.upper())


def _find(task, train_file):
    places = [default_path(task, train_file, logits) for logits in (True, False)]
    for place in places:
        if place.is_file():
            return place
    raise UserError(
        f"--data_aug: no {places[0]} and no {places[1].name} beside it: run augment_data.py on the"
        " task, or name its output with --augmented_file"
    )


def _check_origin(about, path, task, examples):
    """Raises `UserError` unless the file is what was written, of these rows of this task."""
    own = about["task"].get("task_name")
    if not isinstance(own, str) or _family(own) != _family(task.name):
        raise UserError(
            f"{path}: holds rows of task {own}, by its description; expected task {task.name}: name"
            " another --augmented_file, or run augment_data.py on the task"
        )
    labels = about["task"].get("labels")
    if sorted(labels or []) != sorted(task.labels or []):
        raise UserError(
            f"{path}: is of labels {labels}, by its description; expected"
            f" {task.labels and list(task.labels)}: {_AGAIN}"
        )
    if about["training_rows"] != digest_of_rows(examples, task):
        raise UserError(
            f"{path}: was made of other training rows than those in {examples.source}, which have"
            f" changed since: {_AGAIN}"
        )
    if about["file"] != digest_of_file(path):
        raise UserError(
            f"{path}: is not the file that {description_path(path).name} describes: it was changed,"
            f" or the program that wrote it was killed: {_AGAIN}"
        )


def _read(task, path, about):
    """All rows of the file as `Examples`."""
    spec = task.layout("train")
    columns = [column for column in (spec.text_a, spec.text_b, spec.label) if column is not None]
    literal = about is not None  # else somebody else's, who may have quoted the cells
    if task.name == "custom":
        table = read_table(path, header=spec.header, keys=columns, literal=literal)
    else:
        table = read_tsv(path, header=spec.header, literal=literal)

    def parse(table, texts, column):
        if not _are_logits(about, texts[0], task):
            return task.parse_labels(table, texts, column)
        names = _names(about, task, path)
        return _answers(_logits(table, texts, names), task, names)

    return make_examples(
        table, text_a=spec.text_a, text_b=spec.text_b, label=spec.label, parse_labels=parse
    )


def _are_logits(about, first, task):
    """Whether logits stand in the place of labels, by the description or else the first row's."""
    if about is not None:
        return about["teacher"] is not None
    if task.labels is None:
        return True  # a number is a number
    return first not in task.labels and len(first.split()) > 1 and _numbers(first) is not None


def _names(about, task, path):
    """The label that each of a row's numbers is for; [None] of a regression."""
    if task.labels is None:
        return [None]
    if about is not None:
        return about["task"]["labels"]
    logging.warning(
        "%s: nothing says in which order its logits are: taken as %s; if it is another one, the"
        " labels are wrong", path, ", ".join(task.labels),
    )  # fmt: skip
    return list(task.labels)


def _logits(table, texts, names):
    """float64 [n, labels]: the numbers in the cells `texts`."""
    values = np.empty([len(texts), len(names)])
    for row, text in enumerate(texts):
        numbers = _numbers(text)
        if numbers is None or len(numbers) != len(names) or not np.isfinite(numbers).all():
            which = "" if names == [None] else f", the logits of {', '.join(names[:20])}"
            expected = "a finite number" if len(names) == 1 else f"{len(names)} finite numbers"
            raise UserError(
                f"{table.where(row)}: found {shown(text)}, expected {expected}{which}: {_AGAIN}"
                " with the task's own teacher"
            )
        values[row] = numbers
    return values


def _numbers(text):
    """The numbers (list of float) in a cell, None if something else is there."""
    try:
        return [float(part) for part in text.split()]
    except ValueError:
        return None


def _answers(logits, task, names):
    """The labels (int32 positions in the task's, float32 scores) that the logits speak for."""
    if task.labels is None:
        return logits[:, 0].astype(np.float32)
    order = [names.index(label) for label in task.labels]
    return logits[:, order].argmax(-1).astype(np.int32)


def _variants(about, count, limit, path):
    """Positions of the rows to take: of the first `limit` training rows, but not these."""
    if about is None:
        return range(count)
    counts = list(map(int, about["rows"].split()))
    if sum(counts) != count:
        raise UserError(
            f"{path}: has {count} rows, and {description_path(path).name} counts {sum(counts)}:"
            f" {_AGAIN}"
        )
    groups = itertools.pairwise(np.cumsum([0, *counts[:limit]]))
    return [i for start, end in groups for i in range(start + 1, end)]


def _new(added, originals, candidates):
    """Those of the rows `candidates` whose texts stand neither in `originals` nor before."""

    def texts(examples, i):
        return examples.text_a[i], examples.text_b and examples.text_b[i]

    seen = {texts(originals, i) for i in range(len(originals))}
    keep = []
    for i in candidates:
        found = texts(added, i)
        if found not in seen:
            seen.add(found)
            keep.append(i)
    return keep


def _joined(originals, added, keep):
    """`Examples` of all `originals`, then of the rows `keep` of `added`."""

    def column(name):
        first, more = getattr(originals, name), getattr(added, name)
        return first and [*first, *(more[i] for i in keep)]

    return Examples(
        ids=[*originals.ids, *(f"augmented {added.lines[i]}" for i in keep)],
        text_a=column("text_a"),
        text_b=column("text_b"),
        labels=np.concatenate([originals.labels, added.labels[keep]]),
        source=f"{originals.source} and {added.source}",
    )
