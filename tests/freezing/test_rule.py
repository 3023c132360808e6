"""The decision, given norms: test vectors 1-8 of AutoFreeze's specification, and the controls."""

import numpy as np
import pytest

from bert_tf.freezing import rule

FIRST = [10, 20, 40, 80]
SECOND = [9, 17, 20, 60]
ETAS = [0.10, 0.15, 0.50, 0.25]


def decide(reference, norms, frozen=0, percentile=50, **kwargs):
    return rule.GradientChange(percentile, **kwargs).decide(7, reference, norms, frozen)


def test_vector_1_layers_below_the_median_freeze_from_the_bottom():
    decision = decide(FIRST, SECOND)
    np.testing.assert_allclose(decision.etas, ETAS)
    assert decision.threshold == pytest.approx(0.20)
    assert decision.frozen == 2


def test_vector_2_an_increase_counts_like_a_decrease_and_frozen_layers_do_not_count():
    decision = decide(SECOND, [0, 0, 30, 45], frozen=2)
    np.testing.assert_allclose(decision.etas, [0, 0, 0.50, 0.25])
    assert decision.threshold == pytest.approx(0.375)
    assert decision.frozen == 2


@pytest.mark.parametrize(
    ("percentile", "threshold", "frozen"),
    [(0, 0.10, 0), (25, 0.1375, 1), (75, 0.3125, 2), (100, 0.50, 2)],
)
def test_vector_3_percentiles_are_interpolated(percentile, threshold, frozen):
    decision = decide(FIRST, SECOND, percentile=percentile)
    assert decision.threshold == pytest.approx(threshold)
    assert decision.frozen == frozen


def test_vector_4_no_layer_freezes_above_a_live_one():
    decision = decide(FIRST, [5, 17, 36, 60])
    np.testing.assert_allclose(decision.etas, [0.5, 0.15, 0.10, 0.25])
    assert (decision.threshold, decision.frozen) == (pytest.approx(0.20), 0)


def test_vector_5_a_tie_with_the_threshold_stays_live():
    decision = decide(FIRST, [9, 10, 30, 60])
    np.testing.assert_allclose(decision.etas, [0.10, 0.50, 0.25, 0.25])
    assert (decision.threshold, decision.frozen) == (pytest.approx(0.25), 1)


def test_vector_6_the_first_test_decides_nothing_and_the_last_layer_never_freezes():
    assert decide(None, SECOND) == rule.Decision(0)
    assert decide(FIRST, [0, 0, 0, 80], frozen=3).frozen == 3
    assert decide(FIRST, [0, 0, 0, 10], frozen=3, percentile=100).frozen == 3


def test_vector_7_norms_that_do_not_change_thaw_nothing():
    decision = decide([0, 0, 40, 80], [0, 0, 40, 80], frozen=2)
    assert decision.etas == [0, 0, 0, 0]
    assert decision.frozen == 2
    # The original thaws everything here and divides by zero at its next test.
    assert decide([0, 0, 40, 80], [0, 0, 20, 80], frozen=2).frozen == 2


@pytest.mark.parametrize("layers", [1, 2, 4, 6, 24])
def test_vector_8_any_depth_and_no_layers_that_do_not_exist(layers):
    norms = np.where(np.arange(layers) < layers // 2, 9.0, 5.0)
    decision = decide(np.full(layers, 10.0), norms)
    assert len(decision.etas) == layers
    assert decision.frozen == layers // 2


def test_a_limit_holds_and_frees_nothing():
    assert decide(FIRST, SECOND, most=1).frozen == 1
    assert decide([0, 0, 40, 80], [0, 0, 39, 60], frozen=2, most=1).frozen == 2
    assert decide(FIRST, SECOND, most=9).frozen == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", ["reference", "norms"])
def test_norms_that_are_no_numbers_freeze_nothing(bad, which):
    norms = {"reference": list(FIRST), "norms": list(SECOND)}
    norms[which][1] = bad
    decision = decide(**norms)
    assert (decision.frozen, decision.threshold) == (0, None)


def test_a_layer_whose_first_gradients_come_now_is_not_quiet():
    decision = decide([0, 20, 40, 80], SECOND)
    assert decision.etas[0] == np.inf
    assert decision.frozen == 0


def decide_at_random(seed, layers=12, tests=20):
    """[frozen layers after each of the tests] under `RandomChange`."""
    policy = rule.RandomChange(layers, seed=seed)
    frozen, reference, history = 0, None, []
    for step in range(tests):
        frozen = policy.decide(step, reference, None, frozen).frozen
        reference = []
        history.append(frozen)
    return history


def test_the_random_control_freezes_as_noise_does():
    """The specification's figures: mean 10.3 of 12, 69 % reach 11, the third test freezes first."""
    runs = np.array([decide_at_random(seed) for seed in range(1000)])
    assert np.all(np.diff(runs, axis=1) >= 0)
    assert np.all(runs[:, 0] == 0)
    assert runs[:, -1].mean() == pytest.approx(10.3, abs=0.15)
    assert (runs[:, -1] == 11).mean() == pytest.approx(0.69, abs=0.04)
    assert np.median(np.argmax(runs > 0, axis=1) + 1) == 3


def test_the_random_control_is_a_function_of_seed_and_step():
    first, again = (rule.RandomChange(12, seed=3).decide(40, [], None, 2) for _ in range(2))
    assert first == again
    assert first.etas[:2] == [0, 0]
    assert first.etas != rule.RandomChange(12, seed=4).decide(40, [], None, 2).etas
    assert first.etas != rule.RandomChange(12, seed=3).decide(41, [], None, 2).etas


def test_a_schedule_freezes_at_its_steps():
    policy = rule.Schedule({3: 1, 8: 4})
    frozen, tests = 0, []
    for step in range(1, 12):
        if policy.due(step - 1, step, interval=5):
            tests.append(step)
            frozen = policy.decide(step, None, None, frozen).frozen
            assert frozen == {3: 1, 8: 4}[step]
    assert tests == [3, 8]
    assert policy.due(2, 9, interval=5), "several updates at once"
    assert policy.decide(9, None, None, 2).frozen == 4
    assert policy.decide(3, None, None, 2).frozen == 2, "a schedule thaws nothing"
