"""Mixing: which heads and neurons each layer keeps, for a cost, from the weights as they are.

Mix'n'Match (MatFormer: Devvrit et al., 2023) takes another width in each layer of one trained
model; which ones is a search on training rows.
"""

import dataclasses
import heapq
import math

from bert_tf.encoder.subnetwork import Subnetwork, kept_units
from bert_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Found:
    """A sub-network with its loss on the sample and its cost."""

    part: Subnetwork
    loss: float
    cost: float

    @property
    def rank(self):
        """Less is better: the loss, and where it is the same the cost."""
        return self.loss, self.cost


class Objective:
    """Loss and cost of sub-networks, each computed once.

    Args:
      loss, cost: callables (`Subnetwork`) -> float.

    Attributes:
      evaluations: losses computed so far.
    """

    def __init__(self, loss, cost):
        self._loss = loss
        self._cost = cost
        self._known = {}

    @property
    def evaluations(self):
        return len(self._known)

    def __call__(self, part):
        """Returns the `Found` of a `Subnetwork`.

        Raises:
          UserError: its loss is not finite.
        """
        key = (part.layers, part.units)
        if key not in self._known:
            loss = self._loss(part)
            if not math.isfinite(loss):
                raise UserError(
                    f"--search: a sub-network of layers {list(part.layers)} has the loss {loss} on"
                    " training rows: the model overflows, so nothing can be chosen by it"
                )
            self._known[key] = Found(part, loss, self._cost(part))
        return self._known[key]


@dataclasses.dataclass(frozen=True)
class Space:
    """The sub-networks to choose among: lists of layers, and units of each layer in steps.

    The steps are one head, and the share of a head of the neurons, so that sub-networks of uniform
    width are among them.

    Attributes:
      config: `BertConfig` of the whole model.
      depths: tuple of tuples of layers.
    """

    config: object
    depths: tuple

    def levels(self, layer):
        """Returns ([heads], [neurons]) that the layer may keep, ascending."""
        heads, neurons = self.config.units_of(layer)
        counts = range(1, heads + 1)
        steps = {kept_units(heads, neurons, count / heads)[1] for count in counts}
        return list(counts), sorted(steps)

    def widest(self, layers):
        """Returns the `Subnetwork` of these layers at full width."""
        return Subnetwork(layers, tuple(self.config.units_of(layer) for layer in layers))

    def narrowest(self, layers):
        """Returns the smallest `Subnetwork` of these layers."""
        levels = map(self.levels, layers)
        return Subnetwork(layers, tuple((heads[0], neurons[0]) for heads, neurons in levels))

    def narrower(self, part, place, kind):
        """Returns the `Subnetwork` that is one step narrower in one place, None if there is none.

        Args:
          part: `Subnetwork`.
          place: which of its layers.
          kind: 0 for heads, 1 for neurons.
        """
        units = [list(pair) for pair in part.units]
        levels = self.levels(part.layers[place])[kind]
        below = [level for level in levels if level < units[place][kind]]
        if not below:
            return None
        units[place][kind] = below[-1]
        return Subnetwork(part.layers, tuple(map(tuple, units)))


def greedy(space, layers, objective, enough):
    """Removes, again and again, what raises the loss least for the cost that it saves.

    What a step would cost is computed again only when it comes first by its last value (lazy
    greedy), which finds the same steps wherever their rises grow along the way.

    Args:
      space: `Space`.
      layers: those that run.
      objective: `Objective`.
      enough: callable (`Subnetwork`) -> whether no narrower one is asked for.

    Returns:
      [`Found`] of each step, the full width first: the best mix of these layers for every cost.
    """
    now = objective(space.widest(layers))
    path = [now]
    queue = [(-math.inf, place, kind) for place in range(len(layers)) for kind in (0, 1)]
    while not enough(now.part):
        now = _next(space, now, queue, objective)
        if now is None:
            break
        path.append(now)
    return path


def _next(space, now, queue, objective):
    """The `Found` after the cheapest step, which stays in the queue for its next one."""
    while queue:
        _, place, kind = heapq.heappop(queue)
        part = space.narrower(now.part, place, kind)
        if part is None:
            continue
        found = objective(part)
        # A step may save nothing: that of a kernel of rank 0.
        price = (found.loss - now.loss) / max(now.cost - found.cost, 1e-9)
        cheapest = not queue or price <= queue[0][0]
        heapq.heappush(queue, (price, place, kind))
        if cheapest:
            return found
    return None


def best(found, fits):
    """Returns the `Found` of least loss whose `part` fits, None if none does."""
    return min((x for x in found if fits(x.part)), key=lambda x: x.rank, default=None)
