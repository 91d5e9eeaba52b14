"""One side of the paired samples on which maps are fitted, and the computations that several maps share."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import qr, svd

from platorep.core.errors import FeatureError


ROUNDING = 10 * np.finfo(np.float64).eps
"""Singular values below this share of the largest one, times the longer side, count as rounding errors."""


class Factors(NamedTuple):
    """Thin singular value decomposition of centred anchors, without singular values that are rounding errors."""

    left: np.ndarray  # (m, r)
    values: np.ndarray  # (r,), falling
    right: np.ndarray  # (r, d)


class Anchors:
    """The anchors as one model represents them. All means and scales of a map come from them.

    Args:
        values: shape (m, d), any real dtype; row i is the same sample on both sides. Stored as float64.

    Raises:
        FeatureError: there are fewer than 2 anchors, the shape is wrong, or a value is not finite.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        self._forms: list[np.ndarray] | None = None
        if self.values.ndim != 2 or len(self.values) < 2:
            raise FeatureError(f"anchors have the shape {self.values.shape}; expected (m, d) with m of at least 2.")
        if not np.isfinite(self.values).all():
            raise FeatureError("a value of the anchors is NaN or infinite. Find the sample, or drop it on both sides.")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        """Number of dimensions d."""
        return self.values.shape[1]

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of the anchors, shape (d,)."""
        return self.values.mean(axis=0)

    @cached_property
    def centred(self) -> np.ndarray:
        """The anchors without their mean, shape (m, d)."""
        return self.values - self.mean

    @cached_property
    def factors(self) -> Factors:
        """Decomposition of the centred anchors; its rank r is at most min(m - 1, d). Cost: m d min(m, d)."""
        left, values, right = svd(self.centred, full_matrices=False, check_finite=False)
        rank = significant(values, max(self.centred.shape))
        return Factors(left[:, :rank], values[:rank], right[:rank])

    @cached_property
    def products(self) -> np.ndarray:
        """Inner products of the centred anchors, shape (m, m)."""
        return self.centred @ self.centred.T

    def left_out(self, strengths: np.ndarray) -> list[np.ndarray]:
        """Quadratic forms Q: <Q, Y Y'> is the sum of squared leave-one-out errors of a ridge from these anchors to Y.

        With H = 1/m + U diag(s^2 / (s^2 + lambda)) U' and E the rows of I - H divided by 1 - H_ii, Q = E'E.

        Args:
            strengths: lambda in units of the mean of s^2, shape (candidates,).

        Returns:
            One (m, m) matrix per candidate, cached for the next call.
        """
        if self._forms is None:
            left, values, _ = self.factors
            count = len(self)
            self._forms = []
            for strength in strengths * (values**2).mean():
                fitted = (left * (values**2 / (values**2 + strength))) @ left.T + 1 / count
                errors = (np.eye(count) - fitted) / (1 - np.diagonal(fitted))[:, None]
                self._forms.append(errors.T @ errors)
        return self._forms

    def reordered(self, order: np.ndarray) -> Anchors:
        """The same anchors in another order, which breaks their pairing. The decomposition is not computed again."""
        other = Anchors(self.values[order])
        other.mean = self.mean
        left, values, right = self.factors
        other.factors = Factors(left[order], values, right)
        other._forms = None if self._forms is None else [form[np.ix_(order, order)] for form in self._forms]
        return other


def spanned(samples: np.ndarray, anchors: Anchors) -> np.ndarray:
    """Coordinates of samples in the span of their anchors, around the anchors' mean, shape (n, r + 1) float64.

    The last coordinate is the distance from the span. Distances to the mean are preserved, and so are inner products
    with any vector in the span, such as anchors and predictions of maps. Inner products of two samples are not
    preserved.

    Args:
        samples: shape (n, d).
        anchors: anchors of the same model, of rank r.
    """
    moved = samples - anchors.mean
    inside = moved @ anchors.factors.right.T
    outside = np.einsum("ij,ij->i", moved, moved) - np.einsum("ij,ij->i", inside, inside)
    return np.column_stack([inside, np.sqrt(np.maximum(outside, 0.0))])


def spanned_anchors(anchors: Anchors) -> Anchors:
    """The anchors in the coordinates of `spanned`, with their decomposition."""
    left, values, _ = anchors.factors
    coordinates = Anchors(np.column_stack([left * values, np.zeros(len(anchors))]))
    coordinates.mean = np.zeros(coordinates.width)
    coordinates.factors = Factors(left, values, np.eye(len(values), coordinates.width))
    return coordinates


def significant(values: np.ndarray, longer: int) -> int:
    """Number of singular values, in descending order, that are not rounding errors; `longer` is the longer side."""
    return int((values > ROUNDING * longer * values[0]).sum()) if len(values) and values[0] > 0 else 0


def check_paired(x: Anchors, y: Anchors) -> None:
    """Refuses two sides with different numbers of anchors.

    Raises:
        FeatureError: they differ.
    """
    if len(x) != len(y):
        raise FeatureError(f"the two sides have {len(x)} and {len(y)} anchors; expected the same samples in one order.")


def narrowed(values: np.ndarray) -> np.ndarray:
    """Coordinates of n samples in at most n dimensions that preserve inner products, shape (n, min(n, d)) float64.

    This rotates the common space of the samples. Every method that does not depend on the axes (all maps but the
    permutation) gives the same scores before and after the rotation, which uses no statistics of the samples, but costs
    much less afterwards.

    Cost: n^2 d.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape[1] <= len(values):
        return values
    (triangle,) = qr(values.T, mode="r", check_finite=False)
    return np.ascontiguousarray(triangle[: len(values)].T)
