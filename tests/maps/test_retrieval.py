"""Ranks, the correction for hubs, and chance in closed form, against slow references."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.maps.retrieval import chance_levels, csls, search


RNG = np.random.default_rng(3)


def slow_ranks(similarity: np.ndarray) -> list[int]:
    """Rank of each partner in a stable sort."""
    order = [sorted(range(len(row)), key=lambda j: (-row[j], j)) for row in similarity]
    return [row.index(i) + 1 for i, row in enumerate(order)]


@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_ranks_are_places_in_a_sorted_list_ties_in_the_order_of_the_samples(levels):
    similarity = RNG.integers(0, levels, size=(40, 40)).astype(float)
    result = search(similarity)
    assert result.ranks.tolist() == slow_ranks(similarity)
    assert result.nearest.tolist() == [int(np.argmax(row)) for row in similarity]


def test_a_map_that_tells_nothing_apart_scores_exactly_at_chance():
    ranks = search(np.zeros((50, 50))).ranks
    levels = chance_levels(50, (1, 10))
    assert (ranks <= 1).mean() == levels["recall_at_1"]
    assert (ranks <= 10).mean() == levels["recall_at_10"]
    assert np.median(ranks) == levels["median_rank"]
    assert (1 / ranks).mean() == pytest.approx(levels["reciprocal_rank"])


def test_chance_is_the_mean_over_random_orders_and_at_most_1():
    ranks = np.array([search(RNG.random((30, 30))).ranks for _ in range(400)])
    levels = chance_levels(30, (1, 5, 60))
    assert (ranks <= 5).mean() == pytest.approx(levels["recall_at_5"], abs=0.01)
    assert (1 / ranks).mean() == pytest.approx(levels["reciprocal_rank"], abs=0.01)
    assert levels["recall_at_60"] == 1


def test_csls_ranks_as_the_published_formula():
    similarity = RNG.normal(size=(40, 40))
    rows = np.sort(similarity, axis=1)[:, -10:].mean(axis=1)
    columns = np.sort(similarity, axis=0)[-10:].mean(axis=0)
    published = 2 * similarity - rows[:, None] - columns
    assert search(csls(similarity)).ranks.tolist() == search(published).ranks.tolist()


def test_csls_demotes_a_hub_that_is_nearest_to_all():
    similarity = 0.5 * np.eye(30) + 0.01 * RNG.random((30, 30))
    similarity[:, 7] += 0.8
    assert (search(similarity).nearest == 7).all()
    assert (search(csls(similarity)).ranks == 1).all()
