"""RSA and distance correlation written as their formulas, in float64 numpy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from platorep.metrics.reference.kernels import rows, squared_distances


def distances(x: np.ndarray, similarity: str = "cosine") -> np.ndarray:
    """Euclidean distances of the rows, shape (n, n)."""
    return np.sqrt(squared_distances(rows(x, similarity)))


def rsa(x: np.ndarray, y: np.ndarray, *, correlation: str = "spearman", similarity: str = "cosine") -> float:
    """Correlation of 1 - cosine, or of Euclidean distances, over pairs i < j."""

    def dissimilarities(a: np.ndarray) -> np.ndarray:
        upper = np.triu_indices(len(a), 1)
        if similarity == "euclidean":
            return distances(a, similarity)[upper]
        a = rows(a)
        return 1 - (a @ a.T)[upper]

    measure = stats.spearmanr if correlation == "spearman" else stats.pearsonr
    return float(measure(dissimilarities(x), dissimilarities(y)).statistic)


def distance_correlation(
    x: np.ndarray, y: np.ndarray, *, estimator: str = "unbiased", similarity: str = "cosine"
) -> float:
    """Products of double-centred (biased, square root taken) or U-centred (unbiased) distance matrices."""

    def centre(a: np.ndarray) -> np.ndarray:
        n = len(a)
        if estimator == "biased":
            return a - a.mean(0)[None, :] - a.mean(1)[:, None] + a.mean()
        u = a - a.sum(0)[None, :] / (n - 2) - a.sum(1)[:, None] / (n - 2) + a.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(u, 0)
        return u

    a, b = centre(distances(x, similarity)), centre(distances(y, similarity))
    ratio = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    return float(np.sqrt(ratio)) if estimator == "biased" else float(ratio)
