"""What a sub-network may cost."""

import dataclasses

from bert_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a model, each None for none.

    Attributes:
      latency_ms: median latency in milliseconds.
      parameters: numbers of all its arrays.
      megabytes: size of its checkpoint, 10^6 bytes.
    """

    latency_ms: float | None = None
    parameters: int | None = None
    megabytes: float | None = None

    def __bool__(self):
        return any(limit is not None for limit in dataclasses.astuple(self))

    @property
    def name(self):
        """Short name for tables and files, such as `20ms_67M`."""
        words = (
            (self.latency_ms, 1, "ms"),
            (self.parameters, 1e6, "M"),
            (self.megabytes, 1, "MB"),
        )
        return "_".join(f"{x / unit:g}{word}" for x, unit, word in words if x is not None)

    def meets(self, size, latency_ms=None):
        """Whether a sub-network is within the limits.

        Args:
          size: its `Size`.
          latency_ms: its latency; None leaves that limit out.
        """
        pairs = (
            (latency_ms, self.latency_ms),
            (size.parameters, self.parameters),
            (size.megabytes, self.megabytes),
        )
        return all(x <= most for x, most in pairs if None not in (x, most))

    def require(self, costs):
        """Raises `UserError`, naming the smallest there is, if none is within the limits.

        Args:
          costs: {name: (`Size`, latency in ms or None)} of the sub-networks.
        """
        if any(self.meets(*cost) for cost in costs.values()):
            return
        limits = (
            ("max_latency_ms", self.latency_ms, lambda size, latency: latency, "{:.2f} ms"),
            ("max_parameters", self.parameters, lambda size, _: size.parameters, "{:,} parameters"),
            ("max_mb", self.megabytes, lambda size, _: size.megabytes, "{:.1f} MB"),
        )
        given, least = [], []
        for flag, limit, measure, text in limits:
            values = {name: measure(*cost) for name, cost in costs.items()}
            if limit is None or None in values.values():
                continue
            name = min(values, key=values.get)
            given.append(f"--{flag}={limit}")
            least.append(f"{name} with {text.format(values[name])}")
        raise UserError(
            f"no sub-network is within {' and '.join(given)}: the smallest there is:"
            f" {', '.join(least)}: raise the limit, add smaller widths and depths, or --search"
        )
