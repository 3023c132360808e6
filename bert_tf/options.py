"""Options of a program: a dataclass that is its Python interface, its absl flags and its --help.

The fields are also the table of what each flag may be: its range, what gives it an effect, and
whether a resumed run must share it. What is left to the methods `check` is what pairs of flags say.
"""

import dataclasses
import shlex
import shutil
import textwrap
import typing
from collections.abc import Callable

from absl import flags

from bert_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Needs:
    """What gives a flag its effect.

    Attributes:
      what: as the message names it, such as `--do_train`.
      holds: callable (options) -> whether the flag has an effect.
      hint: how the sentence ends, such as ", whose files are read as they are".
      word: what stands before `what`: "without", or "with" if it is there and takes the effect.
    """

    what: str
    holds: Callable
    hint: str = ""
    word: str = "without"


def useless_with(what, found, hint=""):
    """Returns the `Needs` of a flag without effect where `found` (callable of options) holds."""
    return Needs(what, lambda options: not found(options), hint, "with")


def option(
    default, help_text, group, choices=None, *, valid=None, needs=(), same=False, required=None
):
    """A dataclass field that is also a flag.

    Args:
      default: value when not given; its type (or the annotation, for None) is the flag's.
      help_text: full sentence(s) for --help.
      group: heading it stands under in --help.
      choices: allowed strings, if only some are.
      valid: callable (value, name) that raises `UserError` for values that cannot be; None, not
        given, always can.
      needs: `Needs` or tuple of them, the first that fails is named; all must hold where the flag
        is given.
      same: whether a resumed run must share the flag.
      required: what the flag is, where it must be given: "the folder of the run".
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help_text,
            "group": group,
            "choices": choices,
            "valid": valid,
            "needs": (needs,) if isinstance(needs, Needs) else tuple(needs),
            "same": same,
            "required": required,
        },
    )


@dataclasses.dataclass(frozen=True)
class Each:
    """What the values of a list are.

    Attributes:
      kind: bool, int, float or str.
      default: the value where none is given.
    """

    kind: type
    default: object = None


def list_option(help_text, group, *, valid=None):
    """A field of a tuple of text that is a flag to be given as often as there are values."""
    field = option((), help_text, group, valid=valid)
    return dataclasses.field(default=(), metadata={**field.metadata, "each": Each(str)})


def lists_of(cls, without=(), defaults=None):
    """Returns {name: dataclass field}: the flags of the options class `cls` as lists of values.

    A field is a tuple of text, as on the command line, where each flag may be repeated; what it may
    be is for `parse_value` and for `cls` to say.

    Args:
      cls: the options class.
      without: names of flags to leave out.
      defaults: {name: value} of those whose default is another one here.
    """
    found = {}
    for field in option_fields(cls):
        if field.name not in without:
            default = (defaults or {}).get(field.name, field.default)
            each = Each(_kind(cls, field), default)
            found[field.name] = dataclasses.field(
                default=(), metadata={**field.metadata, "each": each}
            )
    return found


def parse_value(cls, name, text):
    """Returns the value that the flag `name` of the options class `cls` has by `text`.

    Raises:
      UserError: it is none of its kind.
    """
    field = next(field for field in option_fields(cls) if field.name == name)
    try:
        return _PARSERS[_kind(cls, field)]().parse(text)
    except ValueError as e:
        raise UserError(f"--{name}={text}: {e}") from e


_PARSERS = {
    bool: flags.BooleanParser,
    int: flags.IntegerParser,
    float: flags.FloatParser,
    str: flags.ArgumentParser,
}


def option_fields(options):
    """Returns the fields of `options`, an object or a class, that are flags."""
    return [field for field in dataclasses.fields(options) if "help" in field.metadata]


def require(name, value, holds, expected):
    """Raises `UserError` unless `holds`: the flag `name` has a `value` other than `expected`."""
    if not holds:
        raise UserError(f"--{name}={value}: expected {expected}")


def refuse_if(found, message):
    """Raises `UserError` of the message where `found` holds: flags that are at odds."""
    if found:
        raise UserError(message)


def within(holds, expected):
    """Returns a `valid` for the values for which `holds`(value); `expected` describes them."""
    return lambda value, name: require(name, value, holds(value), expected)


def at_least(low):
    """Returns a `valid` for `low` or more."""
    return within(lambda value: value >= low, f"{low} or more")


def above(low):
    """Returns a `valid` for numbers above `low`."""
    return within(lambda value: value > low, f"a number above {low}")


def between(low, high, ends="[]"):
    """Returns a `valid` for an interval; an end with a round bracket in `ends` is not in it."""
    outside = [end for end, bracket in zip((low, high), ends, strict=True) if bracket in "()"]
    return within(
        lambda value: low <= value <= high and value not in outside,
        f"a number in {ends[0]}{low}, {high}{ends[1]}",
    )


# Of the programs that train: what they are asked to do.
DO_TRAIN = Needs("--do_train", lambda options: options.do_train)
UPDATES = Needs("--do_train", lambda options: options.makes_updates)
DO_EVAL = Needs("--do_eval", lambda options: options.do_eval)
DO_PREDICT = Needs("--do_predict", lambda options: options.do_predict)

SEED = within(lambda value: 0 <= value < 2**31, "an integer in [0, 2^31)")


def check_table(options, names=None):
    """Raises `UserError` for the first flag that is missing, out of range or without effect.

    Args:
      options: object with a field `given`.
      names: the flags to check; None for all.
    """
    fields = [field for field in option_fields(options) if names is None or field.name in names]
    for field in fields:
        _check_value(field, getattr(options, field.name))
    for field in fields:
        _check_needs(options, field, field.metadata["needs"])


def _check_value(field, value):
    name, rules = field.name, field.metadata
    if rules["required"] and not value:
        raise UserError(f"--{name} is required: {rules['required']}")
    if value is None:
        return
    if rules["choices"]:
        expected = f"one of {', '.join(rules['choices'])}"
        require(name, value, value in rules["choices"], expected)
    if rules["valid"]:
        rules["valid"](value, name)


def check_needs(options, names, *needs):
    """Raises `UserError` for the first of the flags `names` that is given and lacks one of `needs`.

    Those that are off by default (None or False) and are not, count as given wherever they are set.
    """
    for field in option_fields(options):
        if field.name in names:
            _check_needs(options, field, needs)


def _check_needs(options, field, needs):
    off = field.default is None or field.default is False
    if field.name in options.given or (off and getattr(options, field.name) != field.default):
        for need in needs:
            if not need.holds(options):
                raise UserError(f"--{field.name} has no effect {need.word} {need.what}{need.hint}")


def command_line(program, cls, values, given=()):
    """Returns the command (str) that sets these values, those of the default left out.

    Args:
      program: its name, such as `run_classifier.py`.
      cls: options class, or an object of it.
      values: {flag: value}; what is no flag of `cls` is left out.
      given: names of flags that are named whatever their value.
    """
    words = [program]
    for field in option_fields(cls):
        value = values.get(field.name)
        if value is not None and (field.name in given or value != field.default):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            words.append(shlex.quote(f"--{field.name}={text}"))
    return " ".join(words)


def names_that_need(options, need):
    """Returns the names of the flags of `options` (object or class) among whose needs is `need`."""
    return [field.name for field in option_fields(options) if need in field.metadata["needs"]]


def identity(options):
    """Returns {flag: value} of what a resumed run must share."""
    return {f.name: getattr(options, f.name) for f in option_fields(options) if f.metadata["same"]}


def identity_defaults(options):
    """Returns {flag: default} of what a resumed run must share."""
    return {f.name: f.default for f in option_fields(options) if f.metadata["same"]}


def define_flags(cls):
    """Defines one absl flag per field of the options class `cls`, of a list one to be repeated."""
    for field in option_fields(cls):
        name, default, text = field.name, field.default, field.metadata["help"]
        kind = _kind(cls, field)
        if kind is tuple:
            switch = field.metadata["each"].kind is bool
            parser = flags.ArgumentParser()
            flags.DEFINE_flag(flags.MultiFlag(parser, None, name, None, text, boolean=switch))
        elif field.metadata["choices"]:
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
    names = [field.name for field in option_fields(cls)]
    given = frozenset(name for name in names if flags.FLAGS[name].present)
    lists = {f.name for f in option_fields(cls) if _kind(cls, f) is tuple}
    values = {name: flags.FLAGS[name].value for name in names}
    values |= {name: tuple(values[name] or ()) for name in lists}
    return cls(given=given, **values)


def help_page(cls, script, introduction):
    """Returns the text of --help: the introduction, then the flags in the order of `cls.GROUPS`."""
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    groups = {group: [] for group in cls.GROUPS}
    for field in option_fields(cls):
        groups[field.metadata["group"]].append(field)
    arguments = f" {cls.ARGUMENTS.upper()}..." if hasattr(cls, "ARGUMENTS") else ""
    lines = [introduction.strip(), "", f"usage: {script}{arguments} --flag=value ..."]
    for group, fields in groups.items():
        lines += ["", f"{group}:"]
        for field in fields:
            lines.append(f"  --{field.name}={_value_hint(cls, field)}")
            text = textwrap.fill(field.metadata["help"], width - 6)
            lines.append(textwrap.indent(text, " " * 6))
    return "\n".join(lines) + "\n"


def _value_hint(cls, field):
    choices, default, kind = field.metadata["choices"], field.default, _kind(cls, field)
    if kind is tuple:
        kind, default = field.metadata["each"].kind, field.metadata["each"].default
    word = {bool: "true|false", int: "INT", float: "FLOAT", str: "TEXT"}[kind]
    hint = "|".join(choices) if choices else word
    if default is None:
        return hint
    return f"{hint}  (default {str(default).lower() if isinstance(default, bool) else default})"


def _kind(cls, field):
    annotation = typing.get_type_hints(cls)[field.name]
    kinds = [k for k in typing.get_args(annotation) or [annotation] if k is not type(None)]
    return kinds[0]
