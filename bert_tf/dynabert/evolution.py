"""Evolutionary search of sub-networks within a limit (Once-for-All: Cai et al., 2020)."""

import numpy as np

from bert_tf.dynabert.search import best
from bert_tf.encoder.subnetwork import Subnetwork

POPULATION = 32
_PARENTS = POPULATION // 4
_RATE = 0.1  # of mutation, per list of layers and per number of units
_TRIES = 50  # per child, where most do not fit


def evolve(space, objective, fits, seeds, generations=10, seed=0):
    """Searches sub-networks that fit, from the best of others.

    Of each generation the best quarter stays, and the rest are its children: mutants of one, or
    mixtures of two.

    Args:
      space: `Space`.
      objective: `Objective`.
      fits: callable (`Subnetwork`) -> whether it is within the limit.
      seeds: list of `Subnetwork` to start from; the smallest of the space are added.
      generations: how many.
      seed: of all draws.

    Returns:
      The best `Found`, None if nothing fits.
    """
    rng = np.random.default_rng(seed)
    smallest = (space.narrowest(layers) for layers in space.depths)
    first = {(part.layers, part.units): part for part in (*seeds, *smallest) if fits(part)}
    people = [objective(part) for part in first.values()]
    for _ in range(generations if people else 0):
        people = sorted(people, key=lambda x: x.rank)[:_PARENTS]
        children = _children(space, [x.part for x in people], fits, rng)
        people += [objective(part) for part in children]
    return best(people, fits)


def _children(space, parents, fits, rng):
    """Up to as many sub-networks as fill the population, each new and within the limit."""
    seen = {(part.layers, part.units) for part in parents}
    children = []
    for _ in range(_TRIES * POPULATION):
        if len(children) == POPULATION - len(parents):
            break
        part = parents[rng.integers(len(parents))]
        if rng.random() < 0.5:
            part = _mixed(part, parents[rng.integers(len(parents))], rng)
        part = _mutant(space, part, rng)
        key = (part.layers, part.units)
        if key not in seen and fits(part):
            seen.add(key)
            children.append(part)
    return children


def _mixed(one, other, rng):
    """The layers of one, each with its units of either."""
    theirs = dict(zip(other.layers, other.units, strict=True))
    units = [
        theirs[layer] if layer in theirs and rng.random() < 0.5 else own
        for layer, own in zip(one.layers, one.units, strict=True)
    ]
    return Subnetwork(one.layers, tuple(units))


def _mutant(space, part, rng):
    """Some of its numbers drawn anew, and those of layers that it had not."""
    known = dict(zip(part.layers, part.units, strict=True))
    layers = part.layers
    if rng.random() < _RATE:
        layers = space.depths[rng.integers(len(space.depths))]
    units = []
    for layer in layers:
        drawn = [int(levels[rng.integers(len(levels))]) for levels in space.levels(layer)]
        old = known.get(layer, drawn)
        units.append(
            tuple(n if rng.random() < _RATE else o for n, o in zip(drawn, old, strict=True))
        )
    return Subnetwork(layers, tuple(units))
