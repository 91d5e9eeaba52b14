"""Whether inner products can equal the pointwise mutual information: the paper's Proposition F.1 and an exact test.

<f(a), f(b)> = K_PMI(a, b) + C for some encoder f iff K_PMI + C 11^T is positive semidefinite. Whether such a C exists
depends on K_PMI on the complement of the constant vector. The smallest C matters too, because binary NCE fixes the
offset at log(p_pos / (1 - p_pos)) and therefore needs p_pos >= sigmoid(C).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from platorep.theory.worlds import World


@dataclass(frozen=True)
class Representability:
    """The result of the exact test.

    Attributes:
        smallest_eigenvalue: smallest eigenvalue of K_PMI on the complement of the constant vector.
        offset: the smallest C for which K_PMI + C 11^T is positive semidefinite; infinite if there is none.
        rank: rank of K_PMI + C 11^T at the smallest C, which is the dimension that an encoder needs; any larger C needs
            one more.
        sufficient: whether the condition of Proposition F.1 holds.
        sufficient_offset: constant of the proposition, C = -min_i mean_j K_PMI(i, j).
    """

    smallest_eigenvalue: float
    offset: float
    rank: int | None
    sufficient: bool
    sufficient_offset: float

    @property
    def representable(self) -> bool:
        """Whether some constant makes K_PMI a Gram matrix."""
        return math.isfinite(self.offset)

    @property
    def p_pos(self) -> float:
        """Smallest share of positive pairs at which binary NCE's optimum is a Gram matrix: sigmoid(offset).

        It is above one half unless events are independent: P^T K_PMI P = -KL(P x P || P_coor) < 0, so a Gram matrix
        needs a positive offset. The paper does not say this.
        """
        return 1 / (1 + math.exp(-self.offset))


def representability(world: World, tolerance: float = 1e-9) -> Representability:
    """Tests a world exactly by an eigendecomposition of K_PMI on the complement of the constant vector.

    Let Q be an orthonormal basis of that complement, u the constant vector 1/sqrt(n), M = Q^T K Q and b = Q^T K u. K +
    C 11^T is positive semidefinite iff M is, b lies in the range of M, and C >= (b^T M^+ b - u^T K u) / n (Schur
    complement).

    Args:
        world: world to test.
        tolerance: eigenvalues below this share of the largest one count as zero.
    """
    k, n = world.pmi, world.n
    u = np.full(n, 1 / math.sqrt(n))
    q = np.linalg.svd(u[None, :])[2][1:].T
    values, vectors = np.linalg.eigh(q.T @ k @ q)
    b = vectors.T @ (q.T @ k @ u)
    zero = tolerance * np.abs(values).max()
    null = np.abs(values) <= zero
    representable = values[0] >= -zero and np.abs(b[null]).max(initial=0) <= math.sqrt(tolerance) * np.abs(k).max()
    offset = float(((b[~null] ** 2 / values[~null]).sum() - u @ k @ u) / n) if representable else math.inf

    off_diagonal = k[~np.eye(n, dtype=bool)]
    low, high = off_diagonal.min(), off_diagonal.max()
    rounding = 1e-9 * np.abs(k).max()
    sufficient = high <= rounding and k.diagonal().min() >= n * (high - low if high - low > rounding else 0.0) + low
    return Representability(
        smallest_eigenvalue=float(values[0]),
        offset=offset,
        rank=int((~null).sum()) if representable else None,
        sufficient=bool(sufficient),
        sufficient_offset=float(-k.mean(axis=1).min()),
    )


def nearest_gram(target: np.ndarray) -> np.ndarray:
    """The nearest positive semidefinite matrix in Frobenius norm: negative eigenvalues set to zero."""
    values, vectors = np.linalg.eigh(target)
    return (vectors * np.maximum(values, 0)) @ vectors.T
