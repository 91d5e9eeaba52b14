"""Every metric written as its formula, in float64 numpy: slow, and the measure of the fast ones.

Each function takes features of shape (n, d_x) and (n, d_y) and the metric's parameters, and returns one score.
"""

from __future__ import annotations

from platorep.metrics.reference.cca import procrustes, pwcca, svcca
from platorep.metrics.reference.distances import distance_correlation, rsa
from platorep.metrics.reference.imbalance import information_imbalance
from platorep.metrics.reference.kernels import cka, cka_finite, cknna, cknna_prh
from platorep.metrics.reference.neighbours import (
    cycle_knn,
    edit_distance_knn,
    jaccard_knn,
    lcs_knn,
    mutual_knn,
    rnx_area,
)


__all__ = [
    "cka",
    "cka_finite",
    "cknna",
    "cknna_prh",
    "cycle_knn",
    "distance_correlation",
    "edit_distance_knn",
    "information_imbalance",
    "jaccard_knn",
    "lcs_knn",
    "mutual_knn",
    "procrustes",
    "pwcca",
    "rnx_area",
    "rsa",
    "svcca",
]
