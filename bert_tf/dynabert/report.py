"""What there is to choose among: metric against cost of sub-networks, as table, files, picture."""

import csv
import dataclasses
import io

from bert_tf import files
from bert_tf.dynabert import named
from bert_tf.dynabert.costs import Size
from bert_tf.encoder import Subnetwork

_KINDS = {
    "grid": ("uniform width", {"color": "#0969da", "marker": "o"}),
    "named": ("named", {"color": "#1a7f37", "marker": "^"}),
    "mixed": ("mixed widths", {"color": "#8250df", "marker": "D"}),
}
KINDS = tuple(_KINDS)
_DPI = 120


@dataclasses.dataclass(frozen=True)
class Latency:
    """Of one batch in milliseconds: median, 95th percentile; median share of the whole model's."""

    median: float
    p95: float
    of_whole: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A sub-network and what was measured of it.

    Attributes:
      part: `Subnetwork`.
      kind: one of `KINDS`, where it comes from.
      metrics: {split: {metric: value}}.
      size: `Size`.
      latency: `Latency`, None if it was not measured.
    """

    part: Subnetwork
    kind: str
    metrics: dict
    size: Size
    latency: Latency | None

    @property
    def milliseconds(self):
        """Median latency, None if it was not measured."""
        return self.latency and self.latency.median

    def value(self, metric):
        """The metric on the first split."""
        return next(iter(self.metrics.values()))[metric]


class Report:
    """Sub-networks of one model side by side.

    Args:
      metric: name of the metric that decides, the higher the better.
      rows: list of `Row`, the whole model first.
    """

    def __init__(self, metric, rows):
        self.metric = metric
        self.rows = rows
        costs = {"latency": lambda row: row.milliseconds, "parameters": _parameters}
        self.costs = {n: cost for n, cost in costs.items() if cost(rows[0]) is not None}
        self.fronts = {name: self._front(cost) for name, cost in self.costs.items()}

    def _front(self, cost):
        """Names of the rows that no other is better than at the same cost or less."""
        points = [(row.part.name, row.value(self.metric), cost(row)) for row in self.rows]
        return {
            name
            for name, value, price in points
            if not any(
                other >= value and less <= price and (other, less) != (value, price)
                for _, other, less in points
            )
        }

    def best(self, limits):
        """Returns the best `Row` within the `Limits`, of equal ones the cheapest; None if none is.

        Args:
          limits: `Limits`.
        """
        fit = [row for row in self.rows if limits.meets(row.size, row.milliseconds)]

        def rank(row):
            return -row.value(self.metric), *(cost(row) for cost in self.costs.values())

        return min(fit, key=rank, default=None)

    def require(self, limits):
        """Raises `UserError`, naming the smallest there is, if no row is within the limits."""
        limits.require({row.part.name: (row.size, row.milliseconds) for row in self.rows})

    def table(self):
        """Returns text: a line for each sub-network, with shares of the whole model's costs."""
        cells = [self._cells(row) for row in self.rows]
        columns = [[name, *(row[name] for row in cells)] for name in cells[0]]
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
            for row in zip(*columns, strict=True)
        ]
        return "\n".join(lines)

    def _cells(self, row):
        """{column: text}; those of latency are there if it was measured."""
        size, whole = row.size, self.rows[0].size
        share = size.parameters / whole.parameters
        heads, neurons = zip(*row.part.units, strict=True)
        timed = {}
        if row.latency:
            timed["ms (p95)"] = f"{row.latency.median:.2f} ({row.latency.p95:.2f})"
            timed["of whole"] = f"{row.latency.of_whole:.2f}x"
        fronts = [name for name, front in self.fronts.items() if row.part.name in front]
        return {
            "name": row.part.name,
            "layers": str(len(row.part.layers)),
            "heads": _range(heads),
            "neurons": _range(neurons),
            self.metric: f"{row.value(self.metric):.4f}",
            "parameters": f"{size.parameters / 1e6:.2f} M ({share:.0%})",
            "GFLOPs": f"{size.flops / 1e9:.2f} ({size.flops / whole.flops:.0%})",
            "MB": f"{size.megabytes:.1f}",
            **timed,
            "Pareto": ", ".join(fronts),
        }

    def to_json(self):
        """Returns {name: all that is known of the sub-network}, which `named.read` takes."""
        return {
            row.part.name: {
                **named.described(row.part),
                "kind": row.kind,
                "metrics": row.metrics,
                **dataclasses.asdict(row.size),
                "latency_ms": row.latency and dataclasses.asdict(row.latency),
                "pareto": [name for name, front in self.fronts.items() if row.part.name in front],
            }
            for row in self.rows
        }

    def write_csv(self, path):
        """Writes a line for each sub-network; lists are numbers with spaces between them."""
        text = io.StringIO()
        lines = [_flat(name, value) for name, value in self.to_json().items()]
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        files.write_text(path, text.getvalue())

    def write_picture(self, path):
        """Writes a PNG: the metric against each cost, with the front of those to choose from."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.2 * len(self.costs), 3.9), layout="constrained")
        panels = figure.subplots(1, len(self.costs), sharey=True, squeeze=False)[0]
        titles = {"latency": "latency, ms", "parameters": "parameters, millions"}
        for axes, (name, cost) in zip(panels, self.costs.items(), strict=True):
            scale = 1e-6 if name == "parameters" else 1
            self._panel(axes, lambda row, cost=cost, scale=scale: cost(row) * scale, name)
            axes.set_xlabel(titles[name])
        panels[0].set_ylabel(self.metric)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        with files.atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=_DPI)

    def _panel(self, axes, cost, name):
        front = [row for row in self.rows if row.part.name in self.fronts[name]]
        points = sorted((cost(row), row.value(self.metric)) for row in front)
        axes.plot(*zip(*points, strict=True), color="#59636e", linewidth=1, label="Pareto front")
        for kind, (label, look) in _KINDS.items():
            rows = [row for row in self.rows if row.kind == kind]
            if rows:
                axes.scatter(
                    [cost(row) for row in rows],
                    [row.value(self.metric) for row in rows],
                    label=label,
                    zorder=2,
                    **look,
                )
        for row in front:
            place = cost(row), row.value(self.metric)
            axes.annotate(row.part.name, place, (4, -9), textcoords="offset points", fontsize=7)
        axes.grid(color="#d1d9e0", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)


def _parameters(row):
    return row.size.parameters


def _range(values):
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}-{high}"


def _flat(name, value):
    """A line of the CSV file."""
    metrics = {
        f"{split}_{metric}": x
        for split, values in value["metrics"].items()
        for metric, x in values.items()
    }
    latency = value["latency_ms"] or dict.fromkeys(("median", "p95", "of_whole"))
    lists = {k: " ".join(map(str, value[k])) for k in ("layers", "heads", "neurons", "pareto")}
    return {
        "name": name,
        "kind": value["kind"],
        **lists,
        **metrics,
        **{key: value[key] for key in ("parameters", "megabytes", "flops")},
        **{f"latency_{key}": x for key, x in latency.items()},
    }
