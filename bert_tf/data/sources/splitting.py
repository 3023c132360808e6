"""Which rows of a data set are the training, dev and test rows of a task."""

import dataclasses
import re

import numpy as np

from bert_tf.data.sources.numbers import is_integer, is_number
from bert_tf.data.sources.spec import Slice, parse_split, parse_splits
from bert_tf.errors import UserError

_CLASSES = 20  # numbers that may be classes, and rows that one then has
_NAMES = {
    "train": ("train", "training"),
    "dev": ("validation", "dev", "valid", "val", "eval"),
    "test": ("test", "testing"),
}


@dataclasses.dataclass(frozen=True)
class Draw:
    """A dev set that is drawn from the training rows.

    Attributes:
      fraction: share of the rows, of each label alike.
      seed: of the draw.
      split: which rows they are, as --train_split says, such as `train[:50%]`.
      digest: of the content of these rows, "" where it is not known: the draw of others is another.
    """

    fraction: float
    seed: int
    split: str = "train"
    digest: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows of a split: `rows` is an ascending int array, None for all of them.

    `ids` (list of str, as many) are what the data set calls them, None where it is not known.
    """

    split: str
    rows: np.ndarray | None
    text: str
    ids: list[str] | None = None

    @classmethod
    def of(cls, part, count):
        """Returns the `Part` that a `Slice` of a split of `count` rows names.

        Raises:
          UserError: it has no rows.
        """
        rows = part.rows(count)
        if not len(rows):
            raise UserError(f"{part}: has no rows: the split {part.split} has {count}")
        whole = len(rows) == count
        return cls(part.split, None if whole else np.arange(rows.start, rows.stop), str(part))

    def numbers(self, sizes):
        """Returns the numbers (array) of its rows; `sizes` are those of the splits."""
        return np.arange(sizes[self.split]) if self.rows is None else self.rows

    def taken(self, positions, text):
        """Returns the `Part` of the rows at some positions of this one."""
        positions = np.sort(positions)
        rows = positions if self.rows is None else self.rows[positions]
        ids = None if self.ids is None else [self.ids[position] for position in positions]
        return Part(self.split, rows, text, ids)


def find(source, kind, given):
    """Returns {split of the task: `Part`} of the splits of a kind.

    Args:
      source: `Source`.
      kind: `train`, `dev` or `test`.
      given: what --train_split, --dev_split or --test_split says, None takes those of that name:
        all that begin with it where none has it.

    Returns:
      {} if nothing is given and there is none; else the keys are `kind`, or `kind_...` of several.

    Raises:
      UserError: there is no such split, or the names of two say the same.
    """
    sizes = source.splits()
    if given:
        flag = f"{kind}_split"
        parts = [parse_split(given, flag)] if kind == "train" else parse_splits(given, flag)
        for part in parts:
            if part.split not in sizes:
                raise UserError(
                    f"--{flag}={given}: {source.name} has no split {part.split!r}: expected one of"
                    f" {', '.join(sizes)}"
                )
    else:
        known = {name: count for name, count in sizes.items() if count}
        parts = [Slice(name) for name in _of_kind(source.name, kind, known)]
    found = {}
    for part in parts:
        name = kind if len(parts) == 1 else f"{kind}_{_short(part.split, kind)}"
        if name in found:
            raise UserError(f"--{kind}_split={given}: names {part.split} twice")
        found[name] = Part.of(part, sizes[part.split])
    return found


def draw(texts, draw):
    """Returns (train, dev): ascending positions of the rows, drawn by a seed.

    Each label has its share, to the nearest row; scores are drawn from all together.

    Args:
      texts: label of each row, as text, from which alone it is seen whether they are scores: a
        program that only evaluates has to draw the same rows.
      draw: `Draw`.

    Raises:
      UserError: no row is left for one of the two.
    """
    by_label, groups = not _are_scores(set(texts), len(texts)), {}
    for row, text in enumerate(texts):
        groups.setdefault(text if by_label else "", []).append(row)
    rng, taken = np.random.default_rng(draw.seed), []
    for text in sorted(groups):
        rows = np.array(groups[text])
        taken.append(rng.permutation(rows)[: int(len(rows) * draw.fraction + 0.5)])
    dev = np.sort(np.concatenate(taken))
    train = np.setdiff1d(np.arange(len(texts)), dev)
    if not len(dev) or not len(train):
        raise UserError(
            f"--dev_fraction={draw.fraction}: leaves {len(train)} training and {len(dev)} dev rows"
            f" of {len(texts)}: expected some of both"
        )
    return train, dev


def _are_scores(labels, count):
    """Whether labels are numbers with fractions, or too many for classes."""
    if not all(map(is_number, labels)):
        return False
    return not all(map(is_integer, labels)) or len(labels) > max(_CLASSES, count // _CLASSES)


def _of_kind(name, kind, sizes):
    """The splits that are of a kind by their names."""
    lower = {split.lower(): split for split in sizes}
    exact = [lower[known] for known in _NAMES[kind] if known in lower]
    if len(exact) > 1:
        raise UserError(
            f"{name}: both {' and '.join(exact)} could be the {kind} split: name one with"
            f" --{kind}_split"
        )
    if exact or kind == "train":
        return exact
    begins = re.compile(rf"({'|'.join(_NAMES[kind])})[-_. ]", re.IGNORECASE)
    return [split for split in sizes if begins.match(split)]


def _short(split, kind):
    """What tells a split from others of its kind: `matched` of validation_matched."""
    found = re.fullmatch(rf"({'|'.join(_NAMES[kind])})[-_. ]+(.+)", split, re.IGNORECASE)
    return re.sub(r"[^\w-]", "_", found[2] if found else split)
