"""When to freeze a layer: AutoFreeze's rule, its random control, and a schedule.

A policy looks at each layer's gradients over the interval that just ended and at those over the
interval before (Liu et al., "AutoFreeze: Automatically Freezing Model Blocks to Accelerate
Fine-tuning", 2021, arXiv:2102.01386).
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Decision:
    """What a policy made of one test.

    Attributes:
      frozen: layers to freeze, counted from the bottom; never fewer than before.
      etas: float [layers], relative change of each layer's gradient norm, 0 for frozen layers; None
        where the policy did not look at any.
      threshold: what a layer's eta must be below for it to freeze; None where there is none.
    """

    frozen: int
    etas: list[float] | None = None
    threshold: float | None = None


def change_rates(reference, norms, frozen):
    """Returns float64 [layers]: eta_l = |reference_l - norms_l| / reference_l.

    It is 0 for frozen layers and where the norm is 0, infinite where only the reference is 0, and
    NaN where a norm is no number.
    """
    reference, norms = np.asarray(reference, float), np.asarray(norms, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        etas = np.abs(reference - norms) / reference
    etas[norms == 0] = 0.0
    etas[:frozen] = 0.0
    return etas


def freeze_below_percentile(etas, frozen, percentile, most=None):
    """The rule: live layers freeze from the bottom while their eta is strictly below a percentile.

    The search begins at the lowest live layer, so that nothing ever thaws; the last layer stays
    live, whatever its eta. Etas that are not finite freeze nothing.

    Args:
      etas: float [layers].
      frozen: layers frozen already.
      percentile: 0 to 100, of the live layers' etas, interpolated linearly; 0 freezes nothing.
      most: freeze no more layers than this; all but the last when None.

    Returns:
      `Decision`.
    """
    etas = np.asarray(etas, float)
    most = len(etas) - 1 if most is None else min(most, len(etas) - 1)
    live = etas[frozen:]
    if not np.all(np.isfinite(live)):
        return Decision(frozen, etas.tolist())
    threshold = float(np.percentile(live, percentile))
    quiet = int(np.argmax(live >= threshold))  # the largest is never below it
    return Decision(max(frozen, min(frozen + quiet, most)), etas.tolist(), threshold)


class _AtIntervals:
    """A policy that is asked at the end of each interval."""

    def due(self, before, step, interval):
        """Returns whether one of the updates after `before` up to `step` ends an interval."""
        return step // interval > before // interval


class GradientChange(_AtIntervals):
    """AutoFreeze's policy: layers whose gradients changed least, relative to the test before.

    Args:
      percentile: of the live layers' etas, see `freeze_below_percentile`.
      most: freeze no more layers than this.
    """

    needs_gradients = True

    def __init__(self, percentile=50, most=None):
        self.percentile = percentile
        self.most = most

    def decide(self, step, reference, norms, frozen):
        """Returns the `Decision` after `step` updates; the first test only sets the reference."""
        del step
        if reference is None:
            return Decision(frozen)
        etas = change_rates(reference, norms, frozen)
        return freeze_below_percentile(etas, frozen, self.percentile, self.most)


class RandomChange(_AtIntervals):
    """The control: the same rule on etas drawn from [0, 1), which know nothing of the gradients.

    Args:
      layers: number of encoder layers.
      percentile, most: as for `GradientChange`.
      seed: integer; the etas are a pure function of it and the step.
    """

    needs_gradients = False

    def __init__(self, layers, percentile=50, most=None, seed=0):
        self.layers = layers
        self.percentile = percentile
        self.most = most
        self.seed = seed

    def decide(self, step, reference, norms, frozen):
        """Returns the `Decision`; `reference` is None at the first test, which freezes nothing."""
        if reference is None:
            return Decision(frozen)
        etas = np.random.default_rng([self.seed, step]).random(self.layers)
        etas[:frozen] = 0
        return freeze_below_percentile(etas, frozen, self.percentile, self.most)


class Schedule:
    """Freezes given numbers of layers after given updates, whatever the intervals.

    Args:
      layers_from: {updates done, 1 or more: layers frozen from then on}.
    """

    needs_gradients = False

    def __init__(self, layers_from):
        self.layers_from = dict(layers_from)

    def due(self, before, step, interval):
        """Returns whether one of the given updates is after `before` and up to `step`."""
        del interval
        return any(before < start <= step for start in self.layers_from)

    def decide(self, step, reference, norms, frozen):
        """Returns the `Decision`: the layers of the last step that is reached."""
        del reference, norms
        due = [n for start, n in self.layers_from.items() if start <= step]
        return Decision(max([frozen, *due]))
