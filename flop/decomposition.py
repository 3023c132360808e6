"""A dense kernel as two factors, in closed form: plain SVD, or weighted by statistics of data.

Kernels are Keras': y = x K + b, K [d_in, d_out]. The weighted forms find the K^ of a given rank
that is nearest to K under weights L and R of its two sides: U S V' = svd(L K R), and
K^ = L^-1 U_r S_r V_r' R^-1. With C the covariance of x and G the second moment of the gradient of
an example's loss with respect to y:

- `svd`: L = R = I.
- `fisher`: L = diag(sqrt of each row's Fisher information), R = I (FWSVD, Hsu et al., 2022).
- `whitened`: L'L = C, R = I: least squared change of y. The mean of x goes into the bias.
- `two_sided`: L'L = C, R R' = G: least predicted change of the loss. The mean as above.

Where there is no bias for the mean to go into, C is the second moment of x about zero.
"""

import concurrent.futures
import dataclasses
import os
import typing

import numpy as np
import threadpoolctl

METHODS = ("svd", "fisher", "whitened", "two_sided")
# Eigenvalues below these shares of the largest are raised to them: what the data did not show
# must stay cheap to change, not free.
INPUT_FLOOR = 1e-4
GRADIENT_FLOOR = 1e-3


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What data say about one kernel. A method needs only some of the arrays, the rest are None.

    Attributes:
      tokens: rows of x that were seen.
      examples: examples that they belong to.
      share: these as a share of all tokens: below 1 for a kernel that runs on some tokens only.
      mean: float [d_in], mean of x.
      covariance: float [d_in, d_in], covariance of x.
      gradient_moment: float [d_out, d_out], mean of g'g.
      row_fisher: float [d_in], Fisher information summed over each row of the kernel.
    """

    tokens: int
    examples: int
    share: float = 1.0
    mean: np.ndarray | None = None
    covariance: np.ndarray | None = None
    gradient_moment: np.ndarray | None = None
    row_fisher: np.ndarray | None = None


def svd(kernel, full=False):
    """Splits a kernel by its singular value decomposition, without loss.

    Args:
      kernel: float [d_in, d_out].
      full: factors as numpy's full_matrices gives them, the FLOP port's form: P is square, and Q
        has rows of zeros beyond the rank.

    Returns:
      (P = U, Q = S V'): float32 [d_in, rank] and [rank, d_out]; the rank is min(d_in, d_out), or
      d_in with `full`.
    """
    kernel = np.asarray(kernel, np.float64)
    d_in, d_out = kernel.shape
    p, q = _thin_svd(kernel)
    if full and d_in > d_out:
        square, tall = np.empty([d_in, d_in], np.float32), np.zeros([d_in, d_out], np.float32)
        square[:, :d_out], tall[:d_out] = p, q
        square[:, d_out:] = np.linalg.qr(p, mode="complete")[0][:, d_out:]
        return square, tall
    return p.astype(np.float32), q.astype(np.float32)


class Decomposition:
    """The weighted decomposition of one kernel, from which every rank can be had.

    Args:
      kernel: float [d_in, d_out].
      bias: float [d_out], or None for a kernel without one.
      statistics: `Statistics`; not needed for `svd`.
      method: one of `METHODS`.

    Attributes:
      sigma: float64 [min(d_in, d_out)], singular values of L K R, descending. The loss of dropping
        a component is its square, per token that the kernel runs on.

    Raises:
      ValueError: unknown method, or the statistics lack what it needs.

    Example:
      >>> decomposition = Decomposition(np.eye(4), np.zeros(4))
      >>> p, q, bias = decomposition.truncate(2)
      >>> p.shape, q.shape
      ((4, 2), (2, 4))
    """

    def __init__(self, kernel, bias, statistics: typing.Any = None, method="svd"):
        check_statistics(statistics, method)
        self._kernel, self._bias = kernel, bias
        self._mean = None
        if method in ("whitened", "two_sided"):
            if bias is None:
                statistics = _about_zero(statistics)
            else:
                self._mean = np.asarray(statistics.mean, np.float64)
        inputs, outputs = _side_weights(statistics, method)
        weighted = outputs.apply(inputs.apply(np.asarray(kernel, np.float64)).T).T
        u, sv = _thin_svd(weighted)
        self.sigma = np.linalg.norm(sv, axis=1)
        self._left, self._right = _balanced(inputs.undo(u), outputs.undo(sv.T).T)

    def truncate(self, rank):
        """Returns the best factors of one rank, and the bias that goes with them.

        Args:
          rank: components to keep, from 0 to min(d_in, d_out).

        Returns:
          (P float32 [d_in, rank], Q float32 [rank, d_out], bias float32 [d_out] or None); P and Q
          are the first of `components`, and the bias makes up for mean(x) (K - K^) where the method
          knows the mean.
        """
        p, q = self._left[:, :rank], self._right[:rank]
        factors = p.astype(np.float32), q.astype(np.float32)
        if self._bias is None:
            return *factors, None
        bias = np.asarray(self._bias, np.float64)
        if self._mean is not None:
            bias = bias + self._mean @ self._kernel - (self._mean @ p) @ q
        return *factors, bias.astype(np.float32)

    def components(self):
        """Returns all components, most important first: the kernel without loss.

        Leaving out the last ones is the best cut (but for the bias, see `truncate`), which is what
        makes them the components for masks to choose from.

        Returns:
          (P float32 [d_in, rank], Q float32 [rank, d_out]), rank = min(d_in, d_out).
        """
        return self._left.astype(np.float32), self._right.astype(np.float32)

    def energy(self, rank):
        """Returns the share of the sum of sigma^2 in the first `rank` components, in [0, 1]."""
        squares = self.sigma**2
        return float(squares[:rank].sum() / squares.sum()) if squares.any() else 1.0


def component_scores(p, q, statistics: typing.Any = None, method="svd"):
    """Returns the predicted loss of removing each component alone, the bias left as it is.

    It is E[(x p_j)^2] |q_j R|^2 times the share of tokens that the kernel runs on, and the squared
    norms of p_j (weighted by Fisher information for `fisher`) and q_j where there are no data.

    Args:
      p: float [d_in, rank].
      q: float [rank, d_out].
      statistics, method: as for `Decomposition`.

    Returns:
      float32 [rank], 0 or more.
    """
    check_statistics(statistics, method)
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    share = 1.0
    if method == "svd":
        left = np.sum(p**2, axis=0)
    elif method == "fisher":
        left = statistics.row_fisher @ p**2
    else:
        left = np.sum(p * (statistics.covariance @ p), axis=0) + (statistics.mean @ p) ** 2
        share = statistics.share
    right = np.sum(q * (q @ statistics.gradient_moment if method == "two_sided" else q), axis=1)
    return (share * np.maximum(left, 0) * np.maximum(right, 0)).astype(np.float32)


def check_statistics(statistics, method):
    """Raises ValueError for an unknown method, or statistics without what it needs."""
    if method not in METHODS:
        raise ValueError(f"method {method!r}: expected one of {', '.join(METHODS)}")
    needed = {
        "svd": (),
        "fisher": ("row_fisher",),
        "whitened": ("mean", "covariance"),
        "two_sided": ("mean", "covariance", "gradient_moment"),
    }[method]
    missing = [name for name in needed if getattr(statistics, name, None) is None]
    if missing:
        raise ValueError(f"method {method!r} needs statistics with {', '.join(missing)}")


def for_each(function, items):
    """Returns [function(item) for each item], computed on all cores.

    One kernel per core, with one BLAS thread each: BLAS threads of their own would wait for each
    other in busy loops, 20 times slower on a machine that does something else besides.
    """
    with (
        threadpoolctl.threadpool_limits(1, user_api="blas"),
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        return list(pool.map(function, items))


class _Side:
    """A weight A = diag(scale) vectors' of one side, A'A the moment it is the root of."""

    def __init__(self, scale=None, vectors=None):
        self.scale, self.vectors = scale, vectors

    def apply(self, matrix):
        """A times matrix [d, n]."""
        if self.vectors is not None:
            matrix = self.vectors.T @ matrix
        return matrix if self.scale is None else self.scale[:, None] * matrix

    def undo(self, matrix):
        """A^-1 times matrix [d, n]."""
        if self.scale is not None:
            matrix = matrix / self.scale[:, None]
        return matrix if self.vectors is None else self.vectors @ matrix


def _about_zero(statistics):
    mean = np.asarray(statistics.mean, np.float64)
    return dataclasses.replace(statistics, covariance=statistics.covariance + np.outer(mean, mean))


def _side_weights(statistics, method):
    """The weights of inputs and outputs."""
    if method == "svd":
        return _Side(), _Side()
    if method == "fisher":
        return _Side(_floored_root(statistics.row_fisher, INPUT_FLOOR)), _Side()
    inputs = _root(statistics.covariance, INPUT_FLOOR)
    if method == "whitened":
        return inputs, _Side()
    return inputs, _root(statistics.gradient_moment, GRADIENT_FLOOR)


def _root(moment, floor):
    values, vectors = np.linalg.eigh(np.asarray(moment, np.float64))
    return _Side(_floored_root(values, floor), vectors)


def _floored_root(values, floor):
    largest = np.max(values)
    if not largest > 0:  # nothing was seen: no direction matters more than another
        return np.ones(len(values))
    return np.sqrt(np.maximum(values, floor * largest))


def _thin_svd(matrix):
    """Returns (U [m, k], S V' [k, n]), k = min(m, n), by falling singular values.

    Through the Gram matrix: a third of the time of LAPACK's gesdd. U S V' is exact whatever the
    eigenvectors, because U is orthogonal and S V' is computed as U' times the matrix.
    """
    rows, columns = matrix.shape
    basis = None
    if rows > columns:
        basis, matrix = np.linalg.qr(matrix)
    u = np.linalg.eigh(matrix @ matrix.T)[1][:, ::-1]
    sv = u.T @ matrix
    order = np.argsort(-np.linalg.norm(sv, axis=1), kind="stable")  # rounding mixes the smallest
    u, sv = u[:, order], sv[order]
    return (u if basis is None else basis @ u), sv


def _balanced(left, right):
    """Returns left [m, r] and right [r, n] with equal norms of both sides of each component.

    As they come they carry L^-1 and R^-1, and training moves factors of such different sizes badly.
    """
    left_norms, right_norms = np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1)
    used = (left_norms > 0) & (right_norms > 0)
    scale = np.sqrt(np.where(used, right_norms, 1) / np.where(used, left_norms, 1))
    return left * scale, right / scale[:, None]
