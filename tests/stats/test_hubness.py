from __future__ import annotations

import pytest
import torch

from platorep.core.errors import FeatureError
from platorep.stats.hubness import hubness


def test_a_ring_has_no_hubs_and_a_star_is_one():
    n = 50
    ring = ((torch.arange(n) + 1) % n)[:, None]
    star = torch.zeros(n, 1, dtype=torch.int64)
    star[0] = 1
    frame = hubness(torch.stack([ring, star]))
    assert frame.max_in_degree.tolist() == [1, n - 1]
    assert frame.never_neighbours.tolist() == [0, (n - 2) / n]
    assert frame.in_degree_skewness.isna().tolist() == [True, False]
    degree = torch.zeros(n)
    degree[0], degree[1] = n - 1, 1
    off = degree - 1
    assert frame.in_degree_skewness[1] == pytest.approx(((off**3).mean() / (off**2).mean() ** 1.5).item(), rel=1e-5)


def test_random_graphs_have_the_skewness_of_counts():
    generator = torch.Generator().manual_seed(0)
    graph = torch.stack([torch.randperm(2000, generator=generator)[:10] for _ in range(2000)])[None]
    assert hubness(graph).in_degree_skewness[0] == pytest.approx(10**-0.5, abs=0.15)


def test_what_is_no_graph_is_refused():
    with pytest.raises(FeatureError, match="layers, n, k"):
        hubness(torch.zeros(4, 2, dtype=torch.int64))
