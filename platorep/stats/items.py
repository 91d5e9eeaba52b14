"""Intervals for scores of test items: shares of hits, means, medians of ranks, explained variance.

Where items are retrieved among each other they are conditional on the gallery: they are for other queries in the same
gallery. `platorep.stats.resampled` has the interval over repeated splits. Measured coverage, nominal 95 %: 92 to 97 %,
of the median 97 to 100 % (docs/statistics.md).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.stats import binom
from scipy.stats import t as student

from platorep.core.errors import FeatureError


class Bounds(NamedTuple):
    """A score with its 95 % interval."""

    score: float
    low: float
    high: float


def share(hits: np.ndarray) -> Bounds:
    """Share of items that are hits, with Wilson's score interval (1927).

    Its quantile is that of t(n - 1), as in `platorep.stats.queries`. It does not shrink to a point at 0 or 1.

    Args:
        hits: shape (n,), 0 or 1.

    Raises:
        FeatureError: fewer than 2 items.
    """
    n = _count(hits)
    estimate, reach = np.count_nonzero(hits) / n, _quantile(n - 1)
    middle = estimate + reach**2 / (2 * n)
    half = reach * (estimate * (1 - estimate) / n + reach**2 / (4 * n**2)) ** 0.5
    return Bounds(estimate, (middle - half) / (1 + reach**2 / n), (middle + half) / (1 + reach**2 / n))


def mean(values: np.ndarray) -> Bounds:
    """Mean over items, with the interval mean ± t(n - 1) standard error.

    Args:
        values: shape (n,).

    Raises:
        FeatureError: fewer than 2 items.
    """
    n = _count(values)
    estimate = float(values.sum()) / n
    error = (float(np.square(values - estimate).sum()) / (n - 1) / n) ** 0.5
    return Bounds(estimate, estimate - _quantile(n - 1) * error, estimate + _quantile(n - 1) * error)


def median(values: np.ndarray) -> Bounds:
    """Median over items, with the order statistics that enclose it with at least 95 % whatever the distribution.

    Args:
        values: shape (n,).

    Raises:
        FeatureError: fewer than 6 items, for which no such interval exists.
    """
    n = _count(values)
    if n < 6:
        raise FeatureError(f"an interval of a median needs at least 6 items; got {n}.")
    ordered, first = np.sort(values), _order(n)
    return Bounds(float(np.median(ordered)), float(ordered[first]), float(ordered[n - 1 - first]))


def explained(errors: np.ndarray, totals: np.ndarray) -> Bounds:
    """R^2 = 1 - sum(errors) / sum(totals) with the interval of a ratio: the influence of i is errors_i - q totals_i.

    q is the ratio of the sums, and the standard error that of the mean influence over the mean total (delta method).

    Args:
        errors: squared error of each item's prediction, shape (n,).
        totals: squared distance of each item from the mean of the samples of the fit, shape (n,).

    Raises:
        FeatureError: fewer than 2 items, or items that are all at that mean.
    """
    n, total = _count(errors), float(np.sum(totals))
    if total <= 0:
        raise FeatureError("R^2 is not defined: all test items equal the mean of the samples of the fit.")
    ratio = float(np.sum(errors)) / total
    influence = errors - ratio * totals
    error = float(np.std(influence, ddof=1)) / n**0.5 / (total / n)
    return Bounds(1 - ratio, 1 - ratio - _quantile(n - 1) * error, 1 - ratio + _quantile(n - 1) * error)


def binomial_limits(chance: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Central interval of the share of hits among n independent items that are each hit with probability `chance`."""
    low, high = binom.ppf([(1 - level) / 2, (1 + level) / 2], n, chance)
    return float(low) / n, float(high) / n


def _count(values: np.ndarray) -> int:
    if len(values) < 2:
        raise FeatureError(f"an interval over test items needs at least 2; got {len(values)}.")
    return len(values)


@lru_cache(maxsize=256)
def _quantile(freedom: int) -> float:
    return float(student.ppf(0.975, freedom))


@lru_cache(maxsize=256)
def _order(n: int) -> int:
    """Largest index from below, from 0, such that the median lies between it and its mirror image with 95 %."""
    return max(int(binom.ppf(0.025, n, 0.5)) - 1, 0)
