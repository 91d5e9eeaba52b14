"""Matches of units by chance: closed forms for independent models, and a family-wise test of the best correlations.

A unit of one model has a best partner in any other model, because the maximum of many correlations is never zero. The
functions here say how many matches and how high a maximum two unrelated models have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaln, gammaln
from scipy.stats import norm
from scipy.stats import t as student

from platorep.core.errors import SpecError


def match_chance(units: int, others: int, best: int = 1) -> float:
    """Probability that a unit has a match in an independent model.

    The match is the unit v of the other model with the highest correlation, if the unit is among the `best` units with
    the highest correlation with v. If all correlations are independent draws from one continuous distribution, with d
    units, e others and b = `best`, the probability is sum_{j < b} C(d - 1, j) e B(d + e - 1 - j, j + 1), where B is the
    beta function: the best of e draws is exceeded by fewer than b of d - 1 more. For b = 1 it is e / (d + e - 1), about
    half for equal numbers. For b = 5 it is .97.

    Args:
        units: number of units d of the unit's own model, at least 1.
        others: number of units e of the other model, at least 1.
        best: b, at least 1; 1 for best buddies.

    Raises:
        SpecError: a number below 1.
    """
    if min(units, others, best) < 1:
        raise SpecError(f"chance of a match needs units >= 1, others >= 1, best >= 1; got {units}, {others}, {best}.")
    j = np.arange(min(best, units))
    choices = gammaln(units) - gammaln(j + 1) - gammaln(units - j)
    return float(np.exp(choices + np.log(others) + betaln(units + others - 1 - j, j + 1)).sum().clip(max=1.0))


class BuddyCount(NamedTuple):
    """Number of mutual best pairs of two independent models: mean, standard deviation, normal 95 % interval."""

    mean: float
    sd: float
    low: float
    high: float


def buddy_count(units: int, others: int, level: float = 0.95) -> BuddyCount:
    """Distribution of the number of mutual best pairs of two independent models.

    With d and e units the mean is d e / (d + e - 1). Two cells in different rows and columns are both the highest of
    their row and column with probability 2 / ((2d + 2e - 4) (d + e - 1)), so that the second factorial moment is
    d (d - 1) e (e - 1) / ((d + e - 2) (d + e - 1)). The interval is the normal one, cut at 0 and at min(d, e).

    Args:
        units: number of units d, at least 1.
        others: number of units e, at least 1.
        level: nominal coverage.

    Raises:
        SpecError: a number of units below 1, or a level outside (0, 1).
    """
    if min(units, others) < 1 or not 0 < level < 1:
        raise SpecError(
            f"a count of best buddies needs units on both sides and a level; got {units}, {others}, {level}."
        )
    d, e = float(units), float(others)
    mean = d * e / (d + e - 1)
    second = d * (d - 1) * e * (e - 1) / max(d + e - 2, 1.0) / (d + e - 1)
    sd = max(second + mean - mean**2, 0.0) ** 0.5
    reach = norm.ppf((1 + level) / 2) * sd
    return BuddyCount(mean, sd, max(mean - reach, 0.0), min(mean + reach, min(d, e)))


class FamilyTest(NamedTuple):
    """Test of every unit's best correlation, corrected over all units of the model.

    Attributes:
        p: corrected p of every unit, shape (units,).
        threshold: correlation above which a unit's corrected p is below the level, shape (units,); infinite where the
            draws are too few for such a p, or all equal.
        exceeds: whether the corrected p of a unit is below the level in each draw, shape (draws, units): its mean is
            the share of significant units among unrelated models.
    """

    p: np.ndarray
    threshold: np.ndarray
    exceeds: np.ndarray


def family_test(observed: np.ndarray, draws: np.ndarray, level: float = 0.05) -> FamilyTest:
    """Single-step max-T over units, with each unit's correlation standardised by its own null.

    T_u = (rho_u - mean_u) / sd_u, where mean and standard deviation are taken over the observed value and all K draws,
    so that the observed arrangement is exchangeable with the permuted ones and the test is exact:
    p_u = (1 + #{draws: max over units of T >= T_u}) / (K + 1). Standardising gives every unit its own threshold: the
    maximum varies more for a unit with rare large activations. With m and s the mean and standard deviation of a unit's
    draws, T_u exceeds the critical value c where rho_u > m + s c sqrt((K + 1) / (K - c^2)).

    Args:
        observed: best correlation of every unit, shape (units,).
        draws: the same for permuted samples, shape (K, units), K at least 1.
        level: of `threshold` and `exceeds`.

    Raises:
        SpecError: no draws, or shapes that do not fit.

    Source: Westfall & Young 1993, single-step maxT.
    """
    if draws.ndim != 2 or not len(draws) or observed.shape != draws.shape[1:]:
        raise SpecError(f"draws have shape {draws.shape}; expected (1 or more, {len(observed)}), one column per unit.")
    every = np.concatenate([observed[None], draws])
    count, sd = len(every), every.std(axis=0)
    standard = (every - every.mean(axis=0)) / np.where(sd > 0, sd, np.inf)
    highest = np.sort(standard.max(axis=1))

    def corrected(values: np.ndarray) -> np.ndarray:
        """Share of arrangements, the observed one among them, whose highest value is at least this."""
        return np.maximum(count - np.searchsorted(highest, values - 1e-12), 1) / count

    fewer = int(np.ceil(level * count)) - 1  # arrangements that may reach a significant value
    cut = highest[count - fewer - 1] if fewer >= 1 else np.inf
    spread = draws.std(axis=0)
    reach = cut * np.sqrt(count / (count - 1 - cut**2)) if cut**2 < count - 1 else np.inf
    threshold = np.where(spread > 0, draws.mean(axis=0) + reach * np.where(spread > 0, spread, 1.0), np.inf)
    return FamilyTest(corrected(standard[0]), threshold, corrected(standard[1:]) < level)


def share_interval(
    share: float, units: int, halves: np.ndarray, rotated: np.ndarray | None = None, level: float = 0.95
) -> tuple[float, float]:
    """Interval of a share of units for another draw of the samples.

    The variance comes from the shares a and b of disjoint halves of the samples: the mean of (a - b)^2 / (2 sqrt 2)
    over random splits. (a - b)^2 / 4 would estimate a variance that falls as 1 / n; that of a count of threshold
    crossings falls as 1 / sqrt n, because fewer units are near the threshold as n grows, and for it the factor is
    exact. Where the share compares with rotated bases, the jackknife variance over the rotations is added. The interval
    is Wilson's score interval of the share among share (1 - share) / variance independent trials, with the t quantile
    of as many degrees of freedom as there are splits. The standard error is at least half a unit; for 0 and 1 the
    trials are the units.

    Args:
        share: of all samples, in [0, 1].
        units: number of units that it is a share of, at least 1.
        halves: shares of both halves of each split, shape (splits, 2).
        rotated: shares with each rotation left out, shape (rotations,), at least 2; None where there are none.
        level: nominal coverage.

    Coverage measured, nominal 95 %: docs/statistics.md.
    """
    variance = float(np.square(halves[:, 0] - halves[:, 1]).mean()) / 8**0.5
    if rotated is not None and len(rotated) > 1:
        variance += (len(rotated) - 1) * float(rotated.var())
    some = share * (1 - share)
    trials = some / max(variance, 0.25 / units**2) if some > 0 else units
    reach = float(student.ppf((1 + level) / 2, len(halves)))
    middle, whole = share + reach**2 / (2 * trials), 1 + reach**2 / trials
    half = reach * (some / trials + reach**2 / (4 * trials**2)) ** 0.5
    return min(max((middle - half) / whole, 0.0), share), max(min((middle + half) / whole, 1.0), share)
