"""The learning rate as a function of the share x of the budget that is spent."""

import dataclasses
import math

_AFTER_WARMUP = {
    "linear": lambda z, rate: 1 - z,
    "polynomial": lambda z, rate: (1 - z) ** rate.power,
    "cosine": lambda z, rate: 0.5 * (1 + math.cos(math.pi * z)),
    "constant": lambda z, rate: 1.0,
    "exp": lambda z, rate: rate.decay ** (z * (1 - rate.warmup) / rate.decay_interval),
}
CURVES = (*_AFTER_WARMUP, "triangle")


@dataclasses.dataclass(frozen=True)
class Rate:
    """`rate(x)`: the learning rate for the next update when the share x of the budget is spent.

    While x < warmup it rises from 0, as peak * x / warmup, or under "exp" as 24hBERT's square of
    it. From there on it falls from the peak to `minimum` by the curve in z = (x - warmup) / (1 -
    warmup): linear 1 - z, polynomial (1 - z)^power, cosine (1 + cos(pi z)) / 2, constant 1, exp
    decay^((x - warmup) / decay_interval). (24hBERT divides by max(1 hour, ...), by which budgets
    near an hour lose their peak: its bug B3.) "triangle" is Cramming's triangle2, without warm-up:
    min(1/4 + x, 4 - 4 x). At x = 0 the rate of a warm-up is 0: that update would be lost, but only
    a run counted in steps has it, as in Google BERT.

    Attributes:
      peak: the highest rate.
      curve: one of `CURVES`.
      warmup: share of the budget over which the rate rises, in [0, 1).
      minimum: the rate that the fall ends at.
      power: of "polynomial".
      decay, decay_interval: of "exp": the factor, and the share of the budget per which it applies.
    """

    peak: float
    curve: str = "linear"
    warmup: float = 0.06
    minimum: float = 0.0
    power: float = 2.0
    decay: float = 0.01
    decay_interval: float = 1.0

    def __call__(self, x):
        x = min(max(x, 0.0), 1.0)
        if self.curve == "triangle":
            return self._between(min(0.25 + x, 4 - 4 * x))
        if x < self.warmup:
            rise = x / self.warmup
            return self.peak * (rise * rise if self.curve == "exp" else rise)
        z = (x - self.warmup) / (1 - self.warmup)
        return self._between(_AFTER_WARMUP[self.curve](z, self))

    def _between(self, height):
        return self.minimum + (self.peak - self.minimum) * height
