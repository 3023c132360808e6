"""One mix of widths for each limit: greedy paths of every depth, and evolution from there."""

import dataclasses
from collections.abc import Callable

from absl import logging

from bert_tf.dynabert.evolution import evolve
from bert_tf.dynabert.search import best, greedy


@dataclasses.dataclass(frozen=True)
class Target:
    """A limit to mix for.

    Attributes:
      name: of the sub-network to be found, such as `mix_20ms`.
      fits: callable (`Subnetwork`) -> whether it is within the limit; where one is, narrower ones
        are.
    """

    name: str
    fits: Callable


def mix(space, objective, targets, known, generations=0, seed=0):
    """Finds the sub-network of least loss for each limit.

    Args:
      space: `Space`.
      objective: `Objective`.
      targets: list of `Target`.
      known: list of `Subnetwork` to beat, such as those of uniform width.
      generations: of an evolution from what greedy steps have found; 0 leaves it out.
      seed: of the evolution.

    Returns:
      [`Subnetwork`] by the names of the targets, without those that are `known` or found for an
      earlier target, and without targets that nothing meets.
    """

    def enough(part):
        return all(target.fits(part) for target in targets)

    candidates = [objective(part) for part in known]
    for layers in space.depths:
        before = objective.evaluations
        path = greedy(space, layers, objective, enough)
        candidates += path
        logging.info(
            "greedy: %d steps from all of layers %s, %d evaluations",
            len(path) - 1, list(layers), objective.evaluations - before,
        )  # fmt: skip
    seen = {(part.layers, part.units) for part in known}
    mixes = []
    for target in targets:
        found = best(candidates, target.fits)
        if generations:
            seeds = [x.part for x in candidates]
            found = evolve(space, objective, target.fits, seeds, generations, seed)
            logging.info("%s: %d evaluations so far", target.name, objective.evaluations)
        if found is None or (found.part.layers, found.part.units) in seen:
            continue
        seen.add((found.part.layers, found.part.units))
        mixes.append(dataclasses.replace(found.part, name=target.name))
    return mixes
