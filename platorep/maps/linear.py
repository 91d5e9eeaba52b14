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
    """A fitted map. It places samples of both models in a common space, where cosine similarity compares them."""

    def source(self, x: np.ndarray) -> np.ndarray:
        """Places samples of the translated model, shape (n, d_x), in the common space."""

    def target(self, y: np.ndarray) -> np.ndarray:
        """Places samples of the target model, shape (n, d_y), in the common space."""


@dataclass(frozen=True)
class LinearMap:
    """y = y_mean + (x - x_mean) matrix. The common space is that of y, centred.

    Attributes:
        matrix: shape (d_x, d_y).
        x_mean: mean of the anchors of x, shape (d_x,).
        y_mean: mean of the anchors of y, shape (d_y,).
    """

    matrix: np.ndarray
    x_mean: np.ndarray
    y_mean: np.ndarray

    def source(self, x: np.ndarray) -> np.ndarray:
        """Translated samples minus the mean of y, shape (n, d_y)."""
        return (x - self.x_mean) @ self.matrix

    def target(self, y: np.ndarray) -> np.ndarray:
        """Samples of y minus the mean of its anchors, shape (n, d_y)."""
        return y - self.y_mean


def permutation(x: Anchors, y: Anchors) -> LinearMap:
    """Permutes the units of x and multiplies them by one scale, by the assignment with the largest covariance.

    Minimises ||s X P - Y|| over permutation matrices P and s > 0, for centred X and Y. P maximises tr(P' X' Y), which
    is a linear assignment problem.

    Args:
        x: anchors of the translated model, shape (m, d).
        y: the same anchors of the target model, shape (m, d).

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
    """The orthogonal maps of a pair, one for each direction. They share a rotation, and each has its own scale.

    R = P Q' from X'Y = P S Q' (centred anchors) maximises tr(R' X' Y) over matrices with orthonormal rows or columns
    (Schönemann 1966); the scale is tr(S) / ||X||^2. If the widths differ, this is the solution for the narrower side
    padded with zeros. Directions in which the anchors do not vary together are mapped to zero, because no anchor
    determines where they go. Such directions exist whenever m - 1 is smaller than a width.

    Args:
        x: anchors of one model, shape (m, d_x).
        y: the same anchors of the other model, shape (m, d_y).

    Raises:
        FeatureError: the numbers of anchors differ.

    Cost: the decompositions of both sides, which are shared with other maps, and r_x r_y min(r_x, r_y) for ranks r.
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
    """The rotation of x with one scale that is nearest to y; see `Rotation`."""
    return Rotation(x, y).forward


def _scale(shared: float, x: Anchors) -> float:
    """The least-squares scale of a map; 0 if all anchors are equal."""
    power = float((x.centred**2).sum())
    return shared / power if power > 0 else 0.0
