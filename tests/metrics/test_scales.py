"""Offsets and scales: declared invariances hold as long as float32 can represent the features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from platorep.core.errors import FeatureError
from platorep.metrics.base import Geometry
from platorep.metrics.knn import neighbours
from platorep.metrics.registry import METRICS, build

from .conditions import normal, related, score


def exact_neighbours(x: torch.Tensor, k: int) -> torch.Tensor:
    """From differences in float64."""
    apart = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    return apart.fill_diagonal_(torch.inf).argsort(dim=1, stable=True)[:, :k]


def agreement(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.mean([len(set(p) & set(q)) / len(p) for p, q in zip(a.tolist(), b.tolist(), strict=True)]))


@pytest.mark.parametrize("offset", [0, 10, 100, 1e3, 1e4, 1e5, -3e5])
@pytest.mark.parametrize("width", [1, 2, 16])
def test_neighbours_of_shifted_features_are_those_of_the_shifted_features_in_float64(offset, width):
    x = normal(0, 300, width) + offset  # as float32 holds it
    expected = exact_neighbours(x, 10)
    assert agreement(Geometry(x, "euclidean", seed=0).neighbours(10, "first"), expected) > 0.9999
    z = normal(0, 300, width)
    if abs(offset) <= 1e3 and width > 1:
        assert agreement(expected, exact_neighbours(z, 10)) > 0.99


@pytest.mark.parametrize("power", range(-36, 36, 4))
def test_scale_changes_no_neighbour_over_seventy_orders_of_magnitude(power):
    z = normal(1, 200, 8)
    for similarity in ("cosine", "euclidean"):
        expected = Geometry(z, similarity).neighbours(10)
        factor = 2.0 ** round(power * np.log2(10))  # a power of two rounds nothing
        assert torch.equal(Geometry((z.double() * factor).float(), similarity).neighbours(10), expected)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_declared_scaling_and_translation_hold_over_twenty_orders_of_magnitude(name, similarity):
    metric = build(name, similarity=similarity)
    metric = build(name, similarity=similarity, k=7) if metric.neighbourhood else metric
    x, y = related(3, n=80)
    before = score(metric, x, y)
    small = 0.5 / 80 if metric.neighbourhood else 2e-5  # one neighbour of one sample, or rounding
    if "scaling" in metric.invariances:
        for power in (-30, -20, -10, -5, 5, 10, 20, 30):
            assert score(metric, 10.0**power * x, y) == pytest.approx(before, abs=small), power
            assert score(metric, x, 10.0**power * y) == pytest.approx(before, abs=small), power
    if "translation" in metric.invariances:
        for offset in (1e2, -1e3):
            assert score(metric, x + offset, y) == pytest.approx(before, abs=max(small, abs(offset) * 1e-6)), offset
            assert score(metric, x, y + offset * normal(9, 1, 17)) == pytest.approx(before, abs=max(small, 1e-3)), (
                offset
            )


def test_a_kernel_of_a_given_width_follows_the_scale():
    x, y = related(5, n=60)
    for factor in (1e-12, 1e12):
        metric, other = (build("cka", kernel="rbf", sigma=s, similarity="euclidean") for s in (2.0, 2.0 * factor))
        assert score(other, factor * x, factor * y) == pytest.approx(score(metric, x, y), abs=1e-4)


def test_whole_numbers_and_features_around_zero_are_left_as_they_are():
    for x in (normal(0, 50, 7), torch.randint(-3, 4, (50, 4)).float(), normal(0, 50, 3) * 1e-4):
        assert torch.equal(Geometry(x, "euclidean").moved, x)
    years = torch.randint(1900, 2026, (80, 3), generator=torch.Generator().manual_seed(0)).float()
    layer = Geometry(years, "euclidean")
    assert torch.equal(layer.moved, layer.moved.round())
    assert layer.neighbours(5, "first").tolist() == exact_neighbours(years, 5).tolist()


def test_an_outlier_and_a_huge_constant_feature_hide_no_neighbours():
    z = normal(2, 200, 6)
    far = z.clone()
    far[17] += 1e6
    constant = torch.cat([z, torch.full((200, 1), 3e7)], dim=1)
    for x in (far, constant):
        assert agreement(Geometry(x, "euclidean").neighbours(10), exact_neighbours(x, 10)) > 0.9999


def test_points_on_a_line_have_their_true_neighbours_in_one_matrix_and_in_tiles(monkeypatch):
    x = torch.rand(1500, 1, generator=torch.Generator().manual_seed(0)) * 1000 + 5000
    expected = exact_neighbours(x, 8)
    assert agreement(Geometry(x, "euclidean").neighbours(8), expected) > 0.9999
    monkeypatch.setattr("platorep.metrics.geometry.DENSE", 100)
    layer = Geometry(x, "euclidean")
    assert agreement(layer.neighbours(8), expected) > 0.9999
    shares = [neighbours(layer.moved, 8, similarity="euclidean", shard=(i, 3), tile=(128, 128)) for i in range(3)]
    assert torch.equal(torch.cat(shares), neighbours(layer.moved, 8, similarity="euclidean", tile=(128, 128)))


def test_directions_in_a_narrow_cone_keep_their_neighbours():
    x = normal(3, 200, 8) + 3000
    unit = x.double() / x.double().norm(dim=1, keepdim=True)
    assert agreement(Geometry(x).neighbours(10), exact_neighbours(unit, 10)) > 0.9
    plain = x / x.norm(dim=1, keepdim=True)
    assert agreement(neighbours(plain, 10), exact_neighbours(unit, 10)) < 0.5  # of float32 products


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(-30, 30), min_size=3, max_size=3), seed=st.integers(0, 1000), n=st.integers(8, 30))
def test_samples_of_any_length_have_the_same_directions(sizes, seed, n):
    x = normal(seed, n, 5)
    factors = torch.tensor(sizes, dtype=torch.float64).exp2().repeat(n)[:n, None]
    assert torch.equal(Geometry(x).neighbours(3), Geometry((x.double() * factors).float()).neighbours(3))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_values_that_are_not_finite_are_named_by_their_row(value, similarity):
    x = normal(0, 20, 4)
    x[13, 2] = value
    with pytest.raises(FeatureError, match=r"not finite \(first in row 13\)"):
        Geometry(x, similarity)
