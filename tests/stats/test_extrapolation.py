from __future__ import annotations

import itertools

import numpy as np
import pytest

from platorep.core.errors import DataError
from platorep.stats.extrapolation import predict
from platorep.stats.trends import trend


FAMILIES = np.repeat([f"f{i}" for i in range(10)], 3)
OLD = np.arange(30) < 15


def models(rng: np.random.Generator, lower: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Ten families of three models on one line with family effects; the last five lie `lower` below it."""
    x = rng.uniform(size=30)
    y = 0.5 * x + 0.05 * rng.normal(size=10).repeat(3) + 0.03 * rng.normal(size=30)
    return x, y - lower * ~OLD


def test_values_are_those_of_least_squares():
    x, y = models(np.random.default_rng(0))
    found = predict(x, y, FAMILIES, OLD, resamples=50)
    slope, intercept = np.polyfit(x[OLD], y[OLD], 1)
    line = intercept + slope * x
    assert (found.slope, found.intercept) == (pytest.approx(slope), pytest.approx(intercept))
    assert found.fitted[0] == pytest.approx(np.corrcoef(x[OLD], y[OLD])[0, 1] ** 2)
    new = ~OLD
    expected = 1 - ((y - line)[new] ** 2).sum() / ((y - y[new].mean())[new] ** 2).sum()
    assert found.predicted[0] == pytest.approx(expected)
    assert found.offset[0] == pytest.approx((y - line)[new].mean())
    assert (found.families, found.models) == ((5, 5), (15, 15))


def test_p_is_a_count_over_all_exchanges_of_families():
    x, y = models(np.random.default_rng(1), 0.05)
    found = predict(x, y, FAMILIES, OLD, resamples=10)
    names = sorted(set(FAMILIES))
    offsets = []
    for chosen in itertools.combinations(names, 5):
        old = np.isin(FAMILIES, chosen)
        slope, intercept = np.polyfit(x[old], y[old], 1)
        offsets.append((y - intercept - slope * x)[~old].mean())
    assert len(offsets) == 252
    assert found.smallest_p == pytest.approx(1 / 252)
    assert found.p == pytest.approx((np.abs(offsets) >= abs(found.offset[0]) - 1e-12).mean())


def test_new_models_on_another_line_are_found_and_on_the_same_line_they_are_not():
    other, same = [], []
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)
        other.append(predict(*models(rng, 0.4), FAMILIES, OLD, resamples=100))
        same.append(predict(*models(rng), FAMILIES, OLD, resamples=100))
    assert max(found.p for found in other) < 0.05
    assert max(found.predicted[0] for found in other) < 0
    assert all(found.offset[2] < 0 for found in other)
    assert np.median([found.predicted[0] for found in same]) > 0.4
    assert sum(found.p <= 0.05 for found in same) <= 5  # 6 of 40 at 5 %: 1 %
    inside = [found.offset[1] <= 0 <= found.offset[2] for found in same]
    assert np.mean(inside) > 0.85
    assert all(found.null[1] <= found.predicted[0] for found in same if found.p > 0.5)


def test_few_families_have_no_interval_and_a_family_on_both_sides_is_not_exchanged():
    x, y = models(np.random.default_rng(2))
    found = predict(x, y, np.repeat("one", 30), OLD)
    assert np.isnan([found.fitted[1], found.predicted[1], found.p]).all()
    assert "1 and 1 families are too few for intervals" in found.sentence


def test_the_trend_carries_the_prediction():
    x, y = models(np.random.default_rng(3))
    found = trend(x, y, FAMILIES, fit_on=OLD, permutations=99, resamples=50)
    assert found.prediction == predict(x, y, np.repeat(np.arange(10), 3), OLD, resamples=50)
    assert trend(x, y, FAMILIES, permutations=99, resamples=50).prediction is None


def test_sets_that_cannot_be_used_are_refused():
    x, y = models(np.random.default_rng(4))
    with pytest.raises(DataError, match="got 2 to fit and 28 others"):
        predict(x, y, FAMILIES, np.arange(30) < 2)
    with pytest.raises(DataError, match="got 30 to fit and 0 others"):
        predict(x, y, FAMILIES, np.ones(30, bool))
    with pytest.raises(DataError, match="all have one x"):
        predict(np.where(OLD, 0.5, x), y, FAMILIES, OLD)
