"""What benchmarks.freezing measured of its variants, as tables and as a picture."""

import statistics

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.freezing.figures import CACHE_TIMES, TIMES, cell, median, medians

_DPI = 120
_MIN_STEPS = 10  # of a phase whose step time is worth a line
_FULL = "full"


class PolicyReport:
    """Variants side by side.

    Args:
      runs: list of `Measured`.
    """

    def __init__(self, runs):
        self._runs = runs
        self._full = {run.seed: run for run in runs if run.variant == _FULL}
        self._variants = list(dict.fromkeys(run.variant for run in runs))

    def text(self):
        """Markdown: outcome, time by phase, step times against the ceilings."""
        seeds = ", ".join(str(seed) for seed in dict.fromkeys(run.seed for run in self._runs))
        notes = [f"Medians (ranges) over seeds {seeds}.", *self._not_interleaved()]
        parts = [" ".join(notes), self._outcome(), self._time(), self._steps()]
        return "\n\n".join(parts)

    def figures(self):
        """Returns JSON-able {"runs": [figures of each run], "step_times": [...]}."""
        runs = [
            {
                "variant": run.variant,
                "seed": run.seed,
                **dict([run.main_metric]),
                "examples_per_second": run.results["examples_per_second"],
                "speed": self._speed(run),
                "seconds": {"all": run.wall_seconds, **run.seconds},
                "whole_run_speed": self._whole_run_speed(run),
                "cache_seconds": run.cache_seconds,
                "frozen_layers": run.frozen_layers,
                "curve": run.curve,
            }
            for run in self._runs
        ]
        return {"runs": runs, "step_times": self._step_times()}

    def save_image(self, path):
        """Writes a PNG: speed against metric, frozen layers over the training, time by phase."""
        figure = Figure(figsize=(13, 4), layout="constrained")
        speed, curve, time = figure.subplots(1, 3)
        colors = {name: f"C{i % 10}" for i, name in enumerate(self._variants)}
        for name in self._variants:
            runs = self._of(name)
            x = [self._speed(run) or float("nan") for run in runs]
            y = [100 * run.main_metric[1] for run in runs]
            speed.scatter(x, y, color=colors[name], s=14, alpha=0.5)
            middle = statistics.median(x), statistics.median(y)
            speed.scatter(*middle, color=colors[name], s=60, label=name)
            for run in runs:
                share, layers = zip(*run.curve, strict=True)
                curve.step(share, layers, where="post", color=colors[name], alpha=0.7)
        speed.set_xlabel("training speed, full = 1")
        speed.set_ylabel(f"dev {self._metric()}, %")
        curve.set_xlabel("share of the training")
        curve.yaxis.set_major_locator(MaxNLocator(integer=True))
        curve.set_ylabel("frozen layers, a line for each seed")
        self._draw_time(time)
        for axes in (speed, curve, time):
            axes.spines[["top", "right"]].set_visible(False)
        handles = speed.get_legend_handles_labels()
        figure.legend(
            *handles, loc="outside upper center", ncols=min(6, len(colors)), frameon=False
        )
        figure.savefig(path, format="png", dpi=_DPI)

    def _draw_time(self, axes):
        rows = range(len(self._variants))
        for height, offset, what, hatch in (
            (0.5, -0.15, lambda run: run.seconds, None),
            (0.2, 0.25, lambda run: run.cache_seconds, "////"),
        ):
            bars = [medians(what(run) for run in self._of(name)) for name in self._variants]
            left = [0.0] * len(rows)
            for index, part in enumerate(bars[0]):
                widths = [bar[part] for bar in bars]
                label = f"cache, {part} (beside)" if hatch else part
                color = f"C{index}" if not hatch else f"C{index + len(TIMES)}"
                places = [row + offset for row in rows]
                axes.barh(
                    places, widths, height, left, label=label, color=color, hatch=hatch, alpha=0.8
                )
                left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.set_yticks(rows, self._variants, fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel("seconds")
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.4, -0.16), ncols=3, fontsize=7, frameon=False
        )

    def _outcome(self):
        lines = [
            f"| variant | layers frozen at the end | dev {self._metric()}, % | training examples/s"
            " | training speed | seconds | speed of the whole run |",
            "|---" * 7 + "|",
        ]
        for name in self._variants:
            runs = self._of(name)
            cells = (
                cell([run.frozen_layers for run in runs], 0),
                cell([100 * run.main_metric[1] for run in runs], 2),
                cell([run.results["examples_per_second"] for run in runs], 1),
                cell([self._speed(run) for run in runs], 2, "x"),
                cell([run.wall_seconds for run in runs], 0),
                cell([self._whole_run_speed(run) for run in runs], 2, "x"),
            )
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return "\n".join(lines) + (
            "\n\nTraining: without evaluation and checkpoints, which the whole run has. Speeds are"
            " ratios to `full` with the same seed."
        )

    def _time(self):
        lines = [
            f"| seconds | {' | '.join(TIMES)} | cache: {' | '.join(CACHE_TIMES)} | peak memory |",
            "|---" * (2 + len(TIMES) + len(CACHE_TIMES)) + "|",
        ]
        for name in self._variants:
            runs = self._of(name)
            parts = medians({**run.seconds, **run.cache_seconds} for run in runs)
            cells = [f"{parts[part]:.1f}" for part in (*TIMES, *CACHE_TIMES)]
            memory = max(run.results["environment"]["peak_memory_mb"] for run in runs) / 1024
            lines.append(f"| {name} | {' | '.join(cells)} | {memory:.2f} GiB |")
        return "\n".join(lines) + (
            "\n\nBackward is backward pass and update: steps are timed whole, and split as passes"
            " and steps alone take. Tracing is what the first step after a start or freeze takes"
            " longer. The cache works beside the steps, which wait for it where it is slower: its"
            " seconds are not in the others."
        )

    def _steps(self):
        lines = [
            "| variant | frozen layers | steps | ms per 1000 tokens | of full | by FLOPs"
            " | difference |",
            "|---" * 7 + "|",
        ]
        for row in self._step_times():
            frozen = "none" if row["frozen_layers"] is None else row["frozen_layers"]
            cells = [row["variant"], f"{frozen}{', from cache' if row['cached'] else ''}"]
            cells += [row["steps"], f"{1e3 * row['seconds_per_1000_tokens']:.1f}"]
            if row["of_full"] is None:
                cells += ["", f"{row['ceiling']:.0%}", ""]
            else:
                difference = row["of_full"] / row["ceiling"] - 1
                cells += [
                    f"{row['of_full']:.0%}",
                    f"{row['ceiling']:.0%}",
                    f"{difference:+.0%}",
                ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
        return "\n".join(lines) + (
            "\n\nMedian step, per 1000 tokens with padding, of all steps with so many frozen"
            " layers; by FLOPs a backward pass is two forward passes of what trains."
        )

    def _step_times(self):
        """Figures of each (variant, frozen layers, from cache or not), medians over seeds."""
        found = {}
        for run in self._runs:
            for phase in run.results["phases"]:
                if phase["steps"] >= _MIN_STEPS:
                    key = run.variant, phase["frozen_layers"], phase["cached"]
                    found.setdefault(key, []).append((run, phase))
        return [
            {
                "variant": variant,
                "frozen_layers": frozen,
                "cached": cached,
                "steps": sum(phase["steps"] for _, phase in phases),
                "seconds_per_1000_tokens": statistics.median(_per_token(p) for _, p in phases),
                "of_full": median(self._of_full(run, phase) for run, phase in phases),
                "ceiling": phases[0][1]["ceiling"],
            }
            for (variant, frozen, cached), phases in found.items()
        ]

    def _of_full(self, run, phase):
        full = self._full.get(run.seed)
        return full and _per_token(phase) / _per_token(full.results["phases"][0])

    def _speed(self, run):
        full = self._full.get(run.seed)
        speed = run.results["examples_per_second"]
        return full and speed / full.results["examples_per_second"]

    def _whole_run_speed(self, run):
        full = self._full.get(run.seed)
        return full and full.wall_seconds / run.wall_seconds

    def _not_interleaved(self):
        """A sentence if some ratio is of runs that did not take turns."""
        apart = [
            f"{run.variant}-{run.seed}"
            for run in self._runs
            if run.seed in self._full and f"{_FULL}-{run.seed}" not in run.beside
        ]
        if apart:
            yield f"Measured at another time than full: {', '.join(apart)}."

    def _metric(self):
        return self._runs[0].main_metric[0]

    def _of(self, variant):
        return [run for run in self._runs if run.variant == variant]


def _per_token(phase):
    return phase["median_seconds_per_1000_tokens"]
