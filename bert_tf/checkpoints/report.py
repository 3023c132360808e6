"""Loading weights into a model's variables, and the table that says what became of each."""

import dataclasses
import re

from bert_tf.checkpoints import names, shapes
from bert_tf.errors import UserError

_LAYER = re.compile(r"(?<=layer_)\d+(?=/)")
_LEAF = re.compile(r"(.*[/.]|)(.*)", re.DOTALL)  # of our names, and of PyTorch's
_LABEL_HEAD = ("output_weights", "output_bias")


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of each weight.

    Attributes:
      source: where the weights came from.
      loaded: names that were taken.
      left: {name: reason} of what the source holds and was not taken.
      initialized: names of the model's variables that the source does not hold.
      notes: {name of a loaded one: what to say of it}.
      verb: what "loaded" is called in the table ("converted" for a converter).
      remarks: list of str, what else there is to say of how the source was read.
    """

    source: str
    loaded: list
    left: dict = dataclasses.field(default_factory=dict)
    initialized: list = dataclasses.field(default_factory=list)
    notes: dict = dataclasses.field(default_factory=dict)
    verb: str = "loaded"
    remarks: list = dataclasses.field(default_factory=list)

    def table(self):
        """Returns the report as text: one row per group of like variables of all layers.

        Example row: `loaded  bert/encoder/layer_{0..5}/output/dense/{bias,kernel}  12 variables`.
        """
        loaded = {name: self.notes.get(name, "") for name in self.loaded}
        rows = [(self.verb, *row) for row in _grouped(loaded)]
        rows += [("left", *row) for row in _grouped(self.left)]
        pooler = "the source has no pooler: it starts anew"
        initialized = {n: pooler if "/pooler/" in n else "" for n in self.initialized}
        rows += [("at initialisation", *row) for row in _grouped(initialized)]
        first = max([len(row[0]) for row in rows], default=0)
        second = max([len(row[1]) for row in rows], default=0)
        lines = [
            f"  {status:<{first}}  {name:<{second}}  {count:>4} variable{'s' if count > 1 else ''}"
            + (f"  ({reason})" if reason else "")
            for status, name, count, reason in rows
        ]
        total = (
            f"{len(self.loaded)} {self.verb}, {len(self.left)} left,"
            f" {len(self.initialized)} at initialisation"
        )
        remarks = [f"  note: {remark}" for remark in self.remarks]
        return "\n".join([f"Weights: {self.source}", *lines, *remarks, f"  total: {total}"])


def _grouped(reasons):
    """Turns {name: reason} into rows (name pattern, count, reason), sorted by name."""
    layers = {}  # (pattern, reason) -> layer numbers
    for name, reason in reasons.items():
        numbers = [int(n) for n in _LAYER.findall(name)]
        layers.setdefault((_LAYER.sub("*", name), reason), []).extend(numbers)
    leaves = {}  # (parent, layer numbers, reason) -> leaves
    for (pattern, reason), numbers in layers.items():
        parent, leaf = _LEAF.fullmatch(pattern).groups()
        leaves.setdefault((parent, tuple(sorted(numbers)), reason), []).append(leaf)
    rows = []
    for (parent, numbers, reason), group in leaves.items():
        name = parent + _braces(sorted(group))
        name = name.replace("layer_*", f"layer_{_span(numbers)}")
        rows.append((name, len(group) * max(1, len(numbers)), reason))
    return sorted(rows)


def _braces(items):
    return items[0] if len(items) == 1 else "{" + ",".join(items) + "}"


def _span(numbers):
    """(0, 1, 2) -> {0..2}; (3,) -> 3; (0, 2) -> {0,2}."""
    if len(numbers) > 2 and numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"{{{numbers[0]}..{numbers[-1]}}}"
    return _braces([str(n) for n in numbers]) if numbers else ""


def assign_arrays(variables, arrays, source, left=None, remarks=()):
    """Assigns every array to the variable of its name; checks all of them before the first.

    Args:
      variables: `tf.Variable`s, or anything with `name` (`:0` is ignored), `shape` and `assign`,
        distributed variables included.
      arrays: {Google name: array}.
      source: what to call the checkpoint in errors and in the report.
      left: {name: reason} of what the reader had not taken already, carried into the report.
      remarks: list of str, carried into the report, too.

    Returns:
      A `LoadReport`. A classifier of another number of labels is left, and the model's own stays
      at its initial values.

    Raises:
      UserError: a variable has another shape than its array, no array fits any variable, or
        encoder variables other than the pooler are missing.
    """
    source = str(source)
    places = {v.name.split(":")[0]: v for v in variables}
    left = dict(left or {})
    usable = []
    for name, array in arrays.items():
        if name not in places:
            left[name] = "not in this model"
            continue
        wanted, found = tuple(places[name].shape), tuple(array.shape)
        if wanted == found:
            usable.append(name)
        elif name in _LABEL_HEAD and wanted[1:] == found[1:]:
            left[name] = f"other number of labels: {found[0]}, the model has {wanted[0]}"
        else:
            raise UserError(
                f"{source}: variable {name} has shape {list(found)}, the model's is {list(wanted)}"
            )
    missing = [name for name in places if name not in usable]
    required = [name for name in missing if not names.is_optional(name)]
    if not usable:
        raise UserError(
            f"{source}: none of its {len(arrays)} variables is in the model, which begins with"
            f" {next(iter(places), 'nothing')}"
        )
    if required:
        raise UserError(
            f"{source}: lacks {len(required)} variables of the encoder, the first is {required[0]}"
            + shapes.nearest_names(required[0], [*arrays, *left], places)
        )
    for name in usable:
        places[name].assign(arrays[name])
    return LoadReport(source, usable, left, missing, remarks=list(remarks))
