"""Neighbours under ties: a reference for the drawn order, chance for unrelated layers, and unchanged results."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.core.errors import NoVariationError, SpecError
from platorep.metrics import geometry, ties
from platorep.metrics.base import Geometry
from platorep.metrics.knn import growing, inner_products, nearest
from platorep.metrics.overlaps import shared_neighbours
from platorep.metrics.registry import METRICS, build, parse
from platorep.stats.relabel import relabel

from .tied import KINDS, pair, slow_priority


def whole(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Small integers: every product is exact, ties are many."""
    return torch.randint(-2, 3, (n, d), generator=torch.Generator().manual_seed(seed)).float()


def slow_neighbours(x: torch.Tensor, k: int, seed: int) -> list[list[int]]:
    apart, rank = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist"), None
    rank, n = slow_priority(seed, len(x)), len(x)
    return [
        sorted((j for j in range(n) if j != i), key=lambda j: (apart[i, j].item(), rank[i, j]))[:k] for i in range(n)
    ]


@pytest.mark.parametrize("seed", [0, 7, -3, 2**63 + 5])
@pytest.mark.parametrize("k", [1, 6, 39])
def test_tied_neighbours_come_in_the_order_of_the_drawn_ranks(k, seed):
    x = whole(40, 3)
    assert Geometry(x, "euclidean", seed=seed).neighbours(k).tolist() == slow_neighbours(x, k, seed)


@pytest.mark.parametrize("tile", [(7, 11), (16, 16), (64, 5), (200, 200)])
def test_tiles_shares_and_growing_galleries_break_ties_alike(tile):
    x, priority = whole(130, 3), ties.by_seed(5)
    own = torch.arange(130)
    expected = torch.tensor(slow_neighbours(x, 9, 5))
    options = {"similarity": "euclidean", "priority": priority, "tile": tile}
    by_rows, by_squares = (nearest(x, 9, **more, **options) for more in ({"gallery": x, "own": own}, {}))
    assert torch.equal(by_rows.indices, expected)
    assert torch.equal(by_squares.indices, expected)
    shares = [nearest(x, 9, shard=(i, 3), **options) for i in range(3)] if tile[0] < 64 else [by_squares]
    assert torch.equal(torch.cat([part.indices for part in shares]), expected)
    tied = Geometry(x, "euclidean", seed=5).nearest(9).tied(9)
    assert 0 < tied.sum() < 130
    for found in (by_rows, by_squares, stacked(shares)):
        assert torch.equal(found.tied(9), tied)
    small, large = growing(x[:50], [4, 9], [60, 130], gallery=x, own=own[:50], **options)
    assert torch.equal(large.indices, expected[:50])
    assert small.indices.tolist() == slow_neighbours(x[:60], 4, 5)[:50]


def stacked(parts: list[ties.Nearest]) -> ties.Nearest:
    return ties.Nearest(*(torch.cat(column) for column in zip(*parts, strict=True)))


def test_the_first_of_many_are_the_few_and_so_is_their_tie():
    x = whole(60, 2)
    many = Geometry(x, "euclidean", seed=1)
    many.neighbours(40)
    for k in (1, 5, 12, 40):
        few = Geometry(x, "euclidean", seed=1)
        assert torch.equal(few.neighbours(k), many.neighbours(k))
        assert few.tied(k) == many.tied(k)
    assert Geometry(x, "euclidean").tied(59) == 0  # every other sample is a neighbour


def test_shares_of_tied_samples_are_counted():
    line = torch.tensor([[0.0], [1.0], [2.0], [4.0], [7.0]])
    assert Geometry(line, "euclidean").tied(1) == 0.2  # 1 lies between 0 and 2
    assert Geometry(line, "euclidean").tied(2) == 0.4  # 2 lies between 0 and 4, and 4 between 1 and 7
    assert Geometry(torch.eye(10).repeat(4, 1)).tied(2) == 1


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_without_ties_the_rules_agree_to_the_last_bit(similarity):
    x, y = (torch.randn(200, 12, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    random, first = (build("mutual_knn", similarity=similarity, ties=rule) for rule in ("random", "first"))
    a, b = Geometry(x, similarity), Geometry(y, similarity)
    assert torch.equal(random.prepare(a).indices, first.prepare(a).indices)
    assert random.prepare(a).tied == 0
    assert random.score(random.prepare(a), random.prepare(b)) == first.score(first.prepare(a), first.prepare(b))


def deviations(kind: str, rule: str, draws: int, n: int = 60, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Score less chance, and z, of mutual_knn for unrelated pairs."""
    metric = build("mutual_knn", k=k, similarity=KINDS[kind][1], ties=rule)
    found = []
    for seed in range(draws):
        x, y = (metric.prepare(Geometry(side, metric.similarity)) for side in pair(kind, seed, n))
        null = metric.null([x], [y])
        gap = metric.score(x, y) - null.mean.item()
        found.append((gap, gap / null.sd.item()))
    return tuple(np.array(found).T)


@pytest.mark.parametrize("kind", KINDS)
def test_unrelated_tied_layers_score_at_chance_and_are_rarely_called_related(kind):
    gaps, z = deviations(kind, "random", 100)
    assert abs(gaps.mean()) < 3 * gaps.std() / len(gaps) ** 0.5
    assert (z > 1.645).sum() <= 12  # of 100: 5 in the mean, 12 with three standard errors


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_over_2000_draws_the_test_keeps_its_level_and_the_score_is_at_chance(kind):
    gaps, z = deviations(kind, "random", 2000, n=200, k=10)
    assert abs(gaps.mean()) < 3 * gaps.std() / len(gaps) ** 0.5
    assert 0.03 <= (z > 1.645).mean() <= 0.07


@pytest.mark.parametrize("kind", ["one-hot", "two values", "one-dimensional, cosine"])
def test_the_lower_index_makes_unrelated_layers_agree(kind):
    gaps, z = deviations(kind, "first", 50)
    assert gaps.mean() > 6 * gaps.std() / len(gaps) ** 0.5
    assert (z > 1.645).mean() > 0.2


@pytest.mark.parametrize("name", [name for name in METRICS if build(name).neighbourhood])
@pytest.mark.parametrize("kind", ["one-hot", "duplicated rows"])
def test_every_metric_on_neighbours_is_where_relabelling_puts_it(name, kind):
    metric = build(name, k=4, similarity=KINDS[kind][1])
    gaps = []
    for seed in range(60):
        x, y = (metric.prepare(Geometry(side, metric.similarity)) for side in pair(kind, seed, 40))
        orders = [torch.randperm(40, generator=torch.Generator().manual_seed(1000 * seed + i)) for i in range(20)]
        null = metric.score_all([x], [relabel([y], order)[0] for order in orders])
        gaps.append(metric.score(x, y) - null.mean().item())
    gaps = np.array(gaps)
    assert abs(gaps.mean()) < 3 * gaps.std() / len(gaps) ** 0.5


def test_one_layer_agrees_with_itself_and_by_chance_with_a_copy_whose_ties_are_drawn_apart():
    x, metric = torch.eye(8).repeat(10, 1), build("mutual_knn", k=3)
    one, same, other = (metric.prepare(Geometry(x, seed=seed)) for seed in (1, 1, 2))
    assert metric.score(one, same) == 1
    assert metric.score(one, other) == pytest.approx(3 / 9, abs=0.1)  # of the 9 equal ones


def test_seeds_left_out_come_from_the_features():
    x, metric = whole(50, 2) + 0.5, build("mutual_knn", k=5)
    one, again, moved = (metric.prepare(Geometry(side)) for side in (x, x.clone(), x.flip(0)))
    assert torch.equal(one.indices, again.indices)
    assert not torch.equal(one.indices, 49 - moved.indices.flip(0))


def test_layers_without_variation_are_refused_and_their_neighbours_are_drawn():
    constant, line = torch.full((60, 3), 2.5), torch.rand(60, 1) + 1
    for x, similarity in ((constant, "cosine"), (constant, "euclidean"), (line, "cosine"), (constant + 1e-7, "cosine")):
        for name in METRICS:
            k = {"k": 5} if build(name).neighbourhood else {}
            with pytest.raises(NoVariationError, match="Leave this layer out"):
                build(name, similarity=similarity, **k).prepare(Geometry(x, similarity))
    graphs = [
        [Geometry(constant, "euclidean", seed=seed + side).neighbours(6) for seed in range(20)] for side in (0, 50)
    ]
    shared = shared_neighbours(*graphs).double().flatten() / (60 * 6)
    assert shared.mean().item() == pytest.approx(6 / 59, abs=0.01)


def test_variation_at_the_height_of_rounding_is_none():
    noise = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    metric = build("mutual_knn", k=3, similarity="euclidean")
    with pytest.raises(NoVariationError):
        metric.prepare(Geometry(1e4 + 1e-3 * noise.round(decimals=1), "euclidean"))
    metric.prepare(Geometry(1e4 + 0.1 * noise, "euclidean"))


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_equal_rows_are_equally_near_even_where_their_products_differ_in_the_last_bit(similarity, monkeypatch):
    x = torch.randn(30, 6, generator=torch.Generator().manual_seed(0)).repeat(3, 1)
    expected = Geometry(x, similarity, seed=1)
    assert expected.tied(1) == 1  # two copies of each

    def uneven(rows: torch.Tensor) -> torch.Tensor:
        product = inner_products(rows)
        product[:, 60:] *= 1 + 2**-23
        return product

    monkeypatch.setattr(geometry, "inner_products", uneven)
    found = Geometry(x, similarity, seed=1)
    assert torch.equal(found.neighbours(4), expected.neighbours(4))
    assert found.tied(1) == 1


def test_the_rule_is_part_of_the_id_only_where_it_is_not_the_default():
    assert build("mutual_knn").id == "mutual_knn(k=10,similarity=cosine)"
    first = build("cknna", ties="first")
    assert first.id == "cknna(k=10,similarity=cosine,ties=first)"
    assert parse(first.id) == first
    with pytest.raises(SpecError, match="ties is 'lowest'; expected 'random', or 'first'"):
        build("mutual_knn", ties="lowest")
