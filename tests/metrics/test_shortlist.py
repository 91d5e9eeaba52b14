"""Neighbours by low precision are those of full precision, and queries without a proof are searched again."""

from __future__ import annotations

import logging

import pytest
import torch

from platorep.metrics import shortlist, ties
from platorep.metrics.base import Geometry
from platorep.metrics.knn import nearest

from .conditions import normal


PRECISIONS = ["tf32", "bfloat16"]
SIMILARITIES = ["cosine", "euclidean"]


def unit(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(normal(seed, n, d), dim=1)


def whole(low: int, high: int, n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Whole numbers: with d high^2 < 2^24 all products in float32 are exact, so ties are ties."""
    return torch.randint(low, high, (n, d), generator=torch.Generator().manual_seed(seed)).float()


def near_ties() -> torch.Tensor:
    """Rows that low precision cannot tell apart and float32 holds exactly: 2,700 and a little, in steps of 1."""
    return whole(2700, 2760, 300, 2)


def decoys(precision: shortlist.Precision) -> torch.Tensor:
    """First 20 queries; their 6 neighbours, which rounding makes the farthest; 110 rows that rounding does not change.

    With a unit u of low precision, the products of the queries are 1 + 2 u^2 at most among themselves, 1 + 0.43 u with
    the 110, and 1 + 0.45 u or more with the neighbours, whose first entry lies just below 1 + u/2 and is rounded to 1.
    """
    u = 2.0**-7 if precision == "bfloat16" else 2.0**-10
    queries = torch.tensor([1, u]).expand(20, 2)
    neighbours = torch.stack([1 + u / 2 - u / 128 * torch.arange(1.0, 7.0), torch.zeros(6)], dim=1)
    others = torch.stack([torch.ones(110), torch.arange(1.0, 111.0) / 256], dim=1)
    return torch.cat([queries, neighbours, others])


def same(x: torch.Tensor, k: int, precision: shortlist.Precision, **options) -> shortlist.Search:
    """Neighbours by shortlist, after a check that they are those of full precision, ties included."""
    found = shortlist.search(x, k, precision, side=options.pop("side", None), **options)
    assert torch.equal(found.nearest.indices, nearest(x, k, **options).indices)
    return found


def same_up_to_rounding(x: torch.Tensor, k: int, precision: shortlist.Precision, **options) -> shortlist.Search:
    """As `same`, where the order is certain; else neighbours as near as those of full precision, up to its rounding."""
    found = shortlist.search(x, k, precision, side=options.pop("side", None), **options)
    full, distances = nearest(x, k, **options).indices, options.get("similarity") == "euclidean"
    certain = ~(found.outside | found.order)
    assert torch.equal(found.nearest.indices[certain], full[certain])
    bounds = shortlist.slack(x, shortlist.round_rows(x, precision), distances=distances, side=100)
    error = 2 * (bounds.query * bounds.full.amax() + bounds.full_offset.amax() + bounds.flushed)
    x = x.double()
    exact = 2 * (x @ x.T) - x.square().sum(dim=1) if distances else x @ x.T
    assert ((exact.gather(1, found.nearest.indices) - exact.gather(1, full)).abs() <= error[:, None]).all()
    return found


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_neighbours_by_low_precision_are_those_of_full_precision(precision, similarity):
    for side in (64, 130, 1000):
        for k in (1, 10, 20):
            found = same_up_to_rounding(unit(400, 24), k, precision, similarity=similarity, side=side)
            assert found.nearest.closeness.shape == (400, k + 1)
            full = nearest(unit(400, 24), k, similarity=similarity).closeness
            torch.testing.assert_close(found.nearest.closeness, full, rtol=0, atol=1e-5, check_dtype=False)
            assert found.redone == 0
            assert found.order.double().mean() < 0.1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_shares_redone_are_none_for_rows_far_apart_and_all_for_ties(precision):
    lengths = 2.0 ** (torch.arange(100) / 4)[:, None] * 1.1
    assert same(lengths, 5, precision).redone == 0
    assert same(torch.ones(100, 3), 5, precision, similarity="euclidean").redone == 1
    assert same(torch.eye(100).repeat(2, 1), 5, precision).redone == 1  # one duplicate each, and all others at 0


@pytest.mark.parametrize("rule", [ties.by_index, ties.by_seed(7)], ids=["first", "random"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_duplicates_and_near_ties_follow_the_rule_of_full_precision(precision, similarity, rule):
    options = {"similarity": similarity, "priority": rule}
    few = whole(-300, 300, 300, 16)
    few[200:220] = few[3]
    found = same(few, 10, precision, **options)
    assert found.redone == 0
    assert not found.order[200:220].any()  # equal rows are known to be ties
    assert found.nearest.tied(10)[200:220].all()
    many = whole(-300, 300, 400, 16)
    many[200:300] = many[3]
    found = same(many, 10, precision, **options)
    assert found.outside[3]
    assert found.outside[200:300].all()  # more ties than candidates
    assert found.redone < 0.5  # the others are not searched again
    same(near_ties(), 5, precision, **options)
    same(whole(-2, 3, 200, 4), 8, precision, **options)
    same(torch.eye(10).repeat(20, 1), 5, precision, **options)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rows_that_rounding_makes_the_farthest_are_neighbours_and_without_the_bound_are_not(precision, monkeypatch):
    x, honest = decoys(precision), shortlist.slack
    found = same(x, 5, precision)
    assert found.outside[:20].all()
    assert found.nearest.indices[:20].tolist() == [[20, 21, 22, 23, 24]] * 20

    def none(*args, **options):
        return shortlist.Slack(*(torch.zeros_like(bound) for bound in honest(*args, **options)))

    monkeypatch.setattr(shortlist, "slack", none)
    found = shortlist.search(x, 5, precision)
    assert not (found.outside | found.order)[:20].any()
    assert found.nearest.indices[:20].amin() > 25  # none of the neighbours


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_scale_and_offset_change_no_neighbour(precision, similarity):
    x = normal(2, 300, 8)
    for power in (-70, -60, -40, 40, 55):  # 2^-140 is below the smallest normal number of float32
        found = same_up_to_rounding(x * 2.0**power, 5, precision, similarity=similarity)
        assert power > -70 or found.redone == 1
    assert same(x.abs() * 2.0**64, 5, precision).redone == 1  # products overflow
    for offset in (1, 30, 1000):
        same_up_to_rounding(x + offset, 5, precision, similarity=similarity)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_long_row_leaves_the_proofs_of_others_under_euclidean(precision, similarity):
    x = unit(300, 8)
    before = same_up_to_rounding(x, 5, precision, similarity=similarity).redone
    x[17] *= 1e4
    after = same_up_to_rounding(x, 5, precision, similarity=similarity).redone
    assert after < before + 0.05 if similarity == "euclidean" else after > 0.9


@pytest.mark.parametrize("distances", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_bound_holds_and_rows_rounded_alike_reach_it(precision, distances):
    d = 48
    half = 2.0**-8 if precision == "bfloat16" else 2.0**-11
    worst = torch.full((4, d), 1 + half - 2.0**-20)  # every entry is rounded down by almost half a unit
    ratios = []
    for x in (worst, unit(90, d), normal(1, 90, d) + 5, normal(2, 90, d) * normal(3, 90, 1).exp()):
        rounded = shortlist.round_rows(x, precision)
        bounds = shortlist.slack(x, rounded, distances=distances, side=32)
        factor, squared = (2, x.double().square().sum(dim=1)) if distances else (1, torch.zeros(len(x)).double())
        exact = factor * (x.double() @ x.double().T) - squared
        low = factor * shortlist.products(rounded, rounded).double() - squared
        full = (factor * (x @ x.T) - squared.float()).double()
        b = torch.outer(bounds.query, bounds.low) + bounds.low_offset
        assert ((low - exact).abs() <= b).all()
        assert ((full - exact).abs() <= torch.outer(bounds.query, bounds.full) + bounds.full_offset).all()
        ratios.append(((low - exact).abs() / b).amax().item())
    assert ratios[0] > (0.8 if precision == "tf32" else 0.95)
    assert all(ratio < 0.8 for ratio in ratios[1:])


def test_rounding_is_to_the_nearest_and_to_even():
    x = torch.cat([normal(0, 1, 5000)[0] * normal(1, 1, 5000)[0].mul(10).exp(), torch.tensor([0.0, 1e-38, 3e38])])
    for precision, bits in (("tf32", 10), ("bfloat16", 7)):
        spacing = torch.exp2(torch.frexp(x.double()).exponent.double() - 1 - bits)
        expected = ((x.double() / spacing).round() * spacing).float()  # torch.round is to even
        normal_range = (x == 0) | (x.abs() >= 2.0**-126)
        assert torch.equal(shortlist.round_rows(x, precision)[normal_range], expected[normal_range])
    halves = torch.tensor([1 + 2.0**-11, 1 + 3 * 2.0**-11])
    assert shortlist.round_rows(halves, "tf32").tolist() == [1, 1 + 2.0**-9]


def test_products_of_bfloat16_are_summed_in_float32():
    rows = torch.empty(5, 7, dtype=torch.bfloat16, device="meta")  # no CPU has this product
    assert shortlist.products(rows, rows).dtype == torch.float32


def test_a_cpu_searches_in_full_precision_and_a_shortlist_reports_its_share(caplog):
    x = unit(200, 16)
    with caplog.at_level(logging.DEBUG, logger="platorep"):
        assert torch.equal(shortlist.nearest(x, 5).closeness, nearest(x, 5).closeness)
        assert not caplog.messages
        assert shortlist.automatic(x) is None
        found = shortlist.nearest(x, 5, precision="tf32")
    assert torch.equal(found.indices, nearest(x, 5).indices)
    assert "of 200 queries searched again in full precision" in caplog.text
    assert torch.equal(shortlist.nearest(x, 199, precision="tf32").indices, nearest(x, 199).indices)  # no shortlist


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_layers_with_many_samples_have_the_neighbours_of_full_precision(similarity, monkeypatch):
    x = normal(4, 300, 20)
    expected = Geometry(x, similarity).neighbours(9)
    monkeypatch.setattr("platorep.metrics.geometry.DENSE", 100)
    monkeypatch.setattr(shortlist, "automatic", lambda x: "tf32")
    assert torch.equal(Geometry(x, similarity).neighbours(9), expected)
