"""Noise ceilings and reliability of repeated dissimilarities: how high a model could score against these people.

Dissimilarities of one person are the upper triangle of an n x n matrix. A score of a model is the mean over people of
its agreement with each of them, and is read between two lines: the agreement of the pool of all people with each of
them, which no model can exceed on these data, and that of the pool of the others, which a model as good as a new person
reaches. Both are printed next to the score. A score is never divided by the upper one, which noise raises (to 1 /
sqrt(P) for P people who have nothing in common).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import rankdata

from platorep.core.errors import FeatureError, SpecError


Measure = Literal["pearson", "spearman", "cosine"]
"""Measures of agreement of two vectors of dissimilarities."""

MEASURES = ("pearson", "spearman", "cosine")

HALVINGS = 200
"""Largest number of halvings that `split_half` averages over."""


class Ceiling(NamedTuple):
    """Noise ceiling: the score of the pool of the other people, and of the pool of all."""

    lower: float
    upper: float


class Reliability(NamedTuple):
    """Agreement of halves of the repetitions, and that of all of them by Spearman and Brown."""

    half: float
    whole: float


def prepared(values: np.ndarray, measure: Measure) -> np.ndarray:
    """Rows of length 1 whose inner products are the measure's values: z-scores, z-scores of ranks, or the rows scaled.

    Args:
        values: shape (..., pairs), finite.
        measure: the measure.

    Raises:
        SpecError: an unknown measure.
        FeatureError: a row without variation (under cosine, without length).
    """
    if measure not in MEASURES:
        raise SpecError(f"measure is {measure!r}; expected {', '.join(MEASURES)}.")
    values = np.asarray(values, dtype=np.float64)
    if measure == "spearman":
        values = rankdata(values, axis=-1)
    if measure != "cosine":
        values = values - values.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    if not (length > 1e-12).all():
        raise FeatureError("dissimilarities that are all equal have no correlation with others. Leave them out.")
    return values / length


def noise_ceiling(people: np.ndarray, measure: Measure = "pearson") -> Ceiling:
    """Noise ceiling of a score that is the mean over people of the model's agreement with each.

    upper = 1/P sum_p m(pool of all, p); lower = 1/P sum_p m(pool of all but p, p). The pool is the mean of what the
    measure compares: z-scores for Pearson, ranks for Spearman, rows of length 1 for cosine. It maximises the mean
    agreement; for Spearman among models without ties.

    Args:
        people: dissimilarities of P people, shape (P, pairs).
        measure: how dissimilarities are compared.

    Returns:
        lower and upper, each in [-1, 1].

    Raises:
        FeatureError: fewer than 2 people, or a row without variation.

    Cost P pairs (Spearman: a sort of each row and pool).

    Source: Nili et al. 2014, doi:10.1371/journal.pcbi.1003553, section on the noise ceiling.
    """
    scaled = _scaled(people, measure)
    return leave_one_out(scaled, lambda rows: rows.mean(axis=0), lambda pool, row: _agreement(pool, row, measure))


def leave_one_out(
    people: np.ndarray,
    pool: Callable[[np.ndarray], np.ndarray],
    score: Callable[[np.ndarray, np.ndarray], float],
) -> Ceiling:
    """The noise ceiling of any score.

    Args:
        people: shape (P, ...).
        pool: function from several people to their pool.
        score: agreement of a pool with one person.

    Raises:
        FeatureError: fewer than 2 people.
    """
    count = len(people)
    if count < 2:
        raise FeatureError(f"a noise ceiling needs at least 2 people; got {count}.")
    everyone = pool(people)
    upper = [score(everyone, people[p]) for p in range(count)]
    lower = [score(pool(people[[q for q in range(count) if q != p]]), people[p]) for p in range(count)]
    return Ceiling(float(np.mean(lower)), float(np.mean(upper)))


def spearman_brown(reliability: float, factor: float = 2.0) -> float:
    """Reliability of `factor` times as much data: f r / (1 + (f - 1) r) (Spearman 1910; Brown 1910).

    Raises:
        FeatureError: r <= -1 / (f - 1), for which it is undefined.
    """
    if (below := 1 + (factor - 1) * reliability) <= 0:
        raise FeatureError(f"a reliability of {reliability:.3g} is too negative to be extended {factor:g} times.")
    return factor * reliability / below


def split_half(repetitions: np.ndarray, measure: Measure = "pearson", *, seed: int = 0) -> Reliability:
    """Split-half reliability: the agreement of the pools of two halves of the repetitions, averaged over halvings.

    All halvings are used if there are at most `HALVINGS`, otherwise that many random ones. Of an odd number of
    repetitions one is left out each time. `whole` is Spearman and Brown's reliability of all repetitions, with the
    factor R / (R // 2).

    Args:
        repetitions: dissimilarities of R sessions or people, shape (R, pairs).
        measure: how dissimilarities are compared.
        seed: of random halvings.

    Raises:
        FeatureError: fewer than 2 repetitions, or a row without variation.
    """
    scaled = _scaled(repetitions, measure)
    count = len(scaled)
    if count < 2:
        raise FeatureError(f"split-half reliability needs at least 2 repetitions; got {count}.")
    half = count // 2
    scores = [
        _agreement(scaled[list(a)].mean(axis=0), scaled[list(b)].mean(axis=0), measure)
        for a, b in _halvings(count, half, np.random.default_rng(seed))
    ]
    mean = float(np.mean(scores))
    return Reliability(mean, spearman_brown(mean, count / half))


def _halvings(count: int, half: int, rng: np.random.Generator) -> list[tuple[Sequence[int], Sequence[int]]]:
    firsts = list(combinations(range(count), half)) if count <= 10 else []
    every: list[tuple[Sequence[int], Sequence[int]]] = [
        (a, b)
        for a in firsts
        for b in combinations([i for i in range(count) if i not in a], half)
        if a < b  # each unordered pair once
    ]
    if every and len(every) <= HALVINGS:
        return every
    orders = (rng.permutation(count).tolist() for _ in range(HALVINGS))
    return [(order[:half], order[half : 2 * half]) for order in orders]


def _scaled(rows: np.ndarray, measure: Measure) -> np.ndarray:
    """The quantity that is pooled: rows of length 1, or ranks."""
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise FeatureError(f"dissimilarities must be finite, of shape (repetitions, pairs); got {rows.shape}.")
    unit = prepared(rows, measure)
    return rankdata(rows, axis=-1) if measure == "spearman" else unit


def _agreement(a: np.ndarray, b: np.ndarray, measure: Measure) -> float:
    return float(prepared(a, measure) @ prepared(b, measure))
