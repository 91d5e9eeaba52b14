"""Noise ceilings, reliability and two-factor inference: theorems with their negative controls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from platorep.core.errors import FeatureError, SpecError
from platorep.stats.ceilings import MEASURES, noise_ceiling, prepared, spearman_brown, split_half
from platorep.stats.two_factor import two_factor


def people(count: int, pairs: int, noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 5 + rng.normal(size=pairs) + noise * rng.normal(size=(count, pairs))


def square(vectors: np.ndarray, n: int) -> np.ndarray:
    whole = np.zeros((len(vectors), n, n))
    whole[:, *np.triu_indices(n, 1)] = vectors
    return whole + whole.transpose(0, 2, 1)


@pytest.mark.parametrize("measure", MEASURES)
def test_people_who_are_equal_have_both_lines_at_one_and_others_do_not(measure):
    equal = noise_ceiling(people(4, 500, 0), measure)
    assert equal == pytest.approx((1, 1), abs=1e-12)
    assert noise_ceiling(people(4, 500, 1), measure).upper < 0.999


@pytest.mark.parametrize("count", [4, 9])
def test_people_who_share_nothing_have_a_lower_line_near_0_and_an_upper_one_near_1_over_the_root_of_their_number(count):
    alone = np.random.default_rng(1).normal(size=(count, 20000))
    found = noise_ceiling(alone, "pearson")
    assert found.lower == pytest.approx(0, abs=0.02)
    assert found.upper == pytest.approx(count**-0.5, abs=0.02)
    assert noise_ceiling(people(count, 20000, 1), "pearson").lower > 0.4  # where they share something it is not near 0


@pytest.mark.parametrize("measure", ["pearson", "cosine"])
def test_a_model_equal_to_the_pool_scores_the_upper_line_and_no_other_does(measure):
    some = people(5, 300, 1)
    unit = prepared(some, measure)
    top = noise_ceiling(some, measure).upper
    pool = prepared(unit.mean(axis=0), measure)
    assert (unit @ pool).mean() == pytest.approx(top, abs=1e-12)
    rng = np.random.default_rng(2)
    others = prepared(unit.mean(axis=0) + 0.1 * rng.normal(size=(50, 300)) * unit.std(), measure)
    assert ((unit @ others.T).mean(axis=0) < top).all()


def slow_ceiling(some: np.ndarray, measure: str) -> tuple[float, float]:
    """The definition, person by person, with scipy's correlations."""

    def pool(rows):
        if measure == "pearson":
            return np.mean([(row - row.mean()) / row.std() for row in rows], axis=0)
        if measure == "spearman":
            return np.mean([[np.sum(row < v) + (np.sum(row == v) + 1) / 2 for v in row] for row in rows], axis=0)
        return np.mean([row / np.sqrt(np.sum(row**2)) for row in rows], axis=0)

    def score(a, b):
        if measure == "spearman":
            return spearmanr(a, b).statistic
        if measure == "pearson":
            return np.corrcoef(a, b)[0, 1]
        return a @ b / np.sqrt(a @ a * (b @ b))

    lower = [score(pool([q for j, q in enumerate(some) if j != i]), p) for i, p in enumerate(some)]
    return float(np.mean(lower)), float(np.mean([score(pool(some), p) for p in some]))


@pytest.mark.parametrize("measure", MEASURES)
def test_the_ceiling_is_that_of_the_definition(measure):
    some = people(4, 200, 1).round(1)  # with ties
    assert noise_ceiling(some, measure) == pytest.approx(slow_ceiling(some, measure), abs=1e-12)


@pytest.mark.parametrize(("measure", "word"), [("pearson", "corr"), ("spearman", "spearman"), ("cosine", "cosine")])
def test_the_ceiling_is_that_of_rsatoolbox(measure, word):
    ceiling = pytest.importorskip(
        "rsatoolbox.inference.noise_ceiling", reason="scripts/test_slow.sh installs rsatoolbox"
    )
    from rsatoolbox.rdm import RDMs

    some = people(4, 190, 1)
    assert noise_ceiling(some, measure) == pytest.approx(ceiling.boot_noise_ceiling(RDMs(some), word), abs=1e-12)


def test_spearman_and_brown_extend_a_reliability_to_that_of_more_repetitions():
    rng = np.random.default_rng(3)
    true, noise = rng.normal(size=200000), rng.normal(size=(4, 200000))
    found = split_half(true + noise)
    assert found.half == pytest.approx(2 / 3, abs=0.01)  # halves of two: 1 / (1 + 1/2)
    assert found.whole == pytest.approx(4 / 5, abs=0.01)
    assert spearman_brown(0.5) == pytest.approx(2 / 3)
    assert split_half(noise).whole == pytest.approx(0, abs=0.02)
    with pytest.raises(FeatureError, match="too negative to be extended 2 times"):
        spearman_brown(-1.0)


def test_what_has_no_ceiling_is_refused():
    with pytest.raises(FeatureError, match="needs at least 2 people; got 1"):
        noise_ceiling(people(1, 20, 1))
    with pytest.raises(FeatureError, match="all equal have no correlation"):
        noise_ceiling(np.ones((3, 20)))
    with pytest.raises(SpecError, match="measure is 'kendall'; expected pearson, spearman, cosine"):
        noise_ceiling(people(3, 20, 1), "kendall")


@pytest.mark.parametrize("measure", MEASURES)
def test_weighted_agreement_is_that_of_the_resampled_items(measure):
    n, rng = 12, np.random.default_rng(4)
    some = square(people(3, n * (n - 1) // 2, 1).round(1), n)
    from platorep.stats.two_factor import _Side

    upper = np.triu_indices(n, 1)
    rows = rng.integers(n, size=n)
    counts = np.bincount(rows, minlength=n).astype(float)
    side = _Side(some[:, upper[0], upper[1]], measure)
    fast = side.weighted(counts[upper[0]] * counts[upper[1]])
    drawn = some[:, rows][:, :, rows][:, upper[0], upper[1]]
    different = rows[upper[0]] != rows[upper[1]]
    slow = prepared(drawn[:, different], measure)
    assert fast @ fast.T == pytest.approx(slow @ slow.T, abs=1e-12)


def test_inference_tells_a_model_that_is_alike_from_one_that_is_not():
    n = 30
    some = people(5, n * (n - 1) // 2, 1)
    truth, unrelated = some.mean(axis=0), people(1, n * (n - 1) // 2, 1, seed=9)[0]
    found = two_factor(square(np.stack([truth, unrelated]), n), square(some, n), "pearson", resamples=200)
    assert found.means[0] == pytest.approx(np.mean([np.corrcoef(truth, p)[0, 1] for p in some]))
    assert found.p_value(0) < 0.001 < 0.05 < found.p_value(1)
    assert found.interval(0, 1).low > 0
    assert not found.interval(0).conditional
    alone = two_factor(square(truth[None], n), square(some[:1], n), "pearson", resamples=200)
    assert alone.interval(0).conditional  # one person: for other items only


def test_inference_refuses_what_it_cannot_resample():
    one = square(people(2, 10, 1), 5)
    with pytest.raises(FeatureError, match="at least 8 of them; got 5"):
        two_factor(one, one)
    with pytest.raises(FeatureError, match=r"shapes \(M, n, n\) and \(P, n, n\)"):
        two_factor(one[0], one)
