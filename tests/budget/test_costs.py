"""What the end is expected to take, by what its works have taken."""

import pytest

from bert_tf.budget import Costs


def test_a_work_that_is_known_well_needs_no_slack():
    costs = Costs()
    expected = []
    for seconds in (5.0, 4.0, 4.5, 4.2):
        costs.took("evaluate", seconds)
        expected.append(costs.of("evaluate"))
    assert expected == pytest.approx([6.0, 6.0, 5.0, 4.5])
    assert costs.of("save") == 0


def test_the_next_process_expects_the_longest():
    costs = Costs()
    for seconds in (5.0, 6.0, 4.0):
        costs.took("save", seconds)
    again = Costs(costs.state())
    assert again.knows("save")
    assert again.of("save") == pytest.approx(7.2)
    assert again.report()["save"] == 6.0


def test_without_slack_the_end_takes_what_it_took():
    costs = Costs()
    empty = costs.reserve([])
    costs.took("save", 2.0)
    for seconds in (4.0, 5.0, 3.0):
        costs.took("evaluate", seconds)
    assert costs.reserve(["save", "evaluate"]) == pytest.approx(empty + 2.4 + 5.0)
    assert costs.reserve(["save", "evaluate"], slack=False) == pytest.approx(empty + 2.0 + 5.0)
