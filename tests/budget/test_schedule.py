"""Markers, validation, divergence, batch stages and costs: pure functions of what is spent."""

import itertools
import math

import pytest

from bert_tf.budget import (
    BatchStages,
    Costs,
    DivergenceGuard,
    ValidationSchedule,
    marker_name,
    parse_interval,
    parse_markers,
    ramp_stages,
)
from bert_tf.errors import UserError


def test_markers_are_ascending_and_each_once():
    assert parse_markers("0.5, 0.1,0.50") == [0.1, 0.5]
    assert parse_markers(None) == parse_markers("") == []
    assert marker_name(0.25) == "marker-0.25"
    assert marker_name(1.0) == "marker-1"


@pytest.mark.parametrize("text", ["0", "1.5", "-0.5", "x", "0.5,nan", "0.5,2"])
def test_markers_outside_the_budget_are_refused(text):
    with pytest.raises(UserError, match=r"--finetune_time_markers=.*expected shares in \(0, 1\]"):
        parse_markers(text)


def test_a_marker_after_the_early_exit_is_refused():
    with pytest.raises(UserError, match=r"0\.75 is never reached"):
        parse_markers("0.25,0.75", end=0.5)


def validated(begin, middle, end, begin_share, end_share):
    """Shards after whose end the spec's toy run validates: one hour, shard e ends at 4(e+1) min."""
    schedule = ValidationSchedule(
        *(parse_interval(f"{n}epochs", "validation_interval") for n in (middle, begin, end)),
        begin_proportion=begin_share,
        end_proportion=end_share,
    )
    return [
        e
        for e in range(16)
        if schedule.due({"epochs": e}, {"epochs": e - 1}, 4 * (e + 1) / 60)
    ]  # fmt: skip


def test_validation_of_the_toy_run():
    assert validated(1, 10, 1, 0.1, 0.1) == [0, 10, 13, 14, 15]
    assert validated(1, 3, 1, 0.05, 0.01) == [0, 3, 6, 9, 12, 14, 15]


@pytest.mark.parametrize(
    ("text", "unit", "length"),
    [("10m", "minutes", 10), ("30s", "minutes", 0.5), ("2h", "minutes", 120),
     ("500steps", "steps", 500), ("0.5 epochs", "epochs", 0.5)],
)  # fmt: skip
def test_intervals(text, unit, length):
    interval = parse_interval(text, "validation_interval")
    assert (interval.unit, interval.length) == (unit, length)


@pytest.mark.parametrize("text", ["10", "m", "0m", "5 parsecs", ""])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(UserError, match=r"--validation_interval=.*expected such as 10m"):
        parse_interval(text, "validation_interval")


def test_an_interval_passes_once_however_long_the_update_was():
    interval = parse_interval("10m", "validation_interval")
    times = [0, 9.9, 10.1, 19, 47, 48]
    passed = [interval.passed({"minutes": b}, {"minutes": a}) for a, b in itertools.pairwise(times)]
    assert passed == [False, True, False, True, False]


def test_without_an_interval_nothing_is_validated():
    assert not ValidationSchedule(None).due({"steps": 10}, {"steps": 0}, 0.5)


@pytest.mark.parametrize(
    ("minutes", "loss", "stops"),
    [(44, 6.5, True), (44, 6.0, False), (30, 6.5, False), (4, 9.0, False), (4, math.nan, True),
     (44, math.inf, True)],
)  # fmt: skip
def test_divergence_by_the_held_out_loss(minutes, loss, stops):
    reason = DivergenceGuard(seconds=1800, loss=6.0).reason(60 * minutes, loss)
    assert (reason is not None) == stops
    assert reason is None or reason.startswith("diverged: ")


def test_a_training_loss_that_is_no_number():
    assert "nan" in DivergenceGuard().update(math.nan)
    guard = DivergenceGuard(tolerated=2)
    losses = [math.inf, math.inf, 3.0, math.inf, math.inf, math.inf]
    assert [guard.update(x) is not None for x in losses] == [False] * 5 + [True]


def test_a_ramp_doubles_on_crammings_line():
    assert ramp_stages(4096, 64, 0) == [(0.0, 4096)]
    stages = ramp_stages(48, 8, 0.5)
    assert [size for _, size in stages] == [8, 16, 32, 48]
    assert [share for share, _ in stages] == pytest.approx([0, 0.1, 0.3, 0.5])


def test_batches_of_a_ramp_take_every_row_once():
    stages = BatchStages()
    stages.change(0, 8)
    stages.change(3, 8)
    stages.change(3, 16)
    stages.change(5, 48)
    batches = [stages.batch(update) for update in range(7)]
    assert batches == [(0, 8), (8, 8), (16, 8), (24, 16), (40, 16), (56, 48), (104, 48)]
    assert BatchStages(stages.stages).rows(6) == 104
    assert stages.batch_size == 48


def test_the_next_update_is_expected_to_be_the_longest_of_the_last():
    costs = Costs()
    assert costs.update == 0  # not known
    costs.updated(20.0)  # which compiled
    assert costs.update == 20
    for seconds in (1.0, 3.0, 2.0):
        costs.updated(seconds)
    assert costs.update == 3
    for _ in range(8):
        costs.updated(1.5)
    assert costs.update == 1.5
    again = Costs(costs.state())
    assert again.update == 20  # it compiles again
    again.updated(19.0)
    assert again.update == 1.5


def test_the_end_is_reserved_with_slack():
    costs = Costs()
    costs.took("save", 4.0)
    costs.took("marker", 2.0)
    assert costs.reserve(["save", "marker", "marker"]) > 8
    assert Costs(costs.state()).of("save") == costs.of("save") > 4
    assert costs.of("evaluate") == 0
