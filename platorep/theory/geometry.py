"""Comparison of two shapes of the same points: multidimensional scaling, alignment, and residual."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau
from sklearn.manifold import smacof

from platorep.core.errors import FeatureError


class Scaled(NamedTuple):
    """The result of multidimensional scaling: coordinates (n, 3) and normalised stress (Kruskal's stress-1)."""

    coordinates: np.ndarray
    stress: float


def scale(dissimilarity: np.ndarray, *, restarts: int, seed: int, metric: bool = True) -> Scaled:
    """Multidimensional scaling in three dimensions (SMACOF), the best of `restarts` random starts.

    Args:
        dissimilarity: symmetric, non-negative, shape (n, n); the diagonal is not used.
        restarts: number of starts; the paper used 1,000.
        seed: seed of the random starts.
        metric: whether distances fit the dissimilarities themselves, or only their order.
    """
    d = np.array(dissimilarity, dtype=float)
    np.fill_diagonal(d, 0)
    coordinates, stress = smacof(
        d,
        metric=metric,
        n_components=3,
        init=None,
        n_init=restarts,
        max_iter=300,
        eps=1e-6,
        random_state=seed,
        normalized_stress=True,
    )[:2]
    return Scaled(coordinates, float(stress))


class Fit(NamedTuple):
    """The result of a similarity transformation: aligned points (n, d) and the residual 1 - R^2 in [0, 1]."""

    points: np.ndarray
    residual: float


def align_shape(points: np.ndarray, target: np.ndarray) -> Fit:
    """Fits `points` to `target` by rotation or reflection, translation and one scale (Kabsch; Umeyama 1991).

    With A, B centred and U S V^T = A^T B the orthogonal map is U V^T, the scale sum(S)/|A|^2, and the residual |B -
    aligned|^2 / |B|^2 = 1 - (sum S)^2 / (|A|^2 |B|^2). Reflections are allowed, because z and -z fit equally well in
    the paper.

    Raises:
        FeatureError: the shapes differ, or all points coincide.
    """
    if points.shape != target.shape:
        raise FeatureError(
            f"shapes to align must have the same points and dimensions; got {points.shape} and {target.shape}."
        )
    a, b = points - points.mean(axis=0), target - target.mean(axis=0)
    if not a.any() or not b.any():
        raise FeatureError("points that all coincide have no shape to align.")
    u, s, vt = np.linalg.svd(a.T @ b)
    factor = s.sum() / (a**2).sum()
    return Fit(factor * a @ u @ vt + target.mean(axis=0), float(1 - s.sum() ** 2 / ((a**2).sum() * (b**2).sum())))


def rsa_tau(a: np.ndarray, b: np.ndarray, *, permutations: int, seed: int) -> tuple[float, float]:
    """Kendall's tau between the upper triangles of two dissimilarity matrices, and its p-value by relabelling.

    One-sided, (1 + number of null values >= observed) / (permutations + 1) (Mantel test).
    """
    upper = np.triu_indices(len(a), 1)
    observed = kendalltau(a[upper], b[upper]).statistic
    rng = np.random.default_rng(seed)
    above = 0
    for _ in range(permutations):
        order = rng.permutation(len(a))
        above += kendalltau(a[np.ix_(order, order)][upper], b[upper]).statistic >= observed
    return float(observed), (1 + above) / (permutations + 1)


def hue_order(
    points: np.ndarray, lab: np.ndarray, *, chroma: float, permutations: int, seed: int
) -> tuple[float, float, int]:
    """Tests whether hues keep their order around the circle, by relabelling and fitting the alignment each time.

    Colours of CIELAB chroma above `chroma` are ranked by their angle in the (a*, b*) plane, and by their angle in the
    same plane after `align_shape` of all points to CIELAB. The statistic is |mean exp(i (rank difference))| with ranks
    spread over the circle: 1 for the same order up to a rotation, and about 1/sqrt(m) for unrelated orders. The
    relabelled shapes are aligned as well, so the null includes the agreement that alignment alone creates.

    Args:
        points: shape (n, 3).
        lab: CIELAB of the same colours, shape (n, 3).
        chroma: CIELAB chroma above which a colour has a hue.
        permutations: number of permutations for the null.
        seed: seed of the permutations.

    Returns:
        The statistic, its one-sided p-value, and the number m of colours with a hue.
    """
    hued = np.hypot(lab[:, 1], lab[:, 2]) > chroma
    truth = _ranks(lab[hued])

    def statistic(shape: np.ndarray) -> float:
        return float(np.abs(np.exp(1j * (_ranks(align_shape(shape, lab).points[hued]) - truth)).mean()))

    observed = statistic(points)
    rng = np.random.default_rng(seed)
    above = sum(statistic(points[rng.permutation(len(points))]) >= observed for _ in range(permutations))
    return observed, (1 + above) / (permutations + 1), int(hued.sum())


def _ranks(lab: np.ndarray) -> np.ndarray:
    """Ranks of the hue angles, spread over the circle."""
    angle = np.arctan2(lab[:, 2], lab[:, 1])
    return 2 * np.pi * np.argsort(np.argsort(angle)) / len(angle)
