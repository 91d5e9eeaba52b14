"""Inference for scores of models against people's dissimilarities that holds for other items and for other people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from platorep.core.errors import FeatureError, SpecError
from platorep.stats.ceilings import Measure, prepared
from platorep.stats.intervals import Interval


LEAST_ITEMS = 8
"""Fewest items that are resampled: with fewer, a resample often leaves too few different pairs."""


@dataclass(frozen=True)
class TwoFactor:
    """Scores of M models against P people, with the covariances of their means.

    Attributes:
        scores: of each model with each person, shape (M, P) float64.
        items: covariance of the models' mean scores over other items, shape (M, M).
        people: over other people, shape (M, M); zero for one person.
        within: mean over resampled items of the covariance over people, shape (M, M); zero for one person.
        freedom: degrees of freedom of the t distribution: the fewer of items and people, less 1.
    """

    scores: np.ndarray
    items: np.ndarray
    people: np.ndarray
    within: np.ndarray
    freedom: int

    @property
    def means(self) -> np.ndarray:
        """Mean score of each model over people, shape (M,)."""
        return self.scores.mean(axis=1)

    def interval(self, model: int, minus: int | None = None, *, level: float = 0.95) -> Interval:
        """Interval of a model's mean score, or of its difference to another's, for other items and other people.

        With one person it holds for other items alone, and says so (`conditional`).

        Coverage measured, nominal 95 %: of a score for fresh items and people 97 to 100 %, of a paired difference 98 to
        100 %: standard errors are right, and t with few people is wide where items are what varies. A model that shares
        nothing is rejected in less than 1 % at the 5 % level.

        Raises:
            SpecError: level outside (0, 1).
        """
        if not 0 < level < 1:
            raise SpecError(f"level is a coverage between 0 and 1, such as 0.95; got {level}.")
        contrast = self._contrast(model, minus)
        estimate, error = float(contrast @ self.means), self._error(contrast)
        reach = float(student.ppf((1 + level) / 2, self.freedom)) * error
        conditional = self.scores.shape[1] == 1
        return Interval(estimate, estimate - reach, estimate + reach, error, level, "two_factor", conditional)

    def p_value(self, model: int, minus: int | None = None) -> float:
        """One-sided p that a model's mean score (or its difference to another's) is not above 0."""
        contrast = self._contrast(model, minus)
        error = self._error(contrast)
        return float(student.sf(contrast @ self.means / error, self.freedom)) if error > 0 else float("nan")

    def _contrast(self, model: int, minus: int | None) -> np.ndarray:
        contrast = np.zeros(len(self.scores))
        contrast[model] += 1
        if minus is not None:
            contrast[minus] -= 1
        return contrast

    def _error(self, contrast: np.ndarray) -> float:
        """Standard error of a contrast: the corrected variance, between the larger factor's and the sum's."""
        items, people, within = (float(contrast @ part @ contrast) for part in (self.items, self.people, self.within))
        corrected = items + 2 * people - within
        return max(min(corrected, items + within), items, people, 0.0) ** 0.5


def two_factor(
    models: np.ndarray, people: np.ndarray, measure: Measure = "spearman", *, resamples: int = 500, seed: int = 0
) -> TwoFactor:
    """Scores of models against people with a bootstrap of items, corrected for the people's part.

    Items are resampled with replacement; pairs of an item with itself are left out, so that a pair of different items
    counts by the product of the items' counts. With V_I the variance of the mean score over resampled items, V_P that
    over resampled people and E the mean over resampled items of the variance of the mean over people, resampling both
    has the variance V_I + E, which counts the interaction of items and people three times instead of once. The variance
    used is 2 (V_I + V_P) - (V_I + E) = V_I + 2 V_P - E, within [max(V_I, V_P), V_I + E]. The bootstrap of people needs
    no
    draws: V_P and E have closed forms. Factors n / (n - 1) and P / (P - 1) are applied.

    Args:
        models: dissimilarities of M models, shape (M, n, n).
        people: of P people, shape (P, n, n).
        measure: how dissimilarities are compared.
        resamples: draws of items.
        seed: of the draws.

    Raises:
        FeatureError: shapes that differ, fewer than `LEAST_ITEMS` items, or dissimilarities without variation.
        SpecError: fewer than 2 resamples.

    Cost: resamples (M + P) n^2 operations, and under Spearman a few times as many.

    Source: Schütt, Kipnis, Diedrichsen and Kriegeskorte 2023, doi:10.7554/eLife.82566, section on the corrected
    two-factor bootstrap.
    """
    n = _check(models, people, resamples)
    upper = np.triu_indices(n, 1)
    sides = [_Side(np.asarray(side, dtype=np.float64)[:, upper[0], upper[1]], measure) for side in (models, people)]
    whole = np.ones(len(upper[0]))
    scores = sides[0].weighted(whole) @ sides[1].weighted(whole).T
    rng = np.random.default_rng(seed)
    draws: list[np.ndarray] = []
    while len(draws) < resamples:
        counts = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        weights = counts[upper[0]] * counts[upper[1]]
        try:
            draws.append(sides[0].weighted(weights) @ sides[1].weighted(weights).T)
        except FeatureError:  # a model that has one value among the drawn items, such as labels
            draws.append(np.full_like(scores, np.nan))
    drawn = np.stack(draws)
    drawn = drawn[np.isfinite(drawn).all(axis=(1, 2))]
    if len(drawn) < resamples / 2:
        raise FeatureError("most resamples of the items leave dissimilarities without variation. Take more items.")
    count = scores.shape[1]
    items = np.atleast_2d(np.cov(drawn.mean(axis=2).T, ddof=1)) * n / (n - 1)
    nothing = np.zeros_like(items)
    over_people = np.atleast_2d(np.cov(scores, ddof=1)) / count if count > 1 else nothing
    within = nothing
    if count > 1:
        centred = drawn - drawn.mean(axis=2, keepdims=True)
        within = np.einsum("bmp,bkp->mk", centred, centred) / (len(drawn) * (count - 1) * count)
    freedom = (min(n, count) if count > 1 else n) - 1
    return TwoFactor(scores, items, over_people, within, freedom)


class _Side:
    """Dissimilarities of one side, shape (rows, pairs), prepared for weights of the pairs."""

    def __init__(self, values: np.ndarray, measure: Measure) -> None:
        prepared(values, measure)  # refuses rows without variation
        self.values, self.measure = values, measure
        if measure == "spearman":
            self.order = np.argsort(values, axis=1, kind="stable")
            ordered = np.take_along_axis(values, self.order, axis=1)
            first = np.concatenate([np.ones((len(values), 1), bool), ordered[:, 1:] > ordered[:, :-1]], axis=1)
            places, pairs = np.arange(values.shape[1]), values.shape[1]
            start = np.maximum.accumulate(np.where(first, places, 0), axis=1)
            last = np.concatenate([first[:, 1:], np.ones((len(values), 1), bool)], axis=1)
            stop = np.minimum.accumulate(np.where(last, places, pairs)[:, ::-1], axis=1)[:, ::-1]
            back = np.argsort(self.order, axis=1, kind="stable")
            rows = np.arange(len(values))[:, None] * pairs
            self.start, self.stop = (np.take_along_axis(ends, back, axis=1) + rows for ends in (start, stop))

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """Rows whose inner products are the measure's values if each pair counts by its weight."""
        values = self.values
        if self.measure == "spearman":
            ordered = weights[self.order]
            below = np.cumsum(ordered, axis=1)
            values = (below.take(self.stop) + (below - ordered).take(self.start)) / 2  # mean ranks of repeated values
        if self.measure != "cosine":
            values = values - (values @ weights / weights.sum())[:, None]
        values = values * np.sqrt(weights)
        length = np.linalg.norm(values, axis=1, keepdims=True)
        if not (length > 1e-12).all():
            raise FeatureError("dissimilarities that are all equal have no correlation with others.")
        return values / length


def _check(models: np.ndarray, people: np.ndarray, resamples: int) -> int:
    shapes = np.shape(models), np.shape(people)
    if any(len(shape) != 3 or shape[1] != shape[2] for shape in shapes) or shapes[0][1:] != shapes[1][1:]:
        raise FeatureError(
            f"dissimilarities must have the shapes (M, n, n) and (P, n, n); got {shapes[0]} and {shapes[1]}."
        )
    if shapes[0][1] < LEAST_ITEMS:
        raise FeatureError(f"resampling items needs at least {LEAST_ITEMS} of them; got {shapes[0][1]}.")
    if resamples < 2:
        raise SpecError(f"resamples is {resamples}; expected at least 2.")
    return shapes[0][1]
