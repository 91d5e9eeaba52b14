"""Tiled, streamed correlations beside numpy's on the whole, ties, rotations, units without variation."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.core.features import ArrayFeatures
from platorep.units import reading
from platorep.units.correlations import Arrangement, blocks, strongest, tile_width
from platorep.units.reading import ModelUnits, RotatedUnits, rotation


N = 300
WIDTHS = (31, 50, 7)


def model(seed: int, widths=WIDTHS, n: int = N, scale: float = 1.0) -> ArrayFeatures:
    chance = torch.Generator().manual_seed(seed)
    latent = torch.randn(n, 9, generator=torch.Generator().manual_seed(99))
    layers = [
        scale * (latent @ torch.randn(9, d, generator=chance) + torch.randn(n, d, generator=chance)) + 5 for d in widths
    ]
    return ArrayFeatures(f"m{seed}", layers)


def every(features: ArrayFeatures, **more) -> ModelUnits:
    return ModelUnits(features, range(len(features.layers)), **more)


def reference(x: ArrayFeatures, y: ArrayFeatures) -> np.ndarray:
    """Correlations of all units by numpy in float64."""
    a, b = (torch.cat(list(side.tensors), dim=1).double().numpy() for side in (x, y))
    return np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]


def test_the_strongest_partners_of_both_sides_are_those_of_the_whole_matrix():
    x, y = model(0), model(1, (40, 3))
    found, rho = strongest(every(x), every(y), keep=5)[0], reference(x, y)
    for partners, matrix in ((found.x, rho), (found.y, rho.T)):
        order = np.argsort(-matrix, axis=1, kind="stable")[:, :5]
        np.testing.assert_array_equal(partners.unit, order)
        np.testing.assert_allclose(partners.score, np.take_along_axis(matrix, order, axis=1), atol=2e-12)


@pytest.mark.parametrize("part", [64, 1 << 20])
@pytest.mark.parametrize("memory", [40_000, 200_000, 10**9])
def test_the_size_of_tiles_and_of_rows_in_work_changes_nothing(memory, part, monkeypatch):
    x, y = every(model(0)), every(model(1))
    orders = [
        Arrangement(),
        Arrangement(None, torch.arange(N).flip(0)),
        Arrangement(torch.arange(200), torch.arange(200)),
    ]
    whole = strongest(x, y, orders, keep=3)
    monkeypatch.setattr("platorep.units.correlations.PART", part)
    monkeypatch.setattr(reading, "CHUNK", 10 * part)
    for a, b in zip(whole, strongest(x, y, orders, keep=3, memory=memory), strict=True):
        for side in ("x", "y"):
            np.testing.assert_array_equal(getattr(a, side).unit, getattr(b, side).unit)
            np.testing.assert_allclose(getattr(a, side).score, getattr(b, side).score, atol=2e-12)


def test_permuted_and_left_out_samples_are_those_of_permuted_and_shorter_features():
    x, y, order = model(0), model(1), torch.randperm(N, generator=torch.Generator().manual_seed(3))
    moved = ArrayFeatures("moved", [layer[order] for layer in y.tensors])
    found = strongest(every(x), every(y), [Arrangement(None, order)])[0]
    np.testing.assert_array_equal(found.x.unit, strongest(every(x), every(moved))[0].x.unit)
    short = [ArrayFeatures("s", [layer[:90] for layer in side.tensors]) for side in (x, y)]
    found = strongest(every(x), every(y), [Arrangement(torch.arange(90), torch.arange(90))])[0]
    expected = strongest(*map(every, short))[0]
    np.testing.assert_allclose(found.y.score, expected.y.score, atol=2e-12)


def test_scale_and_offset_of_a_unit_do_not_matter_even_where_the_offset_is_large():
    x, y = model(0), model(1)
    odd = ArrayFeatures("odd", [layer.double() * torch.logspace(-3, 3, layer.shape[1]) + 1000 for layer in y.tensors])
    plain, scaled = (strongest(every(x), every(side))[0] for side in (y, odd))
    inner = y.tensors[0].shape[1] // 2  # units whose spread float32 can hold beside the offset
    np.testing.assert_allclose(plain.y.score[inner:31], scaled.y.score[inner:31], atol=1e-4)
    x_only = ArrayFeatures("x", [layer * torch.logspace(-3, 3, layer.shape[1]) for layer in x.tensors])
    np.testing.assert_allclose(strongest(every(x_only), every(y))[0].x.score, plain.x.score, atol=1e-6)


def test_of_equal_units_the_first_is_the_partner_in_whatever_tile_the_others_are():
    x, y = model(0), model(1, (20,))
    doubled = ArrayFeatures("doubled", [y.tensors[0], y.tensors[0], y.tensors[0]])
    for memory in (60_000, 10**9):
        found = strongest(every(x), every(doubled), keep=3, memory=memory)[0].x.unit
        np.testing.assert_array_equal(found[:, 0] % 20, found[:, 1] % 20)
        np.testing.assert_array_equal(found, found[:, :1] + [0, 20, 40])


def test_units_without_variation_take_no_part_and_are_named(caplog):
    layers = [layer.clone() for layer in model(0).tensors]
    layers[1][:, [3, 8]] = 7.0
    units = every(ArrayFeatures("m", layers))
    with caplog.at_level(logging.WARNING):
        dead = units.dead
    assert (dead.layer.tolist(), dead.unit.tolist()) == ([1, 1], [3, 8])
    assert "m, layer layer.1: 2 units are equal for all samples and take no part: 3, 8." in caplog.text
    assert units.count == sum(WIDTHS) - 2
    assert np.isfinite(strongest(units, every(model(1)))[0].x.score).all()


def test_values_that_are_not_finite_and_budgets_without_room_are_refused():
    layers = [layer.clone() for layer in model(0).tensors]
    layers[2][5, 4] = float("nan")
    with pytest.raises(FeatureError, match=r"m, layer layer\.2: unit 4 has values that are NaN or infinite"):
        strongest(every(ArrayFeatures("m", layers)), every(model(1)))
    with pytest.raises(SpecError, match=r"0 MB cannot hold one unit of each model over 300 samples.*compute\.memory"):
        strongest(every(model(0)), every(model(1)), memory=1000)


def test_blocks_cover_all_units_and_fit_the_budget():
    assert list(blocks(10, 4)) == [(0, 3), (3, 6), (6, 10)]
    assert list(blocks(4, 9)) == [(0, 4)]
    for n, memory in ((100, 10**6), (10**5, 10**9), (700, 3 * 10**9)):
        width = tile_width(n, memory)
        assert 16 * n * width + 24 * width**2 <= memory < 16 * n * (3 * width) + 24 * (3 * width) ** 2 + 2 * 10**8


def test_covariates_are_taken_out_of_every_unit(monkeypatch):
    x, y = model(0), model(1)
    brightness = torch.randn(N, 1, generator=torch.Generator().manual_seed(5))
    bright = [ArrayFeatures(side.name, [layer + 30 * brightness for layer in side.tensors]) for side in (x, y)]
    assert strongest(*map(every, bright))[0].x.score.min() > 0.9  # everything correlates through the brightness
    column = (brightness.double() - brightness.double().mean()).div(brightness.double().std(correction=0) * N**0.5)
    without = strongest(*(every(side, covariates=column) for side in bright))[0]
    with monkeypatch.context() as patch:
        patch.setattr(reading, "TURNED", 4 * N)  # four units at a time
        parts = strongest(*(every(side, covariates=column) for side in bright))[0]
    np.testing.assert_allclose(parts.x.score, without.x.score, atol=1e-6)
    expected = strongest(*(every(side, covariates=column) for side in (x, y)))[0]
    np.testing.assert_allclose(without.x.score, expected.x.score, atol=1e-4)
    alone = ArrayFeatures("b", [torch.cat([brightness, x.tensors[0]], dim=1)])
    assert strongest(every(alone, covariates=column), every(y))[0].x.score[0, 0] == 0  # nothing is left of it


def test_a_rotation_is_orthogonal_seeded_and_spread_as_the_haar_measure_is():
    turn = rotation(30, [1, 2])
    np.testing.assert_allclose(turn @ turn.T, np.eye(30), atol=1e-12)
    np.testing.assert_array_equal(turn, rotation(30, [1, 2]))
    assert not np.allclose(turn, rotation(30, [1, 3]))
    cells = np.array([rotation(4, [seed]) for seed in range(2000)])
    np.testing.assert_allclose(cells.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose((cells**4).mean(axis=0), 3 / (4 * 6), atol=0.02)  # 3 / (d (d + 2)), not 3 / d^2 = .19
    assert {rotation(1, [seed])[0, 0] for seed in range(9)} == {-1.0, 1.0}


def test_a_rotated_layer_spans_the_same_space_whatever_the_blocks_and_the_scales(monkeypatch):
    base = model(0)
    turned = RotatedUnits(every(base), [0])
    whole = turned.load(0, turned.count)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "TURNED", 4 * N)  # four units at a time
        torch.testing.assert_close(turned.load(0, turned.count), whole)
    parts = torch.cat([turned.load(start, stop) for start, stop in blocks(turned.count, 17)], dim=1)
    torch.testing.assert_close(whole, parts)
    layer = base.tensors[0].double() - base.tensors[0].double().mean(dim=0)
    rest = whole[:, :31].double() - layer @ torch.linalg.lstsq(layer, whole[:, :31].double()).solution
    assert rest.norm() < 1e-5 * whole[:, :31].norm()
    other = torch.randn(N, 31, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    assert (other - layer @ torch.linalg.lstsq(layer, other).solution).norm() > 0.5 * other.norm()
    scaled = ArrayFeatures("m0", [layer * torch.logspace(-2, 2, layer.shape[1]) for layer in base.tensors])
    torch.testing.assert_close(RotatedUnits(every(scaled), [0]).load(0, 31), whole[:, :31], atol=1e-5, rtol=1e-4)
