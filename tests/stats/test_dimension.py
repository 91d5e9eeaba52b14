"""Intrinsic dimension on manifolds whose dimension is known, and against the formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from platorep.core.errors import FeatureError
from platorep.stats.dimension import maximum_likelihood, two_nn


def near(x: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
    distances, neighbours = cKDTree(x).query(x, k + 1)
    return neighbours[:, 1:], distances[:, 1:]


def swiss_roll(rng, n):
    t = rng.uniform(1.5 * np.pi, 4.5 * np.pi, size=n)
    return np.c_[t * np.cos(t), 21 * rng.random(n), t * np.sin(t)]


def sphere(rng, n, d):
    z = rng.normal(size=(n, d + 1))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


MANIFOLDS = {
    "Swiss roll": (2, swiss_roll),
    "5-sphere in 6 dimensions": (5, lambda rng, n: sphere(rng, n, 5)),
    "Gaussian in a plane of 20 dimensions": (2, lambda rng, n: rng.normal(size=(n, 2)) @ rng.normal(size=(2, 20))),
    "cube": (3, lambda rng, n: rng.random((n, 3))),
}


@pytest.mark.parametrize("name", MANIFOLDS)
@pytest.mark.parametrize("estimate", [two_nn, maximum_likelihood], ids=lambda f: f.__name__)
def test_manifolds_have_their_dimension_within_5_percent(name, estimate):
    dimension, draw = MANIFOLDS[name]
    rng = np.random.default_rng(0)
    values = [estimate(*near(draw(rng, 4000))) for _ in range(2)]
    assert np.mean([value.value for value in values]) == pytest.approx(dimension, rel=0.05)
    assert all(value.low < value.value < value.high for value in values)


def test_estimates_are_their_formulas():
    x = np.random.default_rng(1).normal(size=(60, 3))
    graph, r = near(x, 6)
    mu = r[:, 1] / r[:, 0]
    assert two_nn(graph, r).value == pytest.approx(59 / np.log(mu).sum())
    inverse = [sum(np.log(row[5] / row[j]) for j in range(5)) / 5 for row in r]
    assert maximum_likelihood(graph, r).value == pytest.approx(59 / 60 / np.mean(inverse))
    assert maximum_likelihood(graph[:, :2], r[:, :2]) == two_nn(graph, r)


def test_neither_scale_nor_rotation_nor_further_dimensions_change_it():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 3))
    moved = 7 * x @ np.linalg.qr(rng.normal(size=(9, 9)))[0][:3]
    for estimate in (two_nn, maximum_likelihood):
        assert estimate(*near(moved)) == pytest.approx(estimate(*near(x)))


def test_twins_are_left_out_and_samples_that_are_all_twins_refused():
    x = np.random.default_rng(3).normal(size=(400, 2))
    twins = np.concatenate([x, x[:40]])
    graph, r = near(twins)
    kept = r[:, 0] > 0
    assert kept.sum() == 360
    assert two_nn(graph, r).value == pytest.approx(359 / np.log(r[kept, 1] / r[kept, 0]).sum())
    with pytest.raises(FeatureError, match="0 of 20 have no twin. Drop equal rows"):
        two_nn(*near(np.ones((20, 2)), 3))
    with pytest.raises(FeatureError, match="at least 2 neighbours; got 1"):
        maximum_likelihood(graph[:, :1], r[:, :1])
