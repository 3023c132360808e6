"""What `--dataset` and the flags of its splits look like (no TensorFlow)."""

import dataclasses
import re

from bert_tf.errors import UserError

KINDS = ("hf", "tfds", "csv", "json", "parquet")
_EXAMPLES = "hf:glue/mrpc, tfds:glue/mrpc, csv:PATH, json:PATH or parquet:PATH"
_SPLIT = re.compile(r"([\w.-]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")


@dataclasses.dataclass(frozen=True)
class Slice:
    """Some rows of a split, as `train`, `train[:1000]` or `train[80%:]` name them.

    Attributes:
      split: its name in the data set.
      start, stop: rows as text, a number or a percentage, as in Python; None for an end.
    """

    split: str
    start: str | None = None
    stop: str | None = None

    def __str__(self):
        if self.start is None and self.stop is None:
            return self.split
        return f"{self.split}[{self.start or ''}:{self.stop or ''}]"

    def rows(self, count):
        """Returns the `range` of its rows in a split of `count` rows."""
        start, stop = (_row(end, count) for end in (self.start, self.stop))
        return range(count)[start:stop]


def parse_dataset(text, name="dataset"):
    """Returns (kind, rest) of a value such as `hf:glue/mrpc`.

    Raises:
      UserError: it is none.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind.lower() not in KINDS or not rest.strip():
        raise UserError(f"--{name}={text}: expected {_EXAMPLES}")
    return kind.lower(), rest.strip()


def parse_splits(text, name):
    """Returns the `Slice`s (list) of a value such as `validation_matched,validation_mismatched`.

    Raises:
      UserError: one of them is none.
    """
    found = [_SPLIT.fullmatch(part.strip()) for part in text.split(",")]
    if not all(found):
        raise UserError(f"--{name}={text}: expected splits such as train, train[:80%], test[-500:]")
    return [Slice(*match.groups()) for match in found]


def parse_split(text, name):
    """Returns the only `Slice` of a value, see `parse_splits`."""
    found = parse_splits(text, name)
    if len(found) > 1:
        raise UserError(f"--{name}={text}: expected one split, found {len(found)}")
    return found[0]


def _row(end, count):
    if end is None:
        return None
    return int(end[:-1]) * count // 100 if end.endswith("%") else int(end)
