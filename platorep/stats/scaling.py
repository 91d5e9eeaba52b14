"""Points in the plane for a matrix of distances."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from typing import Literal

import numpy as np

from platorep.core.errors import StoreError


log = logging.getLogger(__name__)

Projection = Literal["auto", "umap", "mds"]


def plane(distances: np.ndarray, projection: Projection = "auto") -> tuple[np.ndarray, str]:
    """Places points in the plane so that their distances are close to the given ones.

    UMAP has random state 0 and min(15, m - 1) neighbours. Metric multidimensional scaling (SMACOF) starts from the
    classical solution and is rotated to its principal axes. Both give the same points every time.

    Args:
        distances: symmetric, shape (m, m).
        projection: "umap", "mds", or "auto": UMAP where umap-learn is installed and there are 5 or more points.

    Returns:
        The points, shape (m, 2), and the name of the method.

    Raises:
        StoreError: projection="umap" without umap-learn installed.
    """
    installed = importlib.util.find_spec("umap") is not None
    if projection == "umap" and not installed:
        raise StoreError(
            "projection=umap needs umap-learn: install platorep with its extra umap, or use projection=mds."
        )
    if installed and projection != "mds" and len(distances) > 4:  # UMAP's spectral start needs more than 4 points
        return _umap(distances), "UMAP"
    if projection == "auto" and not installed:
        log.warning("umap-learn is not installed: the map of models is made by multidimensional scaling.")
    return _mds(distances), "MDS"


def _umap(distances: np.ndarray) -> np.ndarray:
    import umap

    with warnings.catch_warnings():
        # that a precomputed metric has no inverse, and that a seed means one thread
        warnings.simplefilter("ignore")
        neighbours = min(15, len(distances) - 1)
        points = umap.UMAP(metric="precomputed", random_state=0, n_neighbors=neighbours).fit_transform(distances)
    return np.asarray(points, dtype=float)


def _mds(distances: np.ndarray) -> np.ndarray:
    from sklearn.manifold import smacof

    points, _ = smacof(distances, n_components=2, init=_classical(distances), n_init=1, normalized_stress=False)
    points = points - points.mean(0)
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    turned = points @ axes.T
    return turned * np.sign(turned[np.abs(turned).argmax(0), [0, 1]])


def _classical(distances: np.ndarray) -> np.ndarray:
    """Classical scaling to the plane: top two eigenvectors of the doubly centred squared distances."""
    squared = distances**2
    centred = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
    values, vectors = np.linalg.eigh(centred)
    return vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
