"""Which columns are texts, label and ids: as flags say, as the model was tuned, or by name."""

import dataclasses
import re

from bert_tf.data.sources.base import CLASSES, OTHER, TEXT, Roles
from bert_tf.errors import UserError

_PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text1", "text2"),
    ("text_a", "text_b"),
)
_LABELS = ("label", "labels", "gold_label", "class", "score", "target", "stars", "rating")
_IDS = re.compile(r"idx|id|index|guid|uid|.*(_id|[a-z]ID)", re.IGNORECASE)
_ROW_IDS = ("idx", "id", "index", "guid")
_FLAGS = {
    "text": "text_column", "pair": "text_pair_column", "label": "label_column", "ids": "id_column",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Guess:
    """`Roles` with where they come from: `guessed` are the names of those that no flag gave."""

    roles: Roles
    guessed: tuple[str, ...]

    def text(self):
        """One line that says which column is what."""
        parts = [
            f"{role} {name!r}{' (guessed)' if role in self.guessed else ''}"
            for role in _FLAGS
            if (name := getattr(self.roles, role)) is not None
        ]
        flags = ", ".join(f"--{_FLAGS[role]}" for role in self.guessed)
        return ", ".join(parts) + (f"; {flags} say otherwise" if flags else "")


def guess(name, columns, given, saved=None):
    """Returns the `Guess` of a data set.

    Args:
      name: of the data set, for messages.
      columns: list of `Column`.
      given: {role: column} of the flags that are given; "" says that there is none.
      saved: {role: column} of the model, which hold where the data set has them.

    Raises:
      UserError: no such column, one that is no text, or more than one that could be it.
    """
    by_name = {column.name: column for column in columns}
    for role, column in given.items():
        if column and column not in by_name:
            raise UserError(
                f"--{_FLAGS[role]}={column}: {name} has no such column: {_names(columns)}"
            )
    known = {role: c for role, c in (saved or {}).items() if c in by_name and role not in given}
    known |= {role: column or None for role, column in given.items()}
    found = dict(known)
    if "label" not in found:
        taken = {column for column in known.values() if column}
        found["label"] = _label(name, [c for c in columns if c.name not in taken])
    if not found.get("text"):
        found |= _texts(name, columns, found)
    found.setdefault("pair", None)
    if "ids" not in found:
        found["ids"] = next((c for c in _ROW_IDS if c in by_name and c != found["label"]), None)
    roles = Roles(**found)
    _check(name, by_name, roles)
    guessed = [r for r in _FLAGS if r not in known and getattr(roles, r) is not None]
    return Guess(roles, tuple(guessed))


def _label(name, columns):
    """The column of the label; None where nothing looks like one."""
    classes = [c.name for c in columns if c.kind == CLASSES]
    found = classes or [c.name for c in columns if c.name.lower() in _LABELS and c.kind != OTHER]
    if len(found) > 1:
        raise UserError(
            f"{name}: more than one column could be the label, name it with --label_column:"
            f" {', '.join(found)}"
        )
    return found[0] if found else None


def _texts(name, columns, found):
    """{"text": column, "pair": column or None} of the columns that nothing else is known of."""
    taken = {column for column in found.values() if column}
    free = [c.name for c in columns if c.kind == TEXT and c.name not in taken]
    texts = [column for column in free if not _IDS.fullmatch(column)]
    if "pair" not in found:
        for pair in _PAIRS:
            if set(pair) == set(texts):
                return dict(zip(("text", "pair"), pair, strict=True))
    if len(texts) == 1:
        return {"text": texts[0]}
    if not texts:
        raise UserError(f"{name}: no column could be the text: {_names(columns)}: --text_column")
    raise UserError(
        f"{name}: more than one column could be the text, name it with --text_column (and a second"
        f" one with --text_pair_column): {', '.join(texts)}"
    )


def _check(name, by_name, roles):
    for role in ("text", "pair"):
        column = getattr(roles, role)
        if column and by_name[column].kind == OTHER:
            raise UserError(
                f"--{_FLAGS[role]}={column}: {name} has {by_name[column].type} in it, expected text"
            )
    if roles.label and by_name[roles.label].kind == OTHER:
        found = by_name[roles.label].type
        raise UserError(
            f"--label_column={roles.label}: {name} has {found} in it, expected a label or a number"
            " of each row"
        )
    if roles.label and roles.label in (roles.text, roles.pair):
        raise UserError(
            f"--label_column={roles.label}: is the column of a text, too, which would tell the"
            " label: name another one"
        )


def _names(columns):
    return ", ".join(f"{column.name} ({column.type})" for column in columns[:20])
