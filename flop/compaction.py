"""From masked kernels to small ones: gates folded in, closed components cut, merged where cheaper.

A masked kernel is y = ((x P) * z) Q + b with one gate z_j for each inner dimension j, called a
component here (FLOP: Wang et al., 2020, "Structured Pruning of Large Language Models"). Everything
is numpy, one kernel at a time, and knows no model.
"""

import dataclasses

import numpy as np

from flop import hard_concrete, sparsity


@dataclasses.dataclass(frozen=True)
class MaskedKernel:
    """A factorised kernel and what its gates are made of.

    Attributes:
      p: float [d_in, rank].
      q: float [rank, d_out].
      log_alpha: float [rank].
    """

    p: np.ndarray
    q: np.ndarray
    log_alpha: np.ndarray

    @property
    def d_in(self):
        """Input units."""
        return self.p.shape[0]

    @property
    def d_out(self):
        """Output units."""
        return self.q.shape[1]

    @property
    def rank(self):
        """Components."""
        return self.p.shape[1]

    def gates(self, evaluation="clipped"):
        """Returns the deterministic gates, float32 [rank]: what the masked model multiplies with.

        Args:
          evaluation: `clipped` or `hard`, see `hard_concrete.gate`.
        """
        log_alpha = np.asarray(self.log_alpha, np.float32)
        return hard_concrete.gate(log_alpha, evaluation).numpy()


def is_cheaper_dense(rank, d_in, d_out):
    """Whether factors of this rank have at least as many parameters as the dense kernel."""
    return rank * (d_in + d_out) >= d_in * d_out


def parameters(rank, d_in, d_out, merge_dense=True):
    """Returns the parameters of a kernel of `rank`, the dense ones if merging makes them fewer."""
    if merge_dense and is_cheaper_dense(rank, d_in, d_out):
        return d_in * d_out
    return rank * (d_in + d_out)


def open_components(gates, threshold=0.0):
    """Returns bool [rank]: gates above `threshold`; at 0 the cut model has the same outputs."""
    return gates > threshold


def fold(kernel, gates, keep):
    """Folds the gates into P and cuts what is not kept.

    Args:
      kernel: `MaskedKernel`.
      gates: float [rank].
      keep: bool [rank].

    Returns:
      (P * z, Q) of the kept components, float32 [d_in, kept] and [kept, d_out]; kept may be 0.
    """
    p = np.asarray(kernel.p, np.float32)[:, keep] * gates[keep]
    return p, np.asarray(kernel.q, np.float32)[keep]


def merge(p, q):
    """Returns the dense kernel P Q, float32 [d_in, d_out], summed in float64."""
    return (p.astype(np.float64) @ q.astype(np.float64)).astype(np.float32)


def choose_cut(
    kernels,
    gates,
    target_sparsity,
    base="dense",
    merge_dense=True,
    dense_parameters=0,
):
    """Chooses the components to keep, so that the compact model has a given sparsity.

    Components of all kernels go in the order of their log_alpha, lowest first (ties: the smaller
    |p_j| |q_j|), until the rest fits: kept parameters <= (1 - target) * base, by less than one
    component. If the closed gates alone are more than that, those of them with the highest
    log_alpha stay, see `kept_gates`. The components with an all-zero factor that a full SVD has go
    in any case. With `merge_dense` a kernel costs its dense size at most, so one that is merged in
    the end keeps all its open components: they are free.

    Args:
      kernels: {name: `MaskedKernel`}.
      gates: {name: float [rank]}, from `MaskedKernel.gates`.
      target_sparsity: share of the base to remove, in [0, 1].
      base: `dense` (the sum of d_in * d_out) or `factorized` (the sum of all P and Q, as the
        TensorFlow port of FLOP counts).
      merge_dense: whether kernels at or above break-even will be merged.
      dense_parameters: of kernels that were never factorised; they count as base and as kept.

    Returns:
      {name: bool [rank]}.

    Raises:
      ValueError: target or base is none, or the target cannot be met: all components are smaller
        than that already, or the dense kernels alone are larger. The message says what can be.
    """
    total = dense_parameters + base_parameters(kernels, base)
    if not 0 <= target_sparsity <= 1:
        raise ValueError(f"target_sparsity={target_sparsity}: expected a number in [0, 1]")
    budget = int((1 - target_sparsity) * total + 1e-6)  # 1 - 0.9 is a little less than 0.1
    norms = {name: _norms(kernel) for name, kernel in kernels.items()}
    opened = {name: open_components(gates[name]) & (norms[name] > 0) for name in kernels}
    closed = {name: ~opened[name] & (norms[name] > 0) for name in kernels}
    cut = _Cut(kernels, opened, merge_dense, dense_parameters)
    for name, component in _cutting_order(kernels, norms, opened):
        if cut.kept <= budget:
            break
        cut.change(name, component, False)
    if cut.kept > budget:
        raise ValueError(
            f"target_sparsity={target_sparsity}: with every component cut, the kernels that were"
            f" never factorised still leave a sparsity of {1 - cut.kept / total:.4f}: expected"
            " that or less"
        )
    nothing_cut = all(cut.keep[name].sum() == opened[name].sum() for name in kernels)
    all_open = nothing_cut and _reopen(cut, _cutting_order(kernels, norms, closed), budget)
    if all_open and cut.kept <= budget - max(k.d_in + k.d_out for k in kernels.values()):
        raise ValueError(
            f"target_sparsity={target_sparsity}: with nothing cut but what does nothing,"
            f" the sparsity is {1 - cut.kept / total:.4f} already: expected that or more"
        )
    for name, kernel in kernels.items():
        if merge_dense and is_cheaper_dense(cut.ranks[name], kernel.d_in, kernel.d_out):
            cut.keep[name] |= opened[name]
    return cut.keep


def kept_gates(kernel, gates, keep):
    """Returns `gates` with those that are closed and yet kept at their mean, float [rank]."""
    log_alpha = np.asarray(kernel.log_alpha, np.float32)
    return np.where(keep & (gates <= 0), hard_concrete.soft_gate(log_alpha).numpy(), gates)


class _Cut:
    """Which components of each kernel are kept, and what they cost in all."""

    def __init__(self, kernels, keep, merge_dense, dense_parameters):
        self.kernels, self.merge_dense = kernels, merge_dense
        self.keep = {name: mask.copy() for name, mask in keep.items()}
        self.ranks = {name: int(mask.sum()) for name, mask in keep.items()}
        self.kept = dense_parameters + sum(map(self._cost, kernels))

    def change(self, name, component, kept):
        """Keeps or drops one component."""
        self.kept -= self._cost(name)
        self.keep[name][component] = kept
        self.ranks[name] += 1 if kept else -1
        self.kept += self._cost(name)

    def _cost(self, name):
        kernel = self.kernels[name]
        return parameters(self.ranks[name], kernel.d_in, kernel.d_out, self.merge_dense)


def _reopen(cut, closed, budget):
    """Keeps closed components too, the last to cut first, while they fit; whether all of them do.

    Args:
      cut: `_Cut`.
      closed: [(name, component)], first to cut first.
      budget: parameters that may be kept.
    """
    for name, component in reversed(closed):
        cut.change(name, component, True)
        if cut.kept > budget:
            cut.change(name, component, False)
            return False
    return True


def base_parameters(kernels, base):
    """Returns what sparsity is measured against, see `sparsity.base_parameters`."""
    return sparsity.base_parameters([(k.d_in, k.d_out, k.rank) for k in kernels.values()], base)


def _cutting_order(kernels, norms, opened):
    """Returns the components in the masks `opened` as [(name, component)], first to cut first."""
    names = list(kernels)
    kernel_index = np.repeat(np.arange(len(names)), [int(opened[n].sum()) for n in names])
    component = np.concatenate([np.flatnonzero(opened[n]) for n in names])
    log_alpha = np.concatenate([kernels[n].log_alpha[opened[n]] for n in names])
    norm = np.concatenate([norms[n][opened[n]] for n in names])
    order = np.lexsort((norm, log_alpha))
    return [(names[kernel_index[i]], int(component[i])) for i in order]


def _norms(kernel):
    """|p_j| |q_j| of each component, float [rank]."""
    return np.linalg.norm(kernel.p, axis=0) * np.linalg.norm(kernel.q, axis=1)
