"""CCA metrics and Procrustes written as their formulas, in float64 numpy."""

from __future__ import annotations

import numpy as np

from platorep.metrics.reference.kernels import rows


def centre(x: np.ndarray) -> np.ndarray:
    """Columns less their means."""
    return x - x.mean(0)


def canonical(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canonical correlations and the first side's variates (n, m) of centred x and y of full rank, by whitening."""

    def whiten(a: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(a.T @ a)
        return a @ vectors / np.sqrt(values)

    a, b = whiten(x), whiten(y)
    left, correlations, _ = np.linalg.svd(a.T @ b)
    return correlations, a @ left


def leading(x: np.ndarray, components: int) -> np.ndarray:
    """Projection of centred features on their first principal components, shape (n, components)."""
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    return u[:, :components] * s[:components]


def svcca(x: np.ndarray, y: np.ndarray, *, components: int = 10, similarity: str = "cosine") -> float:
    """Mean canonical correlation of the leading principal components of z-scored features."""

    def reduced(a: np.ndarray) -> np.ndarray:
        z = centre(rows(a, similarity))
        deviation = z.std(0)
        deviation[deviation <= 1e-6 * np.abs(rows(a, similarity)).max(0)] = np.inf  # a constant feature counts as 0
        return leading(z / deviation, components)

    return float(canonical(reduced(x), reduced(y))[0].mean())


def pwcca(x: np.ndarray, y: np.ndarray, *, components: int = 10, similarity: str = "cosine") -> float:
    """Canonical correlations weighted by sum_j |<variate, feature j>| of the first side."""
    zx, zy = centre(rows(x, similarity)), centre(rows(y, similarity))
    correlations, variates = canonical(leading(zx, components), leading(zy, components))
    weights = np.abs(variates.T @ zx).sum(1)
    return float((weights * correlations).sum() / weights.sum())


def procrustes(x: np.ndarray, y: np.ndarray, *, similarity: str = "cosine") -> float:
    """tr(Q'X'Y) of the best orthogonal Q, for centred features of norm 1; the narrower side is padded with zeros."""
    zx, zy = centre(rows(x, similarity)), centre(rows(y, similarity))
    width = max(zx.shape[1], zy.shape[1])
    zx, zy = (np.pad(z / np.linalg.norm(z), ((0, 0), (0, width - z.shape[1]))) for z in (zx, zy))
    u, _, vt = np.linalg.svd(zx.T @ zy)
    return float((zx @ (u @ vt) * zy).sum())
