from __future__ import annotations

import sys

import pytest
import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics import approximate, knn
from tests.faiss_stub import Faiss


@pytest.fixture
def faiss(monkeypatch) -> Faiss:
    made = Faiss()
    monkeypatch.setitem(sys.modules, "faiss", made)
    return made


def grid(n: int, d: int) -> torch.Tensor:
    """Small integers: distances are exact."""
    return torch.randint(-3, 4, (n, d), generator=torch.Generator().manual_seed(0)).float()


def test_an_index_that_misses_nothing_gives_the_exact_neighbours_of_every_size_without_the_query(faiss):
    x, own = grid(300, 12), torch.arange(20, 60)
    found = approximate.growing_neighbours(x[20:60], [3, 5, 59], [60, 200, 300], gallery=x, own=own)
    exact = knn.growing_neighbours(
        x[20:60], [3, 5, 59], [60, 200, 300], gallery=x, own=own, similarity="euclidean", tile=(64, 64)
    )
    assert all(torch.equal(a, b) for a, b in zip(found, exact, strict=True))
    assert faiss.threads == 7


def test_a_query_that_the_index_misses_still_has_k_neighbours(faiss):
    faiss.hidden = 10  # row 0, the first query, is hidden from itself
    x = grid(100, 12)
    (found,) = approximate.growing_neighbours(x[:5], [8], [100], gallery=x, own=torch.arange(5))
    assert found.shape == (5, 8)
    assert not (found == torch.arange(5)[:, None]).any()
    assert not (found % 10 == 0).any()


def test_neighbours_that_the_index_does_not_find_are_refused(faiss):
    faiss.hidden = 2
    x = grid(100, 12)
    with pytest.raises(
        FeatureError, match=r"did not find k = 60 neighbours of every query among 100 samples. .*gallery.search=exact"
    ):
        approximate.growing_neighbours(x[:5], [60], [100], gallery=x, own=torch.arange(5))


def test_without_faiss_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        SpecError, match=r'needs FAISS, which is not installed .*pip install "platorep\[faiss\]".* gallery.search=exact'
    ):
        approximate.growing_neighbours(grid(5, 2), [1], [5], gallery=grid(5, 2), own=torch.arange(5))


@pytest.mark.slow
def test_faiss_itself_finds_nearly_all_neighbours_and_the_same_ones_twice():
    pytest.importorskip("faiss")
    x = torch.nn.functional.normalize(torch.randn(20_000, 64, generator=torch.Generator().manual_seed(3)), dim=1)
    own = torch.arange(200)
    found, again = (
        approximate.growing_neighbours(x[:200], [10, 40], [4_000, 20_000], gallery=x, own=own) for _ in range(2)
    )
    exact = knn.growing_neighbours(x[:200], [10, 40], [4_000, 20_000], gallery=x, own=own, tile=knn.TILES["cpu"])
    for a, b, true, least in zip(found, again, exact, (0.95, 0.8), strict=True):
        assert torch.equal(a, b)
        assert not (a == own[:, None]).any()
        assert (a[:, :, None] == true[:, None, :]).any(2).float().mean() > least  # random directions are hard to search
