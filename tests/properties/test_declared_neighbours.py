"""Declarations of neighbour metrics are tested: bounds, symmetry, each invariance, and each absence of one."""

from __future__ import annotations

import itertools

import pytest
import torch

from platorep.metrics.base import Geometry
from platorep.metrics.neighbours import NeighbourMetric
from platorep.metrics.registry import METRICS, build, metric_class


NAMES = [name for name, where in METRICS.items() if "neighbours:" in where]
CASES = [
    pytest.param(name, similarity, id=f"{name}-{similarity}")
    for name in NAMES
    for similarity in ("cosine", "euclidean")
]
N = 90


def pair(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    latent = torch.randn(N, 5, generator=made)
    x, y = (latent @ torch.randn(5, d, generator=made) + torch.randn(N, d, generator=made) for d in (12, 19))
    return x + 1, y  # off the origin, so that a translation turns directions


def score(metric, x: torch.Tensor, y: torch.Tensor) -> float:
    return metric.score(metric.prepare(Geometry(x, metric.similarity)), metric.prepare(Geometry(y, metric.similarity)))


MAPS = {
    "orthogonal": lambda x: (
        x @ torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], generator=torch.Generator().manual_seed(1))).Q
    ),
    "scaling": lambda x: 8 * x,
    "translation": lambda x: x + 4,
    "sample_scaling": lambda x: (
        x * 2.0 ** torch.randint(-3, 4, (len(x), 1), generator=torch.Generator().manual_seed(2))
    ),
    "invertible_linear": lambda x: x * torch.logspace(-1, 1, x.shape[1]),
}


@pytest.mark.parametrize("way", MAPS)
@pytest.mark.parametrize(("name", "similarity"), CASES)
def test_declared_invariances_hold_and_undeclared_ones_do_not(name, similarity, way):
    metric = build(name, similarity=similarity, k=7)
    x, y = pair()
    before, after = score(metric, x, y), score(metric, MAPS[way](x), y)
    if way in metric.invariances:
        assert after == pytest.approx(before, abs=2 / N / 7)  # rounding may exchange one pair of near neighbours
    else:
        assert abs(after - before) > 0.01


@pytest.mark.parametrize(("name", "similarity"), CASES)
def test_symmetry_is_as_declared(name, similarity):
    metric = build(name, similarity=similarity, k=4)
    differ = [score(metric, x, y) != score(metric, y, x) for x, y in map(pair, range(5))]
    assert any(differ) != metric.symmetric


@pytest.mark.parametrize(("name", "similarity"), CASES)
def test_scores_lie_in_the_bounds_and_a_layer_with_itself_has_the_highest(name, similarity):
    metric = build(name, similarity=similarity, k=7)
    low, high = metric.bounds
    x, y = pair()
    assert low <= score(metric, x, y) < high
    if name != "cycle_knn":  # a sample need not be a neighbour of its neighbours
        assert score(metric, x, x) == pytest.approx(high)


@pytest.mark.parametrize(("name", "similarity"), CASES)
def test_permuting_both_sides_changes_nothing_and_one_side_brings_chance(name, similarity):
    metric = build(name, similarity=similarity, k=7)
    x, y = pair()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    assert score(metric, x[order], y[order]) == pytest.approx(score(metric, x, y), abs=2 / N / 7)
    assert score(metric, x[order], y) < score(metric, x, y) - 0.03


@pytest.mark.parametrize("name", NAMES)
def test_all_pairs_at_once_are_the_pairs_one_by_one(name):
    metric = build(name, k=6)
    states = [metric.prepare(Geometry(side)) for seed in range(2) for side in pair(seed)]
    together = metric.score_all(states[:3], states[1:])
    assert together.dtype == torch.float64
    for (i, a), (j, b) in itertools.product(enumerate(states[:3]), enumerate(states[1:])):
        assert together[i, j].item() == metric.score(a, b)
        assert metric.per_sample(a, b).mean().item() == pytest.approx(metric.score(a, b), abs=1e-12)


def test_lcs_never_exceeds_mutual_nor_does_jaccard():
    for seed in range(5):
        x, y = pair(seed)
        mutual = score(build("mutual_knn", k=7), x, y)
        assert score(build("lcs_knn", k=7), x, y) <= mutual
        assert score(build("jaccard_knn", k=7), x, y) < mutual


@pytest.mark.parametrize("name", NAMES)
def test_ids_read_back_and_every_entry_is_a_metric_of_its_name(name):
    assert issubclass(metric_class(name), NeighbourMetric)
    assert build(name).name == name
