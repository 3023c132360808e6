"""What one run of benchmarks.freezing took and reached."""

import dataclasses
import statistics

from benchmarks.freezing.forward import state_name

TIMES = ("forward", "backward", "tracing", "evaluation", "checkpoints", "other")
CACHE_TIMES = ("read", "compute", "write")


@dataclasses.dataclass(frozen=True)
class Measured:
    """A run that is done.

    Attributes:
      variant: its name.
      seed: integer.
      results: content of results.json.
      beside: names of the runs, VARIANT-SEED, that it took turns with.
      forward: the forward pass's share of a step, see `forward_shares`.
    """

    variant: str
    seed: int
    results: dict
    beside: list
    forward: dict

    @property
    def main_metric(self):
        """(name, value) of the task's main metric on its first dev split."""
        return next(iter(next(iter(self.results["metrics"].values())).items()))

    @property
    def wall_seconds(self):
        """Seconds from the start of the training to its end, pauses left out."""
        return self.results["seconds"]["this_session"]

    @property
    def seconds(self):
        """{part of `TIMES`: seconds}, which make up `wall_seconds`; updates are in backward."""
        found, phases = self.results["seconds"], self.results["phases"]
        steps = sum(phase["seconds"] for phase in phases)
        forward = sum(phase["seconds"] * self._forward_share(phase) for phase in phases)
        forward *= 1 - found["tracing"] / steps
        backward = steps - found["tracing"] - forward
        parts = [forward, backward, found["tracing"], found["evaluation"], found["checkpoints"]]
        return dict(zip(TIMES, [*parts, self.wall_seconds - sum(parts)], strict=True))

    def _forward_share(self, phase):
        return self.forward[state_name(phase["frozen_layers"], phase["cached"])]

    @property
    def cache_seconds(self):
        """{read, compute, write: seconds} of the cache, beside the steps; zeros without one."""
        found = self.results.get("freezing", {}).get("cache_seconds", {})
        return {name: found.get(name, 0.0) for name in CACHE_TIMES}

    @property
    def frozen_layers(self):
        """Encoder layers that were frozen at the end."""
        return self.results.get("freezing", {}).get("frozen_layers", 0)

    @property
    def curve(self):
        """[(share of the training, layers frozen from there on)], from 0 to 1."""
        freezing, steps = self.results.get("freezing", {}), self.results["global_step"]
        decisions = [(d["step"] / steps, d["frozen"]) for d in freezing.get("decisions", [])]
        at_first = self.frozen_layers if freezing.get("policy") == "static" else 0
        return [(0.0, at_first), *decisions, (1.0, self.frozen_layers)]


def median(values):
    """Returns the median of the numbers among `values`, or None."""
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def medians(values):
    """{name: median} of several {name: number}."""
    values = list(values)
    return {name: statistics.median(v[name] for v in values) for name in values[0]}


def cell(values, digits, unit=""):
    """Returns `median (least to largest)` of numbers, or "" where one is missing (None)."""
    if None in values:
        return ""
    text = f"{statistics.median(values):.{digits}f}{unit}"
    if len(values) < 2:
        return text
    return f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"
