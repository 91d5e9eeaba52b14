from __future__ import annotations

import pytest
import torch

from platorep.core.errors import FeatureError
from platorep.stats.hubness import hubness, tie_rate


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


def test_ties_at_the_edge_of_the_neighbourhood_are_counted_and_others_are_not():
    closeness = torch.tensor([[9.0, 3, 2, 1], [3, 9, 3, 1], [2, 2, 9, 2], [1, 2, 3, 9]])
    assert tie_rate(closeness, 1) == 0.5  # rows 1 and 2
    assert tie_rate(closeness, 2) == 0.25  # row 2
    assert tie_rate(closeness, 3) == 0
    assert closeness[0, 0] == 9  # not modified


def test_what_is_no_graph_is_refused():
    with pytest.raises(FeatureError, match="layers, n, k"):
        hubness(torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(FeatureError, match="k = 4"):
        tie_rate(torch.eye(4), 4)
