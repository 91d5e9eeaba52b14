"""The ridge against scikit-learn and against maps that are fitted again without each anchor."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from platorep.maps.anchors import Anchors
from platorep.maps.ridge import STRENGTHS, ridge


RNG = np.random.default_rng(1)


def problem(m: int, dx: int, dy: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    x = RNG.normal(size=(m, dx)) + 2.0
    return x, x @ RNG.normal(size=(dx, dy)) + noise * RNG.normal(size=(m, dy)) - 1.0


@pytest.mark.parametrize(("m", "dx", "dy"), [(40, 6, 3), (12, 30, 5), (20, 19, 40)])
@pytest.mark.parametrize("noise", [0.1, 20.0])
def test_closed_form_errors_are_those_of_maps_without_each_anchor(m, dx, dy, noise):
    x, y = problem(m, dx, dy, noise)
    anchors, target = Anchors(x), Anchors(y)
    unit = (anchors.factors.values**2).mean()
    for strength, form in list(zip(STRENGTHS, anchors.left_out(STRENGTHS), strict=True))[::4]:
        slow = 0.0
        for i in range(m):
            rest = np.delete(np.arange(m), i)
            model = Ridge(alpha=strength * unit, solver="svd").fit(x[rest], y[rest])
            slow += ((y[i] - model.predict(x[i : i + 1])[0]) ** 2).sum()
        assert np.vdot(form, target.products) == pytest.approx(slow, rel=1e-6)


@pytest.mark.parametrize(("m", "dx", "dy", "noise"), [(60, 8, 4, 1.0), (60, 8, 4, 30.0), (25, 60, 10, 3.0)])
def test_strength_and_map_are_those_of_scikit_learn(m, dx, dy, noise):
    x, y = problem(m, dx, dy, noise)
    map_ = ridge(Anchors(x), Anchors(y))
    unit = (Anchors(x).factors.values ** 2).mean()
    theirs = RidgeCV(alphas=STRENGTHS * unit, gcv_mode="svd").fit(x, y)
    assert map_.strength == pytest.approx(theirs.alpha_)
    np.testing.assert_allclose(map_.y_mean + map_.source(x), theirs.predict(x), atol=1e-8)


def test_more_noise_asks_for_more_strength_and_leaves_fewer_degrees_of_freedom():
    maps = [ridge(*map(Anchors, problem(60, 20, 5, noise))) for noise in (0.01, 10.0, 1000.0)]
    assert [map_.strength for map_ in maps] == sorted(map_.strength for map_ in maps)
    assert maps[0].freedom == pytest.approx(20, abs=0.2)
    assert maps[0].freedom > maps[1].freedom > maps[2].freedom


def test_effective_degrees_of_freedom_are_the_trace():
    x, y = problem(30, 10, 4, 5.0)
    map_, centred = ridge(Anchors(x), Anchors(y)), x - x.mean(0)
    smoother = centred @ np.linalg.solve(centred.T @ centred + map_.strength * np.eye(10), centred.T)
    assert map_.freedom == pytest.approx(np.trace(smoother))


def test_with_fewer_anchors_than_dimensions_a_fit_says_nothing_and_held_out_samples_do():
    """An affine map goes through any m <= d + 1 anchors; the leave-one-out error knows that these say nothing."""
    x, noise = RNG.normal(size=(240, 50)), RNG.normal(size=(240, 30))
    through = Ridge(alpha=1e-9, solver="svd").fit(x[:40], noise[:40])
    np.testing.assert_allclose(through.predict(x[:40]), noise[:40], atol=1e-6)
    map_ = ridge(Anchors(x[:40]), Anchors(noise[:40]))
    total = ((noise[40:] - map_.y_mean) ** 2).sum()
    held_out = 1 - ((noise[40:] - map_.y_mean - map_.source(x[40:])) ** 2).sum() / total
    interpolated = 1 - ((noise[40:] - through.predict(x[40:])) ** 2).sum() / total
    assert interpolated < -0.5 < -0.02 < held_out < 0.02


def test_reordered_anchors_keep_what_was_computed():
    x, y = problem(30, 10, 4, 5.0)
    anchors, order = Anchors(x), RNG.permutation(30)
    anchors.left_out(STRENGTHS)
    moved, fresh = anchors.reordered(order), Anchors(x[order])
    one, other = ridge(moved, Anchors(y)), ridge(fresh, Anchors(y))
    assert one.strength == pytest.approx(other.strength)
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-9)
