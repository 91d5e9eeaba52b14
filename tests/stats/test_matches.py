"""Chance of matches against simulation and enumeration, and the family-wise test of best correlations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from platorep.core.errors import SpecError
from platorep.stats.matches import buddy_count, family_test, match_chance, share_interval


def mutual_pairs(cells: np.ndarray) -> int:
    """Cells that are the highest of their row and of their column, by definition."""
    return int(((cells == cells.max(axis=1, keepdims=True)) & (cells == cells.max(axis=0, keepdims=True))).sum())


@pytest.mark.parametrize(("units", "others"), [(1, 4), (2, 2), (2, 3), (3, 2)])
def test_mean_and_spread_of_best_buddies_equal_those_over_all_orders_of_the_cells(units, others):
    counts = [
        mutual_pairs(np.array(order).reshape(units, others)) for order in itertools.permutations(range(units * others))
    ]
    expected = buddy_count(units, others)
    assert expected.mean == pytest.approx(np.mean(counts), abs=1e-12)
    assert expected.sd == pytest.approx(np.std(counts), abs=1e-9)
    assert match_chance(units, others) == pytest.approx(np.mean(counts) / units, abs=1e-12)


@pytest.mark.parametrize(("units", "others", "best"), [(40, 60, 1), (40, 60, 5), (60, 40, 5), (3, 50, 5)])
def test_the_chance_of_a_match_is_the_rate_among_independent_cells(units, others, best):
    rng, rates = np.random.default_rng(0), []
    for _ in range(400):
        cells = rng.random((units, others))
        column = cells.argmax(axis=1)
        above = (cells[:, column] > cells[np.arange(units), column]).sum(axis=0)
        rates.append((above < best).mean())
    error = np.std(rates) / len(rates) ** 0.5
    assert match_chance(units, others, best) == pytest.approx(np.mean(rates), abs=4 * error + 1e-12)


def test_half_of_all_units_are_best_buddies_and_nearly_all_match_by_the_released_rule():
    assert buddy_count(300, 300).mean == pytest.approx(300 * 300 / 599)
    assert match_chance(300, 300) == pytest.approx(0.5008, abs=1e-4)
    assert match_chance(300, 300, best=5) == pytest.approx(0.9695, abs=1e-4)
    assert match_chance(3, 100, best=5) == 1.0  # each of three units is among the five best


def test_the_interval_of_the_count_stays_possible_and_nonsense_is_refused():
    assert buddy_count(1, 1) == (1.0, 0.0, 1.0, 1.0)
    assert buddy_count(2, 2).high == 2
    with pytest.raises(SpecError, match="needs units >= 1, others >= 1, best >= 1; got 0, 3, 1"):
        match_chance(0, 3)
    with pytest.raises(SpecError, match="needs units on both sides and a level; got 3, 3, 1.5"):
        buddy_count(3, 3, level=1.5)


def reference_p(observed: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The corrected p by its definition, one unit at a time."""
    every = np.vstack([observed, draws])
    t = (every - every.mean(axis=0)) / every.std(axis=0)
    return np.array([(t.max(axis=1) >= t[0, u] - 1e-12).sum() / len(every) for u in range(len(observed))])


def test_the_corrected_p_is_that_of_the_definition():
    rng = np.random.default_rng(1)
    draws = rng.gumbel(size=(49, 30)) * np.linspace(0.5, 3, 30)
    observed = draws[0] + np.where(np.arange(30) < 5, 12.0, 0.0)
    found = family_test(observed, draws)
    np.testing.assert_allclose(found.p, reference_p(observed, draws))
    np.testing.assert_array_equal(
        found.exceeds[3], reference_p(draws[3], np.vstack([observed, draws[:3], draws[4:]])) < 0.05
    )


def test_a_unit_is_significant_where_it_exceeds_its_threshold_and_units_with_wide_nulls_have_high_ones():
    rng = np.random.default_rng(2)
    draws = rng.normal(size=(199, 40)) * np.linspace(0.5, 3, 40) + np.linspace(0, 1, 40)
    observed = draws.mean(axis=0) + rng.uniform(0, 9, size=40) * draws.std(axis=0)
    found = family_test(observed, draws)
    assert 0 < (found.p < 0.05).sum() < 40
    np.testing.assert_array_equal(found.p < 0.05, observed > found.threshold)
    assert found.threshold[-1] - draws[:, -1].mean() > 4 * (found.threshold[0] - draws[:, 0].mean())


def test_unrelated_arrangements_reject_in_at_most_one_in_twenty_runs():
    rng = np.random.default_rng(3)
    runs = [rng.gumbel(size=(40, 25)) for _ in range(400)]
    rejected = np.mean([(family_test(run[0], run[1:]).p < 0.05).any() for run in runs])
    assert rejected <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    with_effect = [np.vstack([run[0] + 6, run[1:]]) for run in runs[:50]]
    assert np.mean([(family_test(run[0], run[1:]).p < 0.05).any() for run in with_effect]) > 0.9


def test_too_few_draws_give_no_significance_and_equal_ones_no_threshold():
    found = family_test(np.array([9.0, 0.0]), np.array([[0.0, 0.1], [0.2, 0.3]]))
    assert found.p.min() == pytest.approx(1 / 3)
    assert math.isinf(found.threshold[0])
    assert math.isinf(family_test(np.zeros(2), np.zeros((99, 2))).threshold[0])
    with pytest.raises(SpecError, match=r"draws have shape \(0, 2\); expected \(1 or more, 2\)"):
        family_test(np.zeros(2), np.zeros((0, 2)))


def test_an_interval_of_a_share_is_wilson_s_with_the_variance_of_the_halves():
    halves = np.array([[0.5, 0.6], [0.55, 0.55], [0.62, 0.5], [0.6, 0.58]])
    low, high = share_interval(0.6, 10_000, halves)
    error = (np.square(halves[:, 0] - halves[:, 1]).mean() / 8**0.5) ** 0.5
    assert high - low == pytest.approx(2 * 2.776 * error, rel=0.05)  # t of 4 degrees of freedom
    assert low < 0.6 < high
    wider = share_interval(0.6, 10_000, halves, np.array([0.55, 0.6, 0.65]))
    assert wider[0] < low < high < wider[1]
    assert share_interval(0.6, 10_000, halves, level=0.99)[1] > high


def test_shares_of_none_and_all_have_an_interval_and_equal_halves_one_of_half_a_unit():
    same = np.full((10, 2), 0.25)
    low, high = share_interval(0.25, 40, same)
    assert high - low == pytest.approx(2 * 2.228 / 80, rel=0.05)
    assert share_interval(0.0, 40, np.zeros((10, 2)))[0] == 0
    assert 0.05 < share_interval(0.0, 40, np.zeros((10, 2)))[1] < 0.15
    assert share_interval(1.0, 40, np.ones((10, 2)))[1] == 1
    assert 0.85 < share_interval(1.0, 40, np.ones((10, 2)))[0] < 0.95
