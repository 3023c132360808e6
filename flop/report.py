"""What pruning left of each kernel: a table as text, and a picture."""

import dataclasses
import posixpath
import re

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flop import compaction

FACTORIZED, DENSE, BIAS_ONLY = "factorized", "dense", "bias only"
_COLOURS = "YlGnBu"
_DPI = 100


@dataclasses.dataclass(frozen=True)
class KernelRow:
    """One kernel, before and after.

    Attributes:
      name: its variable scope.
      d_in, d_out: input and output units.
      rank_before: components of the factorised kernel; None if it was dense.
      rank: components kept; None if it was dense before.
      form: `factorized`, `dense` (merged back, or never factorised) or `bias only` (rank 0).
    """

    name: str
    d_in: int
    d_out: int
    rank_before: int | None
    rank: int | None
    form: str

    @classmethod
    def of(cls, name, d_in, d_out, rank_before=None, rank=None, merge_dense=True):
        """Returns the row of a kernel cut to `rank`; no ranks for one that was never factorised."""
        if rank is None or (merge_dense and compaction.is_cheaper_dense(rank, d_in, d_out)):
            form = DENSE
        else:
            form = FACTORIZED if rank else BIAS_ONLY
        return cls(name, d_in, d_out, rank_before, rank, form)

    @property
    def dense_parameters(self):
        """d_in * d_out."""
        return self.d_in * self.d_out

    @property
    def parameters_before(self):
        """Parameters of the two factors, or of the dense kernel."""
        if self.rank_before is None:
            return self.dense_parameters
        return self.rank_before * (self.d_in + self.d_out)

    @property
    def parameters(self):
        """Parameters that are left, without the bias."""
        if self.rank is None or self.form == DENSE:
            return self.dense_parameters
        return self.rank * (self.d_in + self.d_out)

    @property
    def share(self):
        """Parameters left, as a share of the dense kernel's (above 1 when not merged)."""
        return self.parameters / self.dense_parameters


@dataclasses.dataclass(frozen=True)
class Totals:
    """Sums over rows: `dense`, `before` and `after`, all in parameters."""

    dense: int
    before: int
    after: int

    @classmethod
    def of(cls, rows):
        """Returns the sums over [`KernelRow`]."""
        return cls(
            sum(row.dense_parameters for row in rows),
            sum(row.parameters_before for row in rows),
            sum(row.parameters for row in rows),
        )


def table(rows):
    """Returns the report as text: a line per kernel, then the totals.

    Args:
      rows: [`KernelRow`].

    Example line: `layer_0/output/dense  3072 x 768  768 -> 280  factorized  1,075,200   45.6 %`.
    """
    names = _short_names(rows)
    cells = [("kernel", "shape", "rank", "form", "parameters", "of dense")]
    for row, name in zip(rows, names, strict=True):
        rank = "" if row.rank is None else f"{row.rank_before} -> {row.rank}"
        shape = f"{row.d_in} x {row.d_out}"
        cells.append((name, shape, rank, row.form, f"{row.parameters:,}", f"{row.share:.1%}"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    align = "<>><>>"
    lines = [
        "  ".join(f"{c:{a}{w}}" for c, a, w in zip(line, align, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, _summary(rows)])


def _summary(rows):
    totals = Totals.of(rows)
    forms = [row.form for row in rows]
    counts = [f"{forms.count(f)} {f}" for f in (FACTORIZED, DENSE, BIAS_ONLY) if f in forms]
    return (
        f"{len(rows)} kernels ({', '.join(counts)}): {totals.after:,} parameters,"
        f" {totals.after / totals.dense:.1%} of {totals.dense:,} dense ones,"
        f" {_ratio(totals.after, totals.before):.1%} of {totals.before:,} before"
    )


def _ratio(part, whole):
    return part / whole if whole else 0.0  # a model whose ranks were all 0 before


def save_ranks_image(path, rows):
    """Writes the picture of `ranks_image` as a PNG file.

    Raises:
      OSError: it cannot be written.
    """
    _figure(rows).savefig(path, format="png", dpi=_DPI)


def ranks_image(rows):
    """Draws the share of the dense parameters that each kernel keeps, and its rank.

    A heat map of layers and kinds of kernels when the names are those of a stack of like layers
    (`.../layer_0/attention/query`), else a bar for each kernel.

    Args:
      rows: [`KernelRow`].

    Returns:
      uint8 [height, width, 3].
    """
    figure = _figure(rows)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _figure(rows):
    grid = _grid(rows)
    figure = _draw_bars(rows) if grid is None else _draw_grid(*grid)
    totals = Totals.of(rows)
    figure.suptitle(
        f"{totals.after:,} of {totals.dense:,} dense kernel parameters kept"
        f" ({totals.after / totals.dense:.1%})",
        fontsize=11,
    )
    return figure


def _grid(rows):
    """Returns (layer numbers, kinds, {(layer, kind): row}), or None if the names are no grid."""
    cells = {}
    for row, name in zip(rows, _short_names(rows), strict=True):
        found = re.fullmatch(r"[^\d/]*(\d+)/(.+)", name)
        if not found:
            return None
        cells[int(found[1]), found[2]] = row
    layers = sorted({layer for layer, _ in cells})
    kinds = list(dict.fromkeys(kind for _, kind in cells))
    if len(kinds) < 2 or len(cells) < len(rows) or len(cells) < len(layers) * len(kinds):
        return None
    return layers, kinds, cells


def _draw_grid(layers, kinds, cells):
    size = 1.1 * len(kinds) + 2.2, max(3.0, 0.42 * len(layers) + 1.7)  # inches
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    shares = np.array([[cells[layer, kind].share for kind in kinds] for layer in layers])
    largest = max(1, shares.max())
    image = axes.imshow(shares, cmap=_COLOURS, vmin=0, vmax=largest, aspect="auto")
    for y, layer in enumerate(layers):
        for x, kind in enumerate(kinds):
            row = cells[layer, kind]
            colour = "white" if row.share > 0.6 * largest else "black"
            axes.text(x, y, _cell_text(row), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(kinds)), [kind.replace("/", "\n") for kind in kinds], fontsize=8)
    axes.set_yticks(range(len(layers)), layers, fontsize=8)
    axes.set_ylabel("layer", fontsize=9)
    axes.set_xticks(np.arange(len(kinds) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(layers) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, format=_percent, pad=0.02, aspect=30)
    bar.set_label("share of the dense parameters", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return figure


def _draw_bars(rows):
    names = _short_names(rows)
    figure = Figure(figsize=(7, 0.32 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(rows)), [row.share for row in rows], color="#2c7fb8", height=0.7)
    for y, row in enumerate(rows):
        axes.text(row.share, y, f" {_cell_text(row)}", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max(1, *(row.share for row in rows)))
    axes.xaxis.set_major_formatter(_percent)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("share of the dense parameters", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _percent(value, _=None):
    return f"{value:.0%}"


def _cell_text(row):
    """`33%  r 128`: the share and the rank, or what else the kernel has become."""
    if row.form != FACTORIZED:
        return row.form
    share = f"{row.share:.0%}" if row.share >= 0.01 else "<1%"
    return f"{share}  r {row.rank}"


def _short_names(rows):
    """The names without the leading folders, free of numbers, that all of them share."""
    folders = posixpath.commonpath([row.name.rpartition("/")[0] for row in rows]) + "/"
    shared = re.findall(r"^(?:[^/\d]+/)*", folders)[0]
    return [row.name[len(shared) :] for row in rows]
