"""Matrices of dissimilarities as metrics see them: the scores of the features that they were made from."""

from __future__ import annotations

import pytest
import torch

from platorep.core.errors import FeatureError, NoVariationError
from platorep.metrics import registry
from platorep.metrics.base import Metric
from platorep.metrics.geometry import Geometry
from platorep.metrics.matrix_geometry import MatrixGeometry
from platorep.stats.selection import subset


WORKING = (
    "mutual_knn",
    "jaccard_knn",
    "cycle_knn",
    "lcs_knn",
    "edit_distance_knn",
    "rnx_area",
    "cknna",
    "cka",
    "rsa",
    "distance_correlation",
    "information_imbalance",
)
REFUSING = ("svcca", "pwcca", "procrustes", "cknna_prh", "cka_finite")
"""Metrics that must score a matrix, and those that must refuse it; another metric may do either."""
N = 60


def features(seed: int) -> torch.Tensor:
    shared = torch.randn(N, 8, generator=torch.Generator().manual_seed(0))
    return shared + torch.randn(N, 8, generator=torch.Generator().manual_seed(seed))


def dissimilarities(x: torch.Tensor, similarity: str) -> torch.Tensor:
    x = x.double()
    if similarity == "euclidean":
        return torch.cdist(x, x).square().fill_diagonal_(0)
    x = x / x.norm(dim=1, keepdim=True)
    return (1 - x @ x.T).fill_diagonal_(0)


def built(name: str, similarity: str) -> Metric:
    small = {"k": 5} if registry.build(name).neighbourhood else {}
    return registry.build(name, similarity=similarity, **small)


def takes_matrices(name: str) -> bool:
    try:
        built(name, "cosine").prepare(MatrixGeometry(dissimilarities(features(1), "cosine")))
    except FeatureError:
        return False
    return True


TAKING = [name for name in registry.METRICS if takes_matrices(name)]


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
@pytest.mark.parametrize("name", TAKING)
def test_a_matrix_has_the_score_of_the_features_that_it_is_made_from(name, similarity):
    metric = built(name, similarity)
    x, y = features(1), features(2)
    other = metric.prepare(Geometry(y, similarity))
    score = metric.score(metric.prepare(Geometry(x, similarity)), other)
    same = metric.score(metric.prepare(MatrixGeometry(dissimilarities(x, similarity), similarity)), other)
    assert same == pytest.approx(score, abs=2e-5)
    unlike = metric.score(metric.prepare(MatrixGeometry(dissimilarities(features(3), similarity), similarity)), other)
    assert abs(unlike - score) > 1e-3


@pytest.mark.parametrize("name", sorted({*registry.METRICS} - {*TAKING}))
def test_metrics_that_need_features_refuse_a_matrix(name):
    who = name if name in REFUSING else "this"
    with pytest.raises(FeatureError, match=f"{who} needs features, and this model is a matrix of dissimilarities"):
        built(name, "cosine").prepare(MatrixGeometry(dissimilarities(features(1), "cosine")))


def test_metrics_take_matrices_or_refuse_them_as_listed():
    assert set(WORKING) <= set(TAKING)
    assert not set(REFUSING) & set(TAKING)


def test_a_null_and_a_half_of_the_samples_work_as_for_features():
    metric = registry.build("cka")
    x, y = features(1), features(2)
    rows = torch.arange(0, N, 2).numpy()
    half = metric.prepare(subset(MatrixGeometry(dissimilarities(x, "cosine")), rows))
    direct = metric.prepare(subset(Geometry(x), rows))
    other = metric.prepare(subset(Geometry(y), rows))
    assert metric.score(half, other) == pytest.approx(metric.score(direct, other), abs=1e-5)
    assert metric.null([half], [other]).sd.item() == pytest.approx(metric.null([direct], [other]).sd.item())


def test_odd_matrices_are_refused_with_a_reason():
    with pytest.raises(FeatureError, match=r"shape \(n, n\)"):
        MatrixGeometry(torch.zeros(3, 4))
    with pytest.raises(FeatureError, match="not finite"):
        MatrixGeometry(torch.full((3, 3), torch.nan))
    with pytest.raises(NoVariationError, match="all dissimilarities are equal"):
        registry.build("rsa").prepare(MatrixGeometry(1 - torch.eye(9)))
    negative = (dissimilarities(features(1), "cosine") - 0.5).fill_diagonal_(0)
    with pytest.raises(FeatureError, match="squared distances, which are not negative"):
        MatrixGeometry(negative, "euclidean")
    with pytest.raises(FeatureError, match="takes roots"):
        registry.build("distance_correlation").prepare(MatrixGeometry(negative))
    registry.build("rsa").prepare(MatrixGeometry(negative))  # crossnobis may be negative
