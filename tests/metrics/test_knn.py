from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from platorep.core.errors import FeatureError
from platorep.metrics.base import Geometry
from platorep.metrics.knn import growing_neighbours, inner_products, neighbours, share, top_k
from platorep.metrics.overlaps import _one_hot, hits, shared_neighbours
from platorep.metrics.sequences import common_subsequence, edit_distance


def unit(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def grid(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Small integers: products are exact, ties are many."""
    return torch.randint(-2, 3, (n, d), generator=torch.Generator().manual_seed(seed)).float()


def slow_top_k(closeness: torch.Tensor, k: int) -> torch.Tensor:
    return closeness.clone().fill_diagonal_(-torch.inf).sort(dim=1, descending=True, stable=True).indices[:, :k]


@pytest.mark.parametrize("k", [1, 5, 39])
@pytest.mark.parametrize("levels", [1, 2, 6, 10**6])
def test_top_k_is_the_stable_sort_whatever_the_ties(k, levels):
    closeness = torch.randint(0, levels, (40, 40), generator=torch.Generator().manual_seed(levels)).float()
    kept = closeness.clone()
    assert torch.equal(top_k(closeness, k).indices, slow_top_k(closeness, k))
    assert torch.equal(closeness, kept)


@pytest.mark.parametrize("n", [2, 255, 256, 257, 700])
def test_inner_products_by_blocks_are_the_products(n):
    x = grid(n, 9)
    assert torch.equal(inner_products(x), x @ x.T)
    x = unit(n, 33)
    torch.testing.assert_close(inner_products(x), x @ x.T, rtol=0, atol=3e-7)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
@pytest.mark.parametrize("tile", [(20, 1), (7, 13), (64, 1000), (1000, 50)])
def test_tile_size_changes_no_neighbour(tile, similarity):
    x = grid(60, 4)
    closeness = x @ x.T if similarity == "cosine" else 2 * (x @ x.T) - x.square().sum(dim=1)
    for k in (1, 8, 59):
        assert torch.equal(neighbours(x, k, similarity=similarity, tile=tile), slow_top_k(closeness, k))


def test_neighbours_agree_with_scikit_learn():
    x = unit(400, 24)
    for similarity, name in (("cosine", "cosine"), ("euclidean", "euclidean")):
        theirs = (
            NearestNeighbors(n_neighbors=12, metric=name, algorithm="brute")
            .fit(x.double().numpy())
            .kneighbors(return_distance=False)
        )
        assert np.array_equal(neighbours(x, 12, similarity=similarity, tile=(100, 90)).numpy(), theirs)


def test_large_n_in_tiles_gives_the_neighbours_of_the_whole_matrix(monkeypatch):
    x = torch.randn(300, 20, generator=torch.Generator().manual_seed(1))
    whole = {s: Geometry(x, s).neighbours(9) for s in ("cosine", "euclidean")}
    monkeypatch.setattr("platorep.metrics.geometry.DENSE", 100)
    for similarity, expected in whole.items():
        tiled = Geometry(x, similarity)
        assert torch.equal(tiled.neighbours(9), expected)
        assert "gram" not in vars(tiled)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_of_queries_stack_to_the_bytes_of_the_whole(shards, similarity):
    x = unit(530, 40)
    gallery = {"gallery": x, "own": torch.arange(530)}
    for more in ({}, gallery):
        pieces = [
            neighbours(x, 10, shard=(i, shards), tile=(64, 128), similarity=similarity, **more) for i in range(shards)
        ]
        assert torch.equal(torch.cat(pieces), neighbours(x, 10, tile=(64, 128), similarity=similarity, **more))


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
@pytest.mark.parametrize("side", [3, 16, 41, 64, 500])
def test_a_tile_serves_its_columns_as_it_serves_its_rows(side, similarity):
    x = grid(130, 5)
    for k in (1, 6, 129):
        rows_only = neighbours(x, k, gallery=x, own=torch.arange(130), similarity=similarity, tile=(7, 50))
        assert torch.equal(neighbours(x, k, similarity=similarity, tile=(side, side)), rows_only)


def test_duplicates_far_apart_are_neighbours_in_the_order_of_their_index():
    x = torch.eye(10).repeat(9, 1)  # rows i, i + 10, i + 20, ... are equal
    found = neighbours(x, 8, tile=(8, 8))
    expected = [[j for j in range(i % 10, 90, 10) if j != i] for i in range(90)]
    assert found.tolist() == expected


def test_shares_cover_all_rows_once_and_bad_ones_are_refused():
    for n, m, unit_rows in ((100, 3, 7), (5, 8, 2), (64, 4, 16)):
        bounds = [share(n, (i, m), unit_rows) for i in range(m)]
        assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])]
        assert bounds[-1][1] == n
    with pytest.raises(FeatureError, match="shard 3/3"):
        share(10, (3, 3), 1)


def test_growing_gallery_is_each_gallery_on_its_own():
    gallery = unit(500, 16)
    queries, own = gallery[40:90], torch.arange(40, 90)
    sizes, ks = [90, 200, 500], [1, 2, 5]
    together = growing_neighbours(queries, ks, sizes, gallery=gallery, own=own, tile=(16, 70))
    for found, k, size in zip(together, ks, sizes, strict=True):
        assert torch.equal(found, neighbours(queries, k, gallery=gallery[:size], own=own))
        assert not (found == own[:, None]).any()


def test_queries_outside_the_gallery_may_have_all_of_it_as_neighbours():
    queries, gallery = unit(5, 8), unit(7, 8, seed=1)
    found = neighbours(queries, 7, gallery=gallery)
    assert torch.equal(found, (queries @ gallery.T).sort(dim=1, descending=True, stable=True).indices)
    with pytest.raises(FeatureError, match="k = 8"):
        neighbours(queries, 8, gallery=gallery)
    with pytest.raises(FeatureError, match=r"gallery sizes \[5, 9\] must increase"):
        growing_neighbours(queries, [1, 1], [5, 9], gallery=gallery, tile=(8, 8))


@pytest.mark.parametrize("k", [0, 10, 11])
def test_k_outside_1_to_n_minus_1_is_refused(k):
    with pytest.raises(
        FeatureError, match=rf"k = {k} neighbours of 10 samples: k must be at least 1 and at most n - 1 = 9"
    ):
        Geometry(unit(10, 4)).neighbours(k)
    with pytest.raises(FeatureError, match=f"k = {k} neighbours"):
        neighbours(unit(10, 4), k)


def test_fewer_neighbours_are_the_first_of_more():
    layer = Geometry(grid(60, 3), "euclidean")
    many = layer.neighbours(20)
    assert torch.equal(layer.neighbours(4), many[:, :4])
    assert torch.equal(Geometry(grid(60, 3), "euclidean").neighbours(4), many[:, :4])


def test_shared_neighbours_in_blocks_and_one_hot_are_set_intersections(monkeypatch):
    n, xs = 50, [neighbours(unit(50, 6, seed), 4) for seed in range(3)]
    ys = [neighbours(unit(50, 6, seed), 7) for seed in range(2, 5)]
    expected = torch.tensor(
        [[sum(len(set(a) & set(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)) for y in ys] for x in xs]
    )
    assert torch.equal(shared_neighbours(xs, ys), expected)
    monkeypatch.setattr("platorep.metrics.overlaps._CELLS", 7 * n)
    assert torch.equal(shared_neighbours([x.int() for x in xs], ys), expected)
    dense = torch.bmm(_one_hot(xs, 0, n, n).float(), _one_hot(ys, 0, n, n).float().transpose(1, 2)).sum(dim=0)
    assert torch.equal(dense.long(), expected)
    assert [[int(hit.sum()) for hit in hits(x, ys)] for x in xs] == expected.tolist()


def test_sequences_of_known_distance():
    x = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])
    y = torch.tensor([[[1, 2, 3, 4], [4, 3, 2, 1], [2, 3, 4, 5], [5, 6, 7, 8]]])
    assert common_subsequence(x, y).tolist() == [[4, 1, 3, 0]]
    assert edit_distance(x, y).tolist() == [[0, 4, 2, 4]]


@pytest.mark.parametrize("reverse", [False, True])
def test_hits_without_a_table_are_those_with_one(reverse, monkeypatch):
    x, ys = neighbours(unit(60, 5), 6), [neighbours(unit(60, 4, seed), k) for seed, k in ((1, 3), (2, 9))]
    expected = list(hits(x, ys, reverse=reverse))
    monkeypatch.setattr("platorep.metrics.overlaps.DENSE", 10)
    monkeypatch.setattr("platorep.metrics.overlaps._CELLS", 500)
    found = list(hits(x.int(), ys, reverse=reverse))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert 0 < sum(int(hit.sum()) for hit in found) < sum(hit.numel() for hit in found)
