import pytest

from bert_tf.budget import Budget, parse_budget, parse_limit
from bert_tf.errors import UserError


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("24h", "time", 86400.0),
        ("90m", "time", 5400.0),
        ("300s", "time", 300.0),
        ("1d", "time", 86400.0),
        ("1.5", "time", 5400.0),
        ("6 M", "time", 360.0),
        ("5000steps", "steps", 5000.0),
        ("1 step", "steps", 1.0),
        ("2e9tokens", "tokens", 2e9),
    ],
)
def test_a_budget_is_time_updates_or_tokens(text, kind, amount):
    assert parse_budget(text) == Budget(kind, amount)


@pytest.mark.parametrize("text", ["", "h", "24x", "1.2.3h", "-3h", "0m", "1e400h", "nan", "3h 4m"])
def test_what_is_no_budget_is_refused_by_name(text):
    with pytest.raises(UserError, match=f"--budget={text}: expected"):
        parse_budget(text)


def test_the_share_is_of_its_own_kind():
    spent = {"seconds": 30.0, "steps": 40, "tokens": 500}
    assert Budget("time", 60.0).share(**spent) == 0.5
    assert Budget("steps", 50).share(**spent) == 0.8
    assert Budget("tokens", 1000).share(**spent) == 0.5


def test_an_early_exit_is_a_share_of_the_budget():
    assert parse_limit("12h", parse_budget("24h")) == 0.5
    assert parse_limit("24", parse_budget("24h")) == 1.0


@pytest.mark.parametrize(
    ("text", "message"), [("25h", "more than the whole budget, 24 h"), ("100steps", "of time")]
)
def test_an_early_exit_that_cannot_be_is_refused(text, message):
    with pytest.raises(UserError, match=f"--early_exit={text}.*{message}"):
        parse_limit(text, parse_budget("24h"))
