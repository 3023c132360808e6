"""The picture of accuracy, size and latency is drawn of what docs/results.md says."""

import io
import re

import pytest

from tests import pages

NUMBER = r"\d+(?:,\d{3})*\.\d+"


@pytest.fixture(scope="module")
def drawing():
    """The program docs/draw_pruning.py as a module."""
    return pages.program("draw_pruning")


def test_the_table_repeats_what_was_measured(drawing):
    """Each accuracy and each latency stands in the tables of the sections before, too."""
    text = pages.read("docs/results.md")
    measured = set(re.findall(r"\d+\.\d+", text.split(drawing.HEADING)[0]))
    rows = drawing.read_table(text)
    assert [row["removed"] for row in rows] == [0, 50, 75, 90]
    for row in rows[1:]:
        numbers = [row["latency, 8 x 128, float32"], *(row[name] for name in drawing.SERIES)]
        assert {f"{number:.2f}" for number in numbers if number is not None} <= measured


def test_every_column_of_results_is_drawn_in_both_panels(drawing):
    rows = drawing.read_table(pages.read("docs/results.md"))
    figure = drawing.draw(rows)
    columns = "checkpoint, MB", "latency, 8 x 128, float32"
    for axes, column in zip(figure.axes, columns, strict=True):
        drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
        for name, (label, *_) in drawing.SERIES.items():
            assert drawn[label] == [[r[column], r[name]] for r in rows if r[name] is not None]
    picture = io.BytesIO()
    figure.savefig(picture, format="svg")
    assert picture.getvalue().startswith(b"<?xml")


@pytest.mark.parametrize(
    "page",
    [
        "docs/which_lever.md",
        "docs/distillation.md",
        "docs/precision.md",
        "docs/budget.md",
        *(page for page in pages.PAGES if page.startswith("docs/recipes/")),
    ],
)
def test_pages_that_advise_repeat_what_was_measured(page):
    """Each number with a point in their text stands in docs/results.md, too."""
    text = re.sub(r"`[^`]*`", "", pages.prose(page))
    assert set(re.findall(NUMBER, text)) <= set(re.findall(NUMBER, pages.read("docs/results.md")))
