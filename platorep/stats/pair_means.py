"""Means over pairs of models: pairs share models, so the error is taken over models."""

from __future__ import annotations

import numpy as np
from scipy.stats import t


def pair_mean(scores: np.ndarray) -> tuple[float, float]:
    """Mean over the pairs of m models, and its standard error by a jackknife that leaves out one model at a time.

    A standard error over pairs would be too small, because each model is in m - 1 of them.

    Args:
        scores: symmetric, shape (m, m). The diagonal is ignored; NaN marks a pair without a score.

    Returns:
        The mean, NaN without a pair, and the standard error, NaN below 3 models.

    Cost: m^3.
    """
    values = np.where(np.eye(len(scores), dtype=bool), np.nan, scores)
    if not np.isfinite(values).any():
        return np.nan, np.nan
    count = len(values)
    without = [np.delete(np.delete(values, i, 0), i, 1) for i in range(count)] if count > 2 else []
    means = np.array([np.nanmean(part) for part in without if np.isfinite(part).any()])
    error = np.sqrt((count - 1) / count * ((means - means.mean()) ** 2).sum()) if len(means) == count else np.nan
    return float(np.nanmean(values)), float(error)


def reach(error: float, models: int, level: float = 0.95) -> float:
    """Half the width of the t interval of a jackknife over `models` models."""
    return float(t.ppf((1 + level) / 2, max(models - 1, 1)) * error)
