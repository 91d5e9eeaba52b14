"""The law of a score that saturates in the number of views of an item: S - C n^(-alpha), with intervals over items."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from platorep.core.errors import FeatureError
from platorep.stats.items import Bounds


EXPONENTS = np.geomspace(0.05, 5.0, 461)
"""Exponents that are tried; neighbours differ by a hundredth."""

LEAST_COUNTS = 4
"""Numbers of views that the law needs: one more than it has constants."""


class Saturation(NamedTuple):
    """The law S - C n^(-alpha), its constants with 95 % intervals.

    Attributes:
        limit: S, the score of ever more views.
        amplitude: C, what the score of one view lacks.
        exponent: alpha, in the range of `EXPONENTS`; an end of its interval at an end of that range is no bound.
        explained: R^2 of the law on the mean scores.
    """

    limit: Bounds
    amplitude: Bounds
    exponent: Bounds
    explained: float


def saturation(counts: np.ndarray, values: np.ndarray, *, resamples: int = 999, seed: int = 0) -> Saturation:
    """Fits S - C n^(-alpha) to mean scores by least squares; the intervals resample items.

    For a given alpha the law is linear in S and C, so that the best alpha of `EXPONENTS` is the least-squares fit with
    no start value and no local minimum. Exponents whose S lies outside of [0, 1], where no score lies, are not tried:
    of a score that still rises steadily, S is then near 1 and says nothing. Items keep their scores at all numbers of
    views, and are drawn with replacement; neighbours are not made again, so that the intervals are for other items in
    the same gallery.

    Args:
        counts: numbers of views, shape (m,), increasing, from 1.
        values: score of every item at every number of views, shape (items, m).
        resamples: bootstrap draws.
        seed: of the draws.

    Raises:
        FeatureError: fewer than 4 numbers of views, or shapes that do not fit.

    Cost: resamples times 461 m^2. Coverage of curves that follow the law: tests/stats/test_saturation.py.
    """
    counts, values = np.asarray(counts, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(counts) or len(counts) < LEAST_COUNTS:
        raise FeatureError(
            f"a saturation law needs scores of items at {LEAST_COUNTS} or more numbers of views, shape (items, m); got "
            f"{values.shape} scores at {len(counts)} numbers."
        )
    items = len(values)
    weights = np.random.default_rng(seed).multinomial(items, np.full(items, 1 / items), size=resamples) / items
    curves = np.vstack([values.mean(axis=0), weights @ values])
    fitted = _fit(counts, curves)
    low, high = np.nanquantile(fitted[1:], [0.025, 0.975], axis=0)
    ends = zip(fitted[0].tolist(), low.tolist(), high.tolist(), strict=True)
    first, second, third = (Bounds(*constant) for constant in ends)
    limit, amplitude, exponent = fitted[0]
    residual = curves[0] - limit + amplitude * counts**-exponent
    spread = float(np.square(curves[0] - curves[0].mean()).sum())
    return Saturation(
        first, second, third, 1 - float(np.square(residual).sum()) / spread if spread > 0 else float("nan")
    )


def _fit(counts: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """S, C and alpha of every curve, shape (curves, 3)."""
    designs = np.stack([np.column_stack([np.ones_like(counts), -(counts**-alpha)]) for alpha in EXPONENTS])
    solvers = np.linalg.pinv(designs)  # (exponents, 2, m)
    best, least = np.full((len(curves), 3), np.nan), np.full(len(curves), np.inf)
    for alpha, design, solver in zip(EXPONENTS, designs, solvers, strict=True):
        linear = curves @ solver.T
        errors = np.square(curves - linear @ design.T).sum(axis=1)
        better = (errors < least) & (linear[:, 0] >= 0) & (linear[:, 0] <= 1)
        least[better] = errors[better]
        best[better] = np.column_stack([linear, np.full(len(curves), alpha)])[better]
    return best
