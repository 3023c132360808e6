"""Sharing a budget of parameters, FLOPs or time over the kernels of a model."""

import dataclasses

import numpy as np

SHARINGS = ("uniform", "global")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one kernel costs, in any unit that is the same for all kernels.

    Attributes:
      dense: as one matrix.
      unit: of each component of its factors.
      base: of having two factors at all, whatever their rank above 0 (time has such a part).
    """

    dense: float
    unit: float
    base: float = 0.0

    def factorized(self, rank):
        """Cost as two factors of that rank."""
        return self.base + self.unit * rank if rank else 0.0

    def of(self, rank):
        """Cost with `rank` components; None is the dense kernel."""
        return self.dense if rank is None else self.factorized(rank)


def parameter_costs(shapes, token_shares=None):
    """Returns {name: Cost} in parameters, or in multiplications per token.

    Args:
      shapes: {name: (d_in, d_out)}.
      token_shares: {name: share of all tokens that the kernel runs on}; the costs are then
        multiplications. None counts parameters.
    """
    costs = {}
    for name, (d_in, d_out) in shapes.items():
        share = 1.0 if token_shares is None else token_shares[name]
        costs[name] = Cost(dense=share * d_in * d_out, unit=share * (d_in + d_out))
    return costs


def share_ranks(spectra, costs, target_sparsity, sharing="uniform", weights=None, multiple=1):
    """Chooses the rank of each kernel so that together they meet a budget.

    Components are taken in order until the next would overspend (1 - target_sparsity) of the dense
    cost. `global` takes those that predict the most loss per unit of cost first,
    weight * sigma^2 / unit; `uniform` fills all kernels to the same share of their dense cost.
    A kernel whose factors would cost as much as itself stays dense and costs no more than that.

    Args:
      spectra: {name: singular values [n], descending}.
      costs: {name: Cost}.
      target_sparsity: share of the cost to remove, in [0, 1).
      sharing: one of `SHARINGS`.
      weights: {name: factor on sigma^2}, such as the share of tokens; 1 when None.
      multiple: ranks are multiples of this.

    Returns:
      {name: rank, or None for a kernel that stays dense}.

    Raises:
      ValueError: a target outside [0, 1), another sharing, or a multiple below 1.

    Example:
      >>> costs = parameter_costs({"a": (8, 8), "b": (8, 8)})
      >>> share_ranks({"a": np.arange(8, 0, -1), "b": np.ones(8)}, costs, 0.75, "global")
      {'a': 2, 'b': 0}
    """
    if not 0 <= target_sparsity < 1:
        raise ValueError(f"target_sparsity {target_sparsity}: expected a share in [0, 1)")
    if sharing not in SHARINGS:
        raise ValueError(f"sharing {sharing!r}: expected one of {', '.join(SHARINGS)}")
    if multiple < 1:
        raise ValueError(f"multiple {multiple}: expected 1 or more")
    budget = (1 - target_sparsity) * sum(cost.dense for cost in costs.values())
    groups = []  # (priority, name, rank that it makes)
    for name, sigma in spectra.items():
        weight = 1.0 if weights is None else weights[name]
        gains = weight * np.asarray(sigma, np.float64) ** 2
        for first in range(0, len(gains), multiple):
            rank = min(first + multiple, len(gains))
            if sharing == "global":
                priority = gains[first:rank].mean() / costs[name].unit
            else:
                priority = -costs[name].factorized(rank) / costs[name].dense
            groups.append((priority, name, rank))
    groups.sort(key=lambda group: -group[0])  # stable: a kernel's components stay in their order
    return _fill(groups, costs, budget)


def _fill(groups, costs, budget):
    ranks, spent = dict.fromkeys(costs, 0), dict.fromkeys(costs, 0.0)
    total = 0.0
    for _, name, rank in groups:
        cost = min(costs[name].factorized(rank), costs[name].dense)
        if total - spent[name] + cost > budget * (1 + 1e-12):  # but for rounding of the sums
            break
        total += cost - spent[name]
        ranks[name], spent[name] = rank, cost
    return {
        name: None if rank and costs[name].factorized(rank) >= costs[name].dense else rank
        for name, rank in ranks.items()
    }
