"""Intervals over test items, and over repeated splits, against closed forms and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from platorep.core.errors import FeatureError
from platorep.stats import items
from platorep.stats.resampled import corrected_resampled


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (7, 20), (20, 20), (50, 400)])
def test_the_interval_of_a_share_is_wilsons(hits, n):
    values = np.r_[np.ones(hits), np.zeros(n - hits)]
    bounds = items.share(values)
    assert bounds.score == hits / n
    reach = stats.t.ppf(0.975, n - 1)
    for end in (bounds.low, bounds.high):  # the shares from which the score is exactly so many errors away
        assert (end - hits / n) ** 2 == pytest.approx(reach**2 * end * (1 - end) / n, abs=1e-12)
    assert bounds.low >= -1e-12
    assert bounds.high <= 1 + 1e-12
    assert bounds.high - bounds.low > 0


def test_the_interval_of_a_mean_is_students():
    values = RNG.normal(size=30)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert items.mean(values)[1:] == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("n", [6, 9, 30, 101])
def test_the_interval_of_a_median_has_the_coverage_that_it_claims_and_no_narrower_one_has(n):
    first = items._order(n)
    values = np.arange(n, dtype=float)
    assert items.median(values) == (np.median(values), first, n - 1 - first)
    assert 1 - 2 * stats.binom.cdf(first, n, 0.5) >= 0.95
    assert 1 - 2 * stats.binom.cdf(first + 1, n, 0.5) < 0.95


def test_r2_is_its_definition_and_its_interval_that_of_a_jackknife():
    truth = RNG.normal(size=(80, 3))
    predicted = 0.6 * truth + 0.5 * RNG.normal(size=(80, 3))
    errors, totals = ((truth - predicted) ** 2).sum(1), (truth**2).sum(1)
    bounds = items.explained(errors, totals)
    assert bounds.score == pytest.approx(1 - errors.sum() / totals.sum())
    left_out = [1 - np.delete(errors, i).sum() / np.delete(totals, i).sum() for i in range(80)]
    error = np.sqrt(79 / 80 * ((left_out - np.mean(left_out)) ** 2).sum())
    assert (bounds.high - bounds.low) / 2 == pytest.approx(stats.t.ppf(0.975, 79) * error, rel=0.03)


def test_binomial_limits_hold_at_least_their_level():
    low, high = items.binomial_limits(0.05, 200)
    inside = stats.binom.cdf(round(high * 200), 200, 0.05) - stats.binom.cdf(round(low * 200) - 1, 200, 0.05)
    assert 0.95 <= inside < 0.98


def test_too_few_items_are_refused():
    with pytest.raises(FeatureError, match="an interval over test items needs at least 2; got 1"):
        items.share(np.ones(1))
    with pytest.raises(FeatureError, match="an interval of a median needs at least 6 items; got 5"):
        items.median(np.ones(5))
    with pytest.raises(FeatureError, match="all test items equal the mean of the samples of the fit"):
        items.explained(np.ones(5), np.zeros(5))
    with pytest.raises(FeatureError, match="the spread over splits needs at least 2 of them; got 1"):
        corrected_resampled(np.ones((3, 1)), 10, 20)


def test_the_variance_over_splits_is_that_of_nadeau_and_bengio():
    scores = RNG.normal(size=(4, 6))
    found = corrected_resampled(scores, 30, 70)
    error = np.sqrt((1 / 6 + 30 / 70) * scores.var(axis=1, ddof=1))
    np.testing.assert_allclose(found.standard_error, error)
    np.testing.assert_allclose(found.high - found.mean, stats.t.ppf(0.975, 5) * error)
    np.testing.assert_allclose(found.p_less, stats.t.cdf(scores.mean(axis=1) / error, 5))


def test_splits_that_agree_exactly_have_a_p_of_0_or_1():
    found = corrected_resampled(np.array([[0.2, 0.2], [-0.2, -0.2], [0.0, 0.0]]), 3, 7)
    assert found.p_less.tolist() == [1, 0, 1]
