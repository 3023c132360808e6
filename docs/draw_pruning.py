"""Draws docs/images/pruning.svg of the table in docs/results.md: python docs/draw_pruning.py"""

import pathlib
import re

import matplotlib
from matplotlib.figure import Figure

DOCS = pathlib.Path(__file__).resolve().parent
HEADING = "## Pruning: size, latency and accuracy\n"
# Column of the table: label, and how its points look.
SERIES = {
    "cut at once, seed 42": ("cut at once, no training", {"color": "#0969da", "marker": "o"}),
    "cut at once, seed 1": (
        "the same, another seed",
        {"color": "#0969da", "marker": "o", "linestyle": "none", "markerfacecolor": "white"},
    ),
    "then one epoch with the teacher": (
        "that, then one epoch with a teacher",
        {"color": "#1a7f37", "marker": "^", "linestyle": "none"},
    ),
    "masks, removed, three epochs": (
        "trained masks, then three epochs",
        {"color": "#8250df", "marker": "s", "linestyle": "none"},
    ),
}


def read_table(text):
    """Returns the rows below the heading, each {column: number, None where a cell is empty}."""
    lines = re.findall(r"^\|(.*)\|$", text.split(HEADING)[1].split("\n## ")[0], re.MULTILINE)
    names, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [dict(zip(names, map(_number, cells), strict=True)) for cells in rows]


def _number(cell):
    return float(cell.rstrip(" %x")) if cell else None


def draw(rows):
    """Returns the figure: accuracy against checkpoint size, and against latency."""
    figure = Figure(figsize=(9.6, 3.7), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, rows, "checkpoint, MB", "checkpoint, MB (the embeddings are 48 of them)")
    share = "latency of 8 x 128 tokens, share of the dense model's"
    _panel(right, rows, "latency, 8 x 128, float32", share)
    left.set_ylabel("SST-2 dev accuracy, %")
    left.set_xlim(48, 98)
    right.set_xlim(0.25, 1.12)
    left.set_ylim(82.5, 91)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    return figure


def _panel(axes, rows, column, title):
    for name, (label, look) in SERIES.items():
        points = [(row[column], row[name]) for row in rows if row[name] is not None]
        axes.plot(*zip(*points, strict=True), label=label, markersize=7, **look)
    for row in rows:
        share = f"{row['removed']:.0f} % removed" if row["removed"] else "dense"
        axes.annotate(
            share, (row[column], row[next(iter(SERIES))]), (9, -12), textcoords="offset points",
            fontsize=9, color="#59636e",
        )  # fmt: skip
    axes.set_xlabel(title)
    axes.set_xticks([row[column] for row in rows])
    axes.grid(color="#d1d9e0", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)


def main():
    """Writes the picture."""
    matplotlib.rcParams["svg.hashsalt"] = "bert-tf"  # equal numbers, equal bytes
    figure = draw(read_table((DOCS / "results.md").read_text(encoding="utf-8")))
    figure.savefig(DOCS / "images" / "pruning.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
