from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from platorep.core.errors import DataError, SpecError
from platorep.stats.trends import trend


PRH_FAMILIES = ["bloom"] * 5 + ["openllama"] * 3 + ["llama"] * 4


def families(rng: np.random.Generator, between: float, within: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the paper's 12 models, with a shared family effect and a relation within families."""
    sizes = np.unique(PRH_FAMILIES, return_inverse=True)[1]
    effect = between * rng.normal(size=3)[sizes]
    x = rng.normal(size=12) + effect
    return x, within * x + 0.3 * rng.normal(size=12) + effect


def test_values_are_scipys():
    rng = np.random.default_rng(0)
    x, y = families(rng, 1, 0.5)
    for name, reference in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
        found = trend(x, y, PRH_FAMILIES, statistic=name)
        assert (found.value, found.naive_p) == tuple(pytest.approx(float(v)) for v in reference(x, y))
        assert found.slope == pytest.approx(
            np.median([(y[j] - y[i]) / (x[j] - x[i]) for i in range(12) for j in range(i)])
        )
        assert found.models == 12
        assert found.families == 3


@pytest.mark.parametrize("name", ["spearman", "kendall"])
def test_exact_p_equals_a_naive_count_of_all_arrangements(name):
    rng = np.random.default_rng(1)
    x, y, family = rng.normal(size=7).round(1), rng.normal(size=7), np.array(["a", "b", "a", "b", "a", "b", "c"])
    reference = stats.spearmanr if name == "spearman" else stats.kendalltau
    values = []
    for a in itertools.permutations([0, 2, 4]):
        for b in itertools.permutations([1, 3, 5]):
            order = np.arange(7)
            order[[0, 2, 4]], order[[1, 3, 5]] = a, b
            values.append(float(reference(x[order], y)[0]))
    distance = np.abs(np.array(values) - np.mean(values))
    found = trend(x, y, family, statistic=name)
    assert found.exact
    assert found.arrangements == 36
    assert found.p == pytest.approx((distance >= distance[0] - 1e-9).mean())
    assert found.smallest_p == pytest.approx((distance >= distance.max() - 1e-9).mean())


def test_sampled_p_agrees_with_the_exact_one():
    x, y = families(np.random.default_rng(2), 1, 0.15)
    exact = trend(x, y, PRH_FAMILIES, permutations=17280)
    sampled = trend(x, y, PRH_FAMILIES, permutations=4000)
    assert exact.exact
    assert not sampled.exact
    assert sampled.arrangements == 4000
    assert sampled.p == pytest.approx(exact.p, abs=4 * (exact.p * (1 - exact.p) / 4000) ** 0.5 + 1e-3)
    assert trend(x, y, PRH_FAMILIES, permutations=4000) == sampled


def test_family_differences_alone_do_not_reject_although_the_naive_test_does():
    rng = np.random.default_rng(3)
    naive, stratified = [], []
    for _ in range(150):
        x, y = families(rng, 4, 0)
        found = trend(x, y, PRH_FAMILIES, permutations=199)
        naive.append(found.naive_p < 0.05)
        stratified.append(found.p <= 0.05)
    assert np.mean(naive) > 0.3
    assert np.mean(stratified) < 0.12


def test_a_relation_within_families_is_found():
    x, y = families(np.random.default_rng(4), 0, 1)
    found = trend(x, y, PRH_FAMILIES)
    assert found.p < 0.01
    assert found.slope == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize("shift", [0, 100])
def test_p_does_not_depend_on_the_order_of_the_models_or_on_monotone_rescaling(shift):
    x, y = families(np.random.default_rng(5), 1, 0.3)
    order = np.random.default_rng(shift).permutation(12)
    before = trend(x, y, PRH_FAMILIES, permutations=17280)
    after = trend(np.exp(x)[order], (3 * y + shift)[order], np.array(PRH_FAMILIES)[order], permutations=17280)
    assert after.p == pytest.approx(before.p)
    assert after.value == pytest.approx(before.value)


def test_families_too_small_to_test_are_named():
    found = trend([1, 2, 3, 4], [1, 3, 2, 5], ["a", "a", "b", "c"])
    assert (found.p, found.smallest_p) == (1, 1)
    assert any("smallest attainable p is 1" in note for note in found.notes)
    assert any("3 families are too few" in note for note in found.notes)
    assert np.isnan(found.low)
    assert "4 models as independent" in found.notes[0]


def test_an_interval_needs_five_families_and_contains_the_value():
    rng = np.random.default_rng(6)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    found = trend(x, y, np.repeat(np.arange(8), 5), permutations=99)
    assert -1 < found.low < found.value < found.high < 1
    assert found.low == trend(x, y, np.repeat(np.arange(8), 5), permutations=99).low
    assert np.isfinite(trend(x, y, np.repeat(np.arange(5), 8), permutations=99).low)
    assert np.isnan(trend(x, y, np.repeat(np.arange(4), 10), permutations=99).low)


def test_leaving_a_family_out_shows_the_one_that_carries_the_trend():
    x = np.array([0.0, 1, 2, 0, 1, 2, 10, 11, 12])
    y = np.array([2.0, 1, 0, 2.1, 1.1, 0.1, 10, 11, 12])
    without = trend(x, y, list("aaabbbccc")).without
    assert without["c"] < 0 < without["a"]
    assert set(without) == {"a", "b", "c"}
    assert np.isnan(trend([1, 2, 3, 4], [1, 2, 3, 4], ["a", "a", "b", "b"]).without["a"])


@pytest.mark.parametrize(
    ("x", "y", "family", "message"),
    [
        ([1, 2], [1, 2], ["a", "b"], "at least 3"),
        ([1, 2, 3], [1, 2], ["a", "b", "c"], "one length"),
        ([1, 2, np.nan], [1, 2, 3], ["a", "b", "c"], "model 2 has a value"),
        ([1, 1, 1], [1, 2, 3], ["a", "b", "c"], "constant"),
        ([1, 2, 3], [1, 2, 3], ["a", None, "c"], "model 1 has no family"),
    ],
)
def test_values_that_cannot_be_ranked_are_refused(x, y, family, message):
    with pytest.raises(DataError, match=message):
        trend(x, y, family)


def test_unknown_statistics_and_levels_are_refused():
    with pytest.raises(SpecError, match="pearson"):
        trend([1, 2, 3], [1, 2, 3], list("abc"), statistic="pearson")
    with pytest.raises(SpecError, match="level"):
        trend([1, 2, 3], [1, 2, 3], list("abc"), level=95)
