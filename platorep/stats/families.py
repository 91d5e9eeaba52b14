"""Least-squares lines with intervals that take model families into account."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, t


def family_lines(
    x: np.ndarray, y: np.ndarray, families: np.ndarray, grid: np.ndarray, draws: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares lines of resamples of whole families, drawn with replacement (seed 0).

    A resample whose points all have one x has no line and is drawn again.

    Args:
        x: one number per model, shape (models,), not all equal.
        y: one number per model, shape (models,).
        families: label of each model's family, shape (models,).
        grid: where the lines are evaluated, shape (points,).
        draws: number of resamples.

    Returns:
        Slopes, shape (draws,), and the lines on the grid, shape (draws, points).

    Cost: draws times families.
    """
    names, codes = np.unique(families, return_inverse=True)
    sums = np.zeros((len(names), 5))  # by family: count, sum x, sum y, sum xx, sum xy
    centre = x.mean()
    np.add.at(sums, codes, np.column_stack([np.ones_like(x), x - centre, y, (x - centre) ** 2, (x - centre) * y]))
    random = np.random.default_rng(0)
    kept = np.empty((0, 5))
    while len(kept) < draws:
        drawn = sums[random.integers(len(names), size=(draws, len(names)))].sum(axis=1)
        spread = drawn[:, 3] - drawn[:, 1] ** 2 / drawn[:, 0]
        kept = np.concatenate([kept, drawn[spread > 1e-12 * sums[:, 3].sum()]])
    n, sx, sy, sxx, sxy = kept[:draws].T
    slopes = (sxy - sx * sy / n) / (sxx - sx**2 / n)
    return slopes, sy[:, None] / n[:, None] + slopes[:, None] * (grid - centre - (sx / n)[:, None])


def family_interval(
    estimate: np.ndarray | float, draws: np.ndarray, families: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of a bootstrap over families, stretched around the estimate.

    The percentiles of F resampled families are too narrow for few families. They are stretched by sqrt(F / (F - 1))
    and by the ratio of the t quantile with F - 1 degrees of freedom to the normal one.

    Args:
        estimate: the value for the whole sample, a number or shape (m,).
        draws: the values for the resamples, shape (draws,) or (draws, m).
        families: F, at least 2.
        level: nominal coverage.

    Returns:
        The lower and the upper end, each like `estimate`.
    """
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    stretch = np.sqrt(families / (families - 1)) * t.ppf(1 - tail, families - 1) / norm.ppf(1 - tail)
    return estimate + stretch * (low - estimate), estimate + stretch * (high - estimate)
