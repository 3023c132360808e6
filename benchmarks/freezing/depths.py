"""What benchmarks.freezing measured for each number of frozen layers."""

import statistics

from matplotlib.figure import Figure

from benchmarks.freezing.figures import cell

_DPI = 120
_LEFT_OUT = ("precision", "recall")  # f1 says enough


class DepthReport:
    """Metrics after each epoch for each number of frozen layers.

    Args:
      runs: list of `Measured`.
    """

    def __init__(self, runs):
        self._runs = runs
        self._depths = list(dict.fromkeys(run.variant for run in runs))
        split = next(iter(runs[0].results["metrics"]))
        self._metrics = [m for m in runs[0].results["metrics"][split] if m not in _LEFT_OUT]
        self._values = {  # {(depth, metric): [values of each seed], one list per evaluation}
            (depth, metric): list(
                zip(
                    *(
                        [e["metrics"][split][metric] for e in run.results["evaluations"]]
                        for run in runs
                        if run.variant == depth
                    ),
                    strict=True,
                )
            )
            for depth in self._depths
            for metric in self._metrics
        }

    def text(self):
        """Markdown: a table for each metric, and one of the speeds."""
        seeds = ", ".join(str(seed) for seed in dict.fromkeys(run.seed for run in self._runs))
        tables = [self._table(metric) for metric in self._metrics]
        return "\n\n".join([f"Medians (ranges) over seeds {seeds}.", *tables, self._speeds()])

    def figures(self):
        """Returns JSON-able {metric: {depth: [[values of each seed] of each epoch]}}."""
        return {
            metric: {depth: self._values[depth, metric] for depth in self._depths}
            for metric in self._metrics
        }

    def save_image(self, path):
        """Writes a PNG: a panel for each metric, a curve over the epochs for each depth."""
        figure = Figure(figsize=(4.5 * len(self._metrics), 4), layout="constrained")
        panels = figure.subplots(1, len(self._metrics), squeeze=False)[0]
        for axes, metric in zip(panels, self._metrics, strict=True):
            for depth in self._depths:
                medians = [statistics.median(v) for v in self._values[depth, metric]]
                axes.plot(self._epochs(), medians, marker="o", markersize=3, label=_depth(depth))
            axes.set_xlabel("epoch")
            axes.set_title(f"dev {metric}", fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside right center", title="frozen", frameon=False)
        figure.savefig(path, format="png", dpi=_DPI)

    def _table(self, metric):
        scale, digits = (1, 3) if metric == "loss" else (100, 2)
        heads = [f"epoch {epoch:.3g}" for epoch in self._epochs()]
        lines = [
            f"| frozen | dev {metric}{', %' if scale == 100 else ''}: {' | '.join(heads)} |",
            "|---" * (1 + len(heads)) + "|",
        ]
        for depth in self._depths:
            cells = [cell([scale * v for v in x], digits) for x in self._values[depth, metric]]
            lines.append(f"| {_depth(depth)} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def _speeds(self):
        lines = ["| frozen | training examples/s | peak memory |", "|---|---|---|"]
        for depth in self._depths:
            results = [run.results for run in self._runs if run.variant == depth]
            speed = cell([r["examples_per_second"] for r in results], 1)
            memory = max(r["environment"]["peak_memory_mb"] for r in results) / 1024
            lines.append(f"| {_depth(depth)} | {speed} | {memory:.2f} GiB |")
        return "\n".join(lines)

    def _epochs(self):
        results = self._runs[0].results
        per_step = results["epochs"] / results["global_step"]
        return [evaluation["step"] * per_step for evaluation in results["evaluations"]]


def _depth(variant):
    """What is frozen, in words."""
    kind, _, layers = variant.partition("-")
    if kind == "full":
        return "nothing"
    return layers if layers == "embeddings" else f"{layers} layer{'s' * (layers != '1')}"
