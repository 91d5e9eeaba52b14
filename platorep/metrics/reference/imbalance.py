"""Information imbalance written as its formula, in float64 numpy."""

from __future__ import annotations

import numpy as np

from platorep.metrics.reference.neighbours import nearest


def imbalance(x: np.ndarray, y: np.ndarray, k: int = 1, similarity: str = "cosine") -> float:
    """Delta(x -> y): 2 / n times the mean rank in y of the k nearest neighbours in x (Glielmo et al. 2022, Eq. 1)."""
    n = len(x)
    ranked = nearest(y, n - 1, similarity)
    ranks = [1 + ranked[i].index(j) for i, near in enumerate(nearest(x, k, similarity)) for j in near]
    return 2 / n * float(np.mean(ranks))


def information_imbalance(
    x: np.ndarray, y: np.ndarray, k: int = 1, similarity: str = "cosine", direction: str = "xy"
) -> float:
    """(1 - Delta) / (1 - (k + 1) / n); sides exchanged for direction "yx"."""
    if direction == "yx":
        x, y = y, x
    return (1 - imbalance(x, y, k, similarity)) / (1 - (k + 1) / len(x))
