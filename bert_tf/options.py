"""Options of a program: a dataclass that is its Python interface, its absl flags and its --help."""

import dataclasses
import shutil
import textwrap
import typing

from absl import flags

from bert_tf.config import DROPOUT_RATES
from bert_tf.errors import UserError


def option(default, help_text, group, choices=None):
    """A dataclass field that is also a flag.

    Args:
      default: value when not given; its type (or the annotation, for None) is the flag's.
      help_text: full sentence(s) for --help.
      group: heading it stands under in --help.
      choices: allowed strings, if only some are.
    """
    return dataclasses.field(
        default=default, metadata={"help": help_text, "group": group, "choices": choices}
    )


def require(name, value, holds, expected):
    """Raises `UserError` unless `holds`: the flag `name` has a `value` other than `expected`."""
    if not holds:
        raise UserError(f"--{name}={value}: expected {expected}")


def require_dropout_rates(options):
    """Raises `UserError` unless the two dropout flags are left out or in [0, 1)."""
    for name in DROPOUT_RATES:
        value = getattr(options, name)
        require(name, value, value is None or 0 <= value < 1, "a number in [0, 1)")


def define_flags(cls):
    """Defines one absl flag per field of the options class `cls`."""
    for field in dataclasses.fields(cls):
        if "help" not in field.metadata:
            continue
        name, default, text = field.name, field.default, field.metadata["help"]
        kind = _kind(cls, field)
        if field.metadata["choices"]:
            flags.DEFINE_enum(name, default, list(field.metadata["choices"]), text)
        elif kind is bool:
            flags.DEFINE_boolean(name, default, text)
        elif kind is int:
            flags.DEFINE_integer(name, default, text)
        elif kind is float:
            flags.DEFINE_float(name, default, text)
        else:
            flags.DEFINE_string(name, default, text)


def from_flags(cls):
    """Builds `cls` from the parsed flags; its `given` holds the names set on the command line."""
    names = [f.name for f in dataclasses.fields(cls) if "help" in f.metadata]
    given = frozenset(name for name in names if flags.FLAGS[name].present)
    return cls(given=given, **{name: flags.FLAGS[name].value for name in names})


def help_page(cls, script, introduction):
    """Returns the text of --help: the introduction, then the flags in the order of `cls.GROUPS`."""
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    groups = {group: [] for group in cls.GROUPS}
    for field in dataclasses.fields(cls):
        if "help" in field.metadata:
            groups[field.metadata["group"]].append(field)
    lines = [introduction.strip(), "", f"usage: {script} --flag=value ..."]
    for group, fields in groups.items():
        lines += ["", f"{group}:"]
        for field in fields:
            lines.append(f"  --{field.name}={_value_hint(cls, field)}")
            text = textwrap.fill(field.metadata["help"], width - 6)
            lines.append(textwrap.indent(text, " " * 6))
    return "\n".join(lines) + "\n"


def _value_hint(cls, field):
    choices, default = field.metadata["choices"], field.default
    kind = {bool: "true|false", int: "INT", float: "FLOAT", str: "TEXT"}[_kind(cls, field)]
    hint = "|".join(choices) if choices else kind
    if default is None:
        return hint
    return f"{hint}  (default {str(default).lower() if isinstance(default, bool) else default})"


def _kind(cls, field):
    annotation = typing.get_type_hints(cls)[field.name]
    kinds = [k for k in typing.get_args(annotation) or [annotation] if k is not type(None)]
    return kinds[0]
