"""From flags to the task of a data set: which splits, which columns, which dev rows."""

import dataclasses
import functools

import numpy as np
from absl import logging

from bert_tf.data.features import fingerprint
from bert_tf.data.sources.base import CLASSES, Source
from bert_tf.data.sources.dataset_task import Rows, dataset_task
from bert_tf.data.sources.guesses import guess
from bert_tf.data.sources.opening import open_source
from bert_tf.data.sources.spec import parse_split
from bert_tf.data.sources.splitting import Draw, draw, find
from bert_tf.errors import UserError
from bert_tf.options import SEED, between

_FILES = ("train_file", "dev_file", "test_file", "tfrecord_dir")
_COLUMNS = {
    "text": "text_column", "pair": "text_pair_column", "label": "label_column", "ids": "id_column",
}  # fmt: skip


def maker(options, saved):
    """Returns a function (labels=None, regression=False) -> `DatasetTask` of --dataset.

    Args:
      options: `InputOptions` with `dataset`.
      saved: dict of the model's task.json.

    Raises:
      UserError: there is no such data set, split or column, or flags contradict each other.
    """
    for flag in _FILES:
        if getattr(options, flag, None) is not None:
            raise UserError(f"--{flag} has no effect with --dataset, which has rows of its own")
    source = open_source(options.dataset, options.data_dir)
    found = guess_of(source, options, saved)
    logging.info("%s: %s", source.name, found.text())
    roles = found.roles
    parts = {
        name: part
        for kind in ("train", "dev", "test")
        for name, part in find(source, kind, getattr(options, f"{kind}_split", None)).items()
    }
    if "ids" in found.guessed and not _has_ids(source, parts, roles.ids):
        roles = dataclasses.replace(roles, ids=None)  # rows are numbered
    column = _column(source, parts, roles.label)
    drawn = _drawn(options, saved, source, roles, parts["train"].text if "train" in parts else None)
    rows = Rows(source, parts, column, drawn)
    if drawn:
        rows = _with_drawn(rows, roles, options.do_train)
    logging.info("%s: %s", source.name, splits_text(rows.parts, drawn))
    if options.do_train:
        _warn_of_overlap(rows)
    return functools.partial(dataset_task, rows, roles)


def guess_of(source, options, saved):
    """Returns the `Guess` of what the columns of the training split are.

    Args:
      source: `Source`.
      options: `TaskOptions`.
      saved: dict of the model's task.json.
    """
    sizes = source.splits()
    wanted = [part.split for part in find(source, "train", options.train_split).values()]
    split = wanted[0] if wanted else next(iter(sizes))
    given = {
        role: value
        for role, flag in _COLUMNS.items()
        if (value := getattr(options, flag, None)) is not None
    }
    known = {
        role: column
        for role, flag in _COLUMNS.items()
        if (column := saved.get(flag)) and isinstance(column, str)
    }
    found = guess(source.name, source.columns(split), given, known)
    if "text" in known and "pair" not in given and not options.do_train:
        _check_pair(source.name, found.roles, known)
    return found


def _check_pair(name, roles, known):
    """Refuses single texts for a model of pairs, and pairs for one of single texts."""
    if ("pair" in known) == (roles.pair is not None):
        return
    if roles.pair is None:
        raise UserError(
            f"{name}: the model was fine-tuned on pairs of texts ({known['text']},"
            f" {known['pair']}), and no column looks like the second one: name it with"
            " --text_pair_column (empty if there is none)"
        )
    raise UserError(
        f"{name}: the model was fine-tuned on single texts ({known['text']}), and"
        f" {roles.text} and {roles.pair} look like a pair: name the one to read with --text_column,"
        " or both"
    )


def _warn_of_overlap(rows):
    """Says where rows that are trained on are also evaluated or predicted."""
    sizes, train = rows.source.splits(), rows.parts.get("train")
    for name, part in rows.parts.items():
        if train is None or name == "train" or part.split != train.split:
            continue
        both = np.intersect1d(train.numbers(sizes), part.numbers(sizes))
        if len(both):
            logging.warning(
                "%s: %d rows of %s are training rows, too: what is measured on them says nothing"
                " of others", rows.source.name, len(both), name,
            )  # fmt: skip


def splits_text(parts, drawn=None):
    """Returns what is trained, evaluated and predicted on, for the log."""
    listed = ", ".join(
        f"{name} is {part.text}{'' if part.rows is None else f' ({len(part.rows):,} rows)'}"
        for name, part in parts.items()
    )
    return listed + (f"; dev was drawn with --split_seed={drawn.seed}" if drawn else "")


def _has_ids(source, parts, column):
    """Whether all splits to predict have the column of ids."""
    tests = [part.split for name, part in parts.items() if name.startswith("test")]
    return all(column in [found.name for found in source.columns(split)] for split in tests)


def _column(source: Source, parts, label):
    """The `Column` of the label; its classes have the same names in all splits."""
    found = None
    for name, part in parts.items():
        if name.startswith("test"):
            continue
        columns = {column.name: column for column in source.columns(part.split)}
        column = columns.get(label)
        if column is None:
            continue
        if (
            found
            and (found.kind == CLASSES or column.kind == CLASSES)
            and (found.labels != column.labels)
        ):
            raise UserError(
                f"{source.name}: column {label!r} has other classes in {part.split}"
                f" ({', '.join(column.labels or ['none'])}) than in the split before it"
                f" ({', '.join(found.labels or ['none'])}): name the splits that belong together"
            )
        found = found or column
    return found


def _drawn(options, saved, source, roles, train):
    """The `Draw` of the dev set: that of the flags, or that which the model was trained with.

    Args:
      options: `InputOptions`.
      saved: dict of task.json.
      source: `Source`.
      roles: `Roles` of its columns.
      train: name of the training split with its slice, None where there is none.
    """
    earlier = _earlier(saved, source, roles)
    if options.dev_fraction is not None:
        if getattr(options, "dev_split", None):
            raise UserError("--dev_split and --dev_fraction both say what dev is: give one of them")
        found = Draw(options.dev_fraction, options.split_seed, train or "train")
        if earlier and found != earlier:
            fault = (
                f"--dev_fraction={found.fraction} --split_seed={found.seed} of {found.split}: the"
                f" model was trained with --dev_fraction={earlier.fraction}"
                f" --split_seed={earlier.seed} of {earlier.split}, so that the dev rows would have"
                " training rows among them: leave the flags out"
            )
            if not options.do_train:
                raise UserError(fault)
            logging.warning(fault)
        return earlier if found == earlier else found
    if getattr(options, "dev_split", None) or options.train_split:
        return None
    return earlier


def _earlier(saved, source, roles):
    """The `Draw` that the model was trained with, None if it was of other data or there was none.

    The data are the same by their name, or, where they have been moved, by their content.
    """
    before = saved.get("dataset") if isinstance(saved.get("dataset"), dict) else {}
    if before.get("dev_fraction") is None:
        return None
    earlier = _draw_of(before)
    if before.get("name") == source.name:
        return earlier
    if not earlier.digest or parse_split(earlier.split, "train_split").split not in source.splits():
        return None
    whole = find(source, "train", earlier.split)["train"]
    return earlier if _content(source, whole, roles)[0] == earlier.digest else None


def _content(source, whole, roles):
    """(digest of the content of a `Part`, its `Table`), with the ids if there are any."""
    names = [column.name for column in source.columns(whole.split)]
    table = source.read(
        whole.split,
        dataclasses.replace(roles, ids=roles.ids if roles.ids in names else None),
        whole.rows,
    )
    columns = [name for name in (roles.text, roles.pair, roles.label) if name is not None]
    return fingerprint(*map(table.column, columns)), table


def _draw_of(before):
    """The `Draw` that task.json records."""
    fraction, seed = before.get("dev_fraction"), before.get("split_seed")
    split = before.get("train_split")
    try:
        between(0, 1, "()")(fraction, "dev_fraction")
        SEED(seed, "split_seed")
        parse_split(split, "train_split")
    except (UserError, TypeError, AttributeError) as e:
        raise UserError(
            f"task.json: dataset: dev_fraction {fraction!r}, split_seed {seed!r} and train_split"
            f" {split!r} are no draw of a dev set: correct it, or give --dev_fraction"
        ) from e
    digest = before.get("rows")
    return Draw(fraction, seed, split, digest if isinstance(digest, str) else "")


def _with_drawn(rows, roles, do_train):
    """The `Rows` whose dev set is drawn from the training rows."""
    source, drawn = rows.source, rows.drawn
    whole = find(source, "train", drawn.split).get("train") or rows.part("train")
    others = [part.text for name, part in rows.parts.items() if name.startswith("dev")]
    if others:
        logging.info("%s: %s is not used: --dev_fraction", source.name, ", ".join(others))
    if roles.label is None:
        raise UserError(f"{source.name}: no column looks like a label: name --label_column")
    digest, table = _content(source, whole, roles)
    if drawn.digest and digest != drawn.digest:
        fault = (
            f"{source.name} {whole.text}: its rows are not those of which the model's dev set was"
            " drawn, so that a draw would have rows in dev that it was trained on"
        )
        if not do_train:
            raise UserError(f"{fault}: give the data as they were, or name rows with --dev_split")
        logging.warning(fault)
    if roles.ids in table.header:
        whole = dataclasses.replace(whole, ids=table.column(roles.ids))
    train, dev = draw(table.column(roles.label), drawn)
    parts = {
        "train": whole.taken(train, f"{whole.text} without dev"),
        "dev": whole.taken(dev, f"{drawn.fraction:g} of {whole.text}"),
        **{name: part for name, part in rows.parts.items() if name.startswith("test")},
    }
    drawn = dataclasses.replace(drawn, digest=digest)
    return dataclasses.replace(rows, parts=parts, drawn=drawn)
