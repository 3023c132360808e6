"""The rates of specs' section 11, the columns in which the original's one-hour floor is mended."""

import pytest

from bert_tf.budget import CURVES, Rate


@pytest.mark.parametrize(
    ("hours", "minutes", "expected"),
    [
        (1, 0, 0), (1, 1.8, 5.0e-4), (1, 3.5999, 9.99972e-4), (1, 3.6, 1.0e-3),
        (1, 30, 5.319149e-4), (1, 59, 1.773050e-5), (1, 60, 0), (1, 61, 0),
        (0.5, 1.8, 1.0e-3), (0.5, 15, 5.319149e-4),
        (24, 0, 0), (24, 43.2, 5.0e-4), (24, 86.4, 1.0e-3), (24, 720, 5.319149e-4),
        (24, 1416, 1.773050e-5), (24, 1440, 0), (24, 1500, 0),
        (2, 3.6, 5.0e-4), (2, 7.2, 1.0e-3), (2, 60, 5.319149e-4), (2, 119, 8.865248e-6),
    ],
)  # fmt: skip
def test_linear_in_time(hours, minutes, expected):
    assert Rate(1e-3, warmup=0.06)(minutes / 60 / hours) == pytest.approx(expected, rel=1e-6)


def test_without_warm_up_the_first_update_has_the_peak():
    rate = Rate(1e-3, warmup=0.0)
    assert (rate(0), rate(0.5)) == (1e-3, 5e-4)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(43.2, 2.5e-4), (86.4, 1.0e-3), (720, 9.998939e-4), (1440, 9.997733e-4)],
)
def test_exp_in_time(minutes, expected):
    """The original's decay of 0.99 per 1000 hours, of a budget of 24."""
    rate = Rate(1e-3, "exp", 0.06, decay=0.99, decay_interval=1000 / 24)
    assert rate(minutes / 1440) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("warmup", "step", "expected"),
    [(0.06, 30, 5e-4), (0.06, 60, 1e-3), (0.06, 500, 5.319149e-4), (0.06, 1000, 0),
     (0.1, 50, 5e-4), (0.1, 550, 5e-4)],
)  # fmt: skip
def test_linear_in_updates(warmup, step, expected):
    assert Rate(1e-3, warmup=warmup)(step / 1000) == pytest.approx(expected, rel=1e-6)


def test_triangle_is_crammings():
    rate = Rate(1.0, "triangle")
    heights = [rate(x) for x in (0, 0.25, 0.75, 0.9, 1)]
    assert heights == pytest.approx([0.25, 0.5, 1.0, 0.4, 0.0])


@pytest.mark.parametrize(
    ("curve", "half", "end"),
    [("linear", 0.5, 0), ("polynomial", 0.25, 0), ("cosine", 0.5, 0), ("constant", 1, 1),
     ("exp", 0.1, 0.01)],
)  # fmt: skip
def test_curves_after_the_warm_up(curve, half, end):
    rate = Rate(2.0, curve, warmup=0.0)
    assert rate(0.5) == pytest.approx(2 * half)
    assert rate(1.0) == pytest.approx(2 * end)
    assert rate(7.0) == rate(1.0)


@pytest.mark.parametrize("curve", CURVES)
def test_the_fall_ends_at_the_minimum(curve):
    rate = Rate(1.0, curve, minimum=0.25, decay=1e-9)
    assert rate(1.0) == pytest.approx(1.0 if curve == "constant" else 0.25)
    assert max(rate(x / 100) for x in range(101)) == pytest.approx(1.0)


def test_more_time_after_the_end_raises_the_rate_again():
    """A run finished at 24 h goes on with 48: 1e-3 * 24 / 45.12."""
    assert Rate(1e-3, warmup=0.06)(24 / 48) == pytest.approx(5.319149e-4, rel=1e-6)


def test_an_early_exit_keeps_the_long_schedule():
    assert Rate(1e-3, warmup=0.06)(12 / 24) == pytest.approx(5.319149e-4, rel=1e-6)
