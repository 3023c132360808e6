"""Labels of words and the entities that they mark: IOB1, IOB2, IOBES and BILOU."""

import dataclasses
import re

import numpy as np
from absl import logging

from bert_tf.data.table import counted
from bert_tf.errors import UserError, shown

SCHEMES = ("iob1", "iob2", "iobes", "bilou", "none")
OUTSIDE = "O"

_PREFIXES = {"iob1": "BI", "iob2": "BI", "iobes": "BIES", "bilou": "BILU"}
_LABEL = re.compile(r"([BIESLU])-(.+)", re.DOTALL)
_SINGLE, _LAST = "SU", "EL"
_MANY = 20


@dataclasses.dataclass(frozen=True)
class Alphabet:
    """The labels of a task, taken apart.

    Attributes:
      prefixes: [labels] of the letters before the types, "O" for no entity.
      kinds: int [labels], positions in `types`, -1 for no entity.
      types: list of str, the types of entities, sorted.
    """

    prefixes: np.ndarray
    kinds: np.ndarray
    types: list

    @classmethod
    def of(cls, labels):
        """Returns the `Alphabet` of labels that mark entities."""
        parts = [split(label) for label in labels]
        types = sorted({kind for _, kind in parts if kind is not None})
        kinds = [-1 if kind is None else types.index(kind) for _, kind in parts]
        return cls(np.array([prefix for prefix, _ in parts]), np.array(kinds, np.int64), types)


def split(label):
    """Returns (prefix, type) of a label, ("O", None) for one of no entity or of another form."""
    found = _LABEL.fullmatch(label)
    return (found[1], found[2]) if found else (OUTSIDE, None)


def spans(labels, alphabet, offsets):
    """Returns the entities that labels mark, as seqeval and conlleval read them.

    An entity begins at B, S and U, at any label behind O, a sentence's beginning, E, L, S or U, and
    where the type changes; it goes on to the next beginning or O.

    Args:
      labels: int [words].
      alphabet: `Alphabet`.
      offsets: int [sentences + 1], see `ConllFile`.

    Returns:
      (starts, ends, kinds): int [entities], the first word, the word after the last, the type.
    """
    if not len(labels):
        return (np.zeros(0, np.int64),) * 3
    prefixes, kinds = alphabet.prefixes[labels], alphabet.kinds[labels]
    inside, begins = kinds >= 0, _begins(prefixes, kinds, offsets)
    starts = np.flatnonzero(begins)
    stops = np.append(np.flatnonzero(begins | ~inside | _first_words(len(labels), offsets)),
                      len(labels))  # fmt: skip
    ends = stops[np.searchsorted(stops, starts, side="right")]
    return starts, ends, kinds[starts]


def _first_words(count, offsets):
    first = np.zeros(count, bool)
    first[np.asarray(offsets)[:-1]] = True
    return first


def _begins(prefixes, kinds, offsets):
    """bool [words]: where an entity begins."""
    inside = kinds >= 0
    before, kind_before = np.roll(prefixes, 1), np.roll(kinds, 1)
    fresh = _first_words(len(kinds), offsets) | (kind_before < 0) | (kind_before != kinds)
    fresh |= np.isin(before, [*_LAST, *_SINGLE]) | np.isin(prefixes, ["B", *_SINGLE])
    return inside & fresh


def violations(labels, alphabet, offsets, scheme):
    """Returns int [n], the words whose labels do not follow a scheme.

    Args:
      labels, alphabet, offsets: see `spans`.
      scheme: one of `SCHEMES`.
    """
    if scheme == "none" or not len(labels):
        return np.zeros(0, np.int64)
    prefixes, kinds = alphabet.prefixes[labels], alphabet.kinds[labels]
    inside, first = kinds >= 0, _first_words(len(labels), offsets)
    follows = ~first & (np.roll(kinds, 1) == kinds) & inside  # on one of the same type
    if scheme == "iob1":
        wrong = (prefixes == "B") & ~follows
    elif scheme == "iob2":
        wrong = (prefixes == "I") & ~follows
    else:
        opened = follows & np.isin(np.roll(prefixes, 1), ["B", "I"])
        later = np.isin(prefixes, ["I", *_LAST])
        goes_on = np.append((opened & later)[1:], False)
        wrong = (later & ~opened) | (np.isin(prefixes, ["B", "I"]) & ~goes_on)
    return np.flatnonzero(wrong & inside)


def recognise(texts, offsets):
    """Returns the scheme (one of `SCHEMES`) that labels are written in.

    Args:
      texts: list of str, the labels of all words.
      offsets: see `spans`.
    """
    known = sorted(set(texts))
    parts = [split(label) for label in known if label != OUTSIDE]
    used = {prefix for prefix, _ in parts}
    if not parts or any(kind is None for _, kind in parts):
        return "none"
    if used - set("BI"):
        fitting = [s for s in ("iobes", "bilou") if used <= set(_PREFIXES[s])]
        return fitting[0] if fitting else "none"
    alphabet, places = Alphabet.of(known), {label: i for i, label in enumerate(known)}
    labels = np.array([places[text] for text in texts])
    wrong = {s: len(violations(labels, alphabet, offsets, s)) for s in ("iob2", "iob1")}
    return min(wrong, key=wrong.__getitem__)


def check(file, scheme, given):
    """Refuses labels that are no labels of a scheme, and those that break it or warns of them.

    Args:
      file: `ConllFile` with its labels.
      scheme: one of `SCHEMES`.
      given: whether the user has named the scheme: what breaks it is then refused.

    Raises:
      UserError: naming the line.
    """
    if scheme == "none":
        return
    known = sorted(set(file.labels))
    begins = " or ".join(f"{letter}-" for letter in _PREFIXES[scheme])
    for label in known:
        prefix, kind = split(label)
        if label != OUTSIDE and (kind is None or prefix not in _PREFIXES[scheme]):
            raise UserError(
                f"{file.where(file.labels.index(label))}: label {shown(label)}, expected"
                f" {OUTSIDE} or one that begins with {begins} (--scheme={scheme}): correct it, or"
                " give --scheme=none for labels of no entities"
            )
    places = {label: i for i, label in enumerate(known)}
    labels = np.array([places[text] for text in file.labels])
    wrong = violations(labels, Alphabet.of(known), file.offsets, scheme)
    if not len(wrong):
        return
    which = counted(len(wrong), "label does", "labels do")
    sentence = (
        f"{file.where(wrong[0])}: label {shown(file.labels[wrong[0]])} does not follow {scheme};"
        f" {which} not, of {len(labels)}"
    )
    if given:
        raise UserError(f"{sentence}: correct them, or leave --scheme out")
    logging.warning("%s: entities are read as conlleval reads them", sentence)


def discover(file, scheme):
    """Returns the labels (tuple of str) of a training file: O first, then by type.

    What a scheme has for a type that occurs is there, too: the dev file may have it.

    Args:
      file: `ConllFile` with its labels.
      scheme: one of `SCHEMES`.

    Raises:
      UserError: all words have one label, or there are as many labels as there are in words.
    """
    found = set(file.labels)
    if len(found) == 1:
        raise UserError(
            f"{file.path}: every word has the label {shown(file.labels[0])}, expected different"
            " ones: is --label_column the right one?"
        )
    if len(found) > max(_MANY, len(file.labels) // 2):
        raise UserError(
            f"{file.path}: {len(found)} different labels on {len(file.labels)} words, expected"
            " classes: give the right --label_column, or --labels"
        )
    if scheme == "none":
        return tuple(sorted(found))
    types = {kind for _, kind in map(split, found) if kind is not None}
    found |= {f"{prefix}-{kind}" for kind in types for prefix in _PREFIXES[scheme]}
    order = _PREFIXES[scheme]
    return tuple(sorted(found, key=lambda x: (split(x)[1] or "", order.find(x[0]), x)))
