from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from platorep.metrics.base import Geometry
from platorep.metrics.moments import graph_sums, matrix_sums, permutation_moments, stack_sums
from platorep.metrics.registry import build


def graph(n: int, k: int, seed: int, hub: bool = False) -> torch.Tensor:
    closeness = torch.rand(n, n, generator=torch.Generator().manual_seed(seed))
    if hub:
        closeness[:, :2] += 1
    return closeness.fill_diagonal_(-1).topk(k, dim=1).indices


def dense(neighbours: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(neighbours), len(neighbours), dtype=torch.float64).scatter_(1, neighbours, 1)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("kind", ["real", "graph", "symmetric"])
def test_moments_are_those_over_all_permutations(n, kind):
    made = torch.Generator().manual_seed(n)
    if kind == "graph":
        a, b = dense(graph(n, max(1, n // 2), 1, hub=n > 3)), dense(graph(n, 1, 2))
    else:
        a, b = (torch.randn(n, n, generator=made, dtype=torch.float64) for _ in range(2))
        a, b = (a + a.T, b + b.T) if kind == "symmetric" else (a, b)
    a.fill_diagonal_(0), b.fill_diagonal_(0)
    every = [(a * b[list(p)][:, list(p)]).sum().item() for p in itertools.permutations(range(n))]
    mean, variance = permutation_moments(stack_sums([matrix_sums(a)]), stack_sums([matrix_sums(b)]), n)
    assert mean.item() == pytest.approx(np.mean(every), abs=1e-10)
    assert variance.item() == pytest.approx(np.var(every), abs=1e-9)


@pytest.mark.parametrize("hub", [False, True])
def test_sums_of_a_graph_are_those_of_its_matrix(hub):
    for n, k in ((5, 4), (40, 1), (300, 12)):
        neighbours = graph(n, k, 3, hub)
        assert [x.item() for x in graph_sums(neighbours)] == [x.item() for x in matrix_sums(dense(neighbours))]


def test_null_of_mutual_knn_agrees_with_permutations_and_hubs_widen_it():
    n, k = 200, 6
    sds = {}
    made = torch.Generator().manual_seed(0)
    for name, width in (("even", 2), ("hubs", 300)):  # wide Gaussian clouds have hubs near their centre
        metric = build("mutual_knn", k=k, similarity="euclidean")
        a, b = (metric.prepare(Geometry(torch.randn(n, width, generator=made), "euclidean")) for _ in range(2))
        null = metric.null([a], [b])
        orders = [torch.randperm(n, generator=made) for _ in range(1500)]
        flat = dense(a.indices.long())
        scores = np.array([(flat * dense(b.indices.long())[p][:, p]).sum().item() / (n * k) for p in orders])
        assert null.mean.item() == pytest.approx(k / (n - 1), rel=1e-12)
        assert abs(scores.mean() - null.mean.item()) < 4 * null.sd.item() / len(scores) ** 0.5
        assert scores.std() == pytest.approx(null.sd.item(), rel=0.09)  # its own error is 1.8 %
        sds[name] = null.sd.item()
    binomial = (k / (n - 1) / (n * k)) ** 0.5
    assert sds["hubs"] > 1.1 * sds["even"] > binomial
