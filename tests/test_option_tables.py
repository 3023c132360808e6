"""Every flag of every program says what it may be and when it has an effect, and is held to it."""

import pytest

import convert_checkpoint
from bert_tf.data.pretraining.options import PretrainingDataOptions
from bert_tf.errors import UserError
from bert_tf.options import option_fields
from examples import make_sentiment_data, quickstart, sweep_markers

# The programs with flags that need others, and what a command of theirs cannot do without.
PROGRAMS = {
    PretrainingDataOptions: {"input_file": "i", "vocab_file": "v", "output_dir": "o"},
}
OTHERS = (
    convert_checkpoint.Options, quickstart.Options, make_sentiment_data.Options,
    sweep_markers.Options,
)  # fmt: skip
EVERY_FLAG = [(cls, field) for cls in (*PROGRAMS, *OTHERS) for field in option_fields(cls)]

# Names and paths, which the files themselves decide on.
FREE_TEXT = {
    "bert_config_file", "classifier_flags", "input", "input_file", "model_dir", "output",
    "output_dir", "output_file", "run_dir", "vocab_file", "weights_dir", "work_dir",
}  # fmt: skip

# What meets a need, and what does not, by how the message names it.
NEEDS = {
    "without --learn_vocab": ({"learn_vocab": True, "vocab_file": None}, {}),
    "without --output_format=packed": (
        {}, {"output_format": "google", "output_dir": None, "output_file": "f"},
    ),
    "without --output_format=google": ({}, {}),
}  # fmt: skip


def kind(field):
    """bool, int, float or str."""
    kinds = [k for k in getattr(field.type, "__args__", [field.type]) if k is not type(None)]
    return kinds[0]


def accepts(field, value):
    """Whether the flag may have the value."""
    try:
        if field.metadata["valid"]:
            field.metadata["valid"](value, field.name)
    except UserError:
        return False
    return True


def value_of(field):
    """A value that the flag may have."""
    if field.default is not None:
        return True if kind(field) is bool else field.default
    if field.metadata["choices"]:
        return field.metadata["choices"][-1]
    values = {int: [9], float: [0.5], str: ["x", "1h", "9steps", "0.5", "0.5:1"], bool: [True]}
    return next(value for value in values[kind(field)] if accepts(field, value))


def test_no_flag_leaves_open_what_it_may_be():
    loose = {
        field.name
        for _, field in EVERY_FLAG
        if not (field.metadata["valid"] or field.metadata["choices"] or kind(field) is bool)
    }
    assert loose == FREE_TEXT
    assert all(kind(field) is str for _, field in EVERY_FLAG if field.name in FREE_TEXT)


def test_every_range_refuses_something_and_accepts_its_default():
    wrong = {int: [-(10**9)], float: [-1e9], str: ["?"]}
    for _, field in EVERY_FLAG:
        if not field.metadata["valid"]:
            continue
        assert field.default is None or accepts(field, field.default), field.name
        for value in wrong[kind(field)]:
            with pytest.raises(UserError) as refused:
                field.metadata["valid"](value, field.name)
            assert str(refused.value).startswith(f"--{field.name}"), field.name
            assert "expected" in str(refused.value)


@pytest.mark.parametrize(
    ("cls", "name", "index"),
    [
        pytest.param(cls, field.name, index, id=f"{cls.__name__}-{field.name}-{index}")
        for cls in PROGRAMS
        for field in option_fields(cls)
        for index in range(len(field.metadata["needs"]))
    ],
)
def test_a_flag_without_what_it_needs_is_refused(cls, name, index):
    field = next(field for field in option_fields(cls) if field.name == name)
    *before, need = field.metadata["needs"][: index + 1]
    values = dict(PROGRAMS[cls])
    for other in before:
        values |= NEEDS[f"{other.word} {other.what}"][0]
    values |= NEEDS[f"{need.word} {need.what}"][1]
    values[name] = value_of(field)
    with pytest.raises(UserError) as refused:
        cls(given=frozenset({name}), **values).check()
    message = str(refused.value)
    assert message.startswith(f"--{name} has no effect {need.word} {need.what}")
    assert "\n" not in message
