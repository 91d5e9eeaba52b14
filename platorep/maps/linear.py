"""Linear maps from one representation into another: a permutation of the units, and a rotation with one scale.

Each is the least-squares map of its class from anchors, with an intercept. The classes contain each other: permutation
within orthogonal within ridge (`platorep.maps.ridge`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.linalg import svd
from scipy.optimize import linear_sum_assignment

from platorep.core.errors import FeatureError
from platorep.maps.anchors import Anchors, check_paired, significant


class Placement(Protocol):
    """A fitted map: it places samples of both models in one space, where they are compared by cosine similarity."""

    def source(self, x: np.ndarray) -> np.ndarray:
        """Samples of the model that is translated, shape (n, d_x), in the common space."""

    def target(self, y: np.ndarray) -> np.ndarray:
        """Samples of the model that is translated into, shape (n, d_y), in the common space."""


@dataclass(frozen=True)
class LinearMap:
    """y = y_mean + (x - x_mean) matrix. The common space is that of y, without its mean.

    Attributes:
        matrix: shape (d_x, d_y).
        x_mean: mean of the anchors of x, shape (d_x,).
        y_mean: mean of the anchors of y, shape (d_y,).
    """

    matrix: np.ndarray
    x_mean: np.ndarray
    y_mean: np.ndarray

    def source(self, x: np.ndarray) -> np.ndarray:
        """Translated samples without the mean of y, shape (n, d_y)."""
        return (x - self.x_mean) @ self.matrix

    def target(self, y: np.ndarray) -> np.ndarray:
        """Samples of y without the mean of its anchors, shape (n, d_y)."""
        return y - self.y_mean


def permutation(x: Anchors, y: Anchors) -> LinearMap:
    """Units of x in another order, times one scale: the assignment of units with the largest covariance.

    Minimises ||s X P - Y|| over permutation matrices P and s > 0, X and Y being centred: P maximises tr(P' X' Y), a
    linear assignment problem.

    Args:
        x: anchors of the model that is translated, shape (m, d).
        y: the same samples of the other model, shape (m, d).

    Raises:
        FeatureError: the widths or the numbers of anchors differ.

    Cost: m d^2, and up to d^3 for the assignment.
    """
    check_paired(x, y)
    if x.width != y.width:
        raise FeatureError(f"a permutation of units needs equal widths; got {x.width} and {y.width}.")
    shared = x.centred.T @ y.centred
    rows, columns = linear_sum_assignment(shared, maximize=True)
    matrix = np.zeros_like(shared)
    matrix[rows, columns] = _scale(shared[rows, columns].sum(), x)
    return LinearMap(matrix, x.mean, y.mean)


@dataclass(frozen=True)
class Rotation:
    """The orthogonal maps of a pair, one for each direction: they share their rotation, and each has its scale.

    R = P Q' from X'Y = P S Q' (centred anchors) maximises tr(R' X' Y) over matrices with orthonormal rows or columns
    (Schönemann 1966); the scale is tr(S) / ||X||^2. If the widths differ this is the solution for the narrower side
    padded with zeros. Directions in which the anchors do not vary together, of which there are some whenever m - 1 is
    smaller than a width, are mapped to zero: no anchor says where they belong.

    Args:
        x: anchors of one model, shape (m, d_x).
        y: the same samples of the other, shape (m, d_y).

    Raises:
        FeatureError: the numbers of anchors differ.

    Cost: the decompositions of both sides, which other maps share, and r_x r_y min(r_x, r_y) for their ranks.
    """

    x: Anchors
    y: Anchors

    def __post_init__(self) -> None:
        check_paired(self.x, self.y)

    @cached_property
    def _polar(self) -> tuple[np.ndarray, float]:
        """R, shape (d_x, d_y), and tr(S)."""
        a, b = self.x.factors, self.y.factors
        inner = a.values[:, None] * (a.left.T @ b.left) * b.values
        left, values, right = svd(inner, full_matrices=False, check_finite=False)
        rank = significant(values, max(inner.shape, default=0))
        return (a.right.T @ left[:, :rank]) @ (right[:rank] @ b.right), float(values[:rank].sum())

    @property
    def forward(self) -> LinearMap:
        """From x to y."""
        matrix, total = self._polar
        return LinearMap(_scale(total, self.x) * matrix, self.x.mean, self.y.mean)

    @property
    def backward(self) -> LinearMap:
        """From y to x."""
        matrix, total = self._polar
        return LinearMap(_scale(total, self.y) * matrix.T, self.y.mean, self.x.mean)


def orthogonal(x: Anchors, y: Anchors) -> LinearMap:
    """The rotation of x with one scale that is nearest to y: `Rotation`, from x to y."""
    return Rotation(x, y).forward


def _scale(shared: float, x: Anchors) -> float:
    """The least-squares scale of a map of one class; 0 for anchors that are all alike."""
    power = float((x.centred**2).sum())
    return shared / power if power > 0 else 0.0
