"""Scores of a set of queries searched in a larger gallery, with an interval over the queries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from platorep.core.errors import FeatureError, SpecError


class QueryScores(NamedTuple):
    """Scores of one number of queries in one gallery, of many pairs of layers at once: arrays of one shape."""

    score: np.ndarray
    standard_error: np.ndarray
    low: np.ndarray
    high: np.ndarray


def query_scores(overlaps: np.ndarray, k: int, n: int, *, level: float = 0.95) -> QueryScores:
    """mutual_knn of queries in a gallery, with an interval for other queries in the same gallery: conditional on it.

    The variance is that of the query bootstrap in closed form: with a_i = overlap_i / k and the score s their mean,
    (q/(q-1) sum_i (a_i - s)^2 + (q-1)/(n-1) (s^2 + (1-s)^2) sum_i a_i / k) / q^2. The second term is for queries that
    are each other's neighbours and so overlap together. It bounds their covariance sum_ij h_ij h_ji / k^2 (h of
    `intervals.overlap_terms`) by sum_ij h_ij^2 / k^2, in expectation over the choice of the queries in the gallery,
    with s for the share of x's k-th neighbours that are among y's. It vanishes as the gallery outgrows the queries.

    The interval is Wilson's score interval of s among s (1 - s) / variance independent trials (at most the q k
    neighbours, which is what is taken where all or none are shared), with t(q - 1) for the normal quantile: in large
    galleries a score is a handful of shared neighbours, about which s ± t standard error is too short above.

    Args:
        overlaps: shared neighbours of each query, shape (..., q), integers.
        k: number of neighbours.
        n: size of the gallery, the queries among it.
        level: nominal coverage.

    Coverage measured, nominal 95 %: 94 to 98 % (256 queries in galleries of 256 to 4,096; docs/statistics.md).

    Raises:
        FeatureError: fewer than 2 queries, or more than the gallery has samples.
        SpecError: level outside (0, 1).
    """
    q = overlaps.shape[-1]
    if not 2 <= q <= n:
        raise FeatureError(
            f"an interval over queries needs at least 2, all of them in the gallery; "
            f"got {q} queries and a gallery of {n}."
        )
    if not 0 < level < 1:
        raise SpecError(f"level is a coverage between 0 and 1, such as 0.95; got {level}.")
    # integers until the end, so that the result does not depend on how the overlaps were split
    total = overlaps.sum(axis=-1, dtype=np.int64)
    squares = np.square(overlaps, dtype=np.int64).sum(axis=-1)
    score = total / (q * k)
    spread = (squares - total**2 / q) * (q / (q - 1)) / k**2
    together = (q - 1) / (n - 1) * (score**2 + (1 - score) ** 2) * total / k**2
    error = np.sqrt(spread.clip(0) + together) / q
    some = score * (1 - score)
    with np.errstate(divide="ignore", invalid="ignore"):
        trials = np.where(some > 0, np.minimum(some / error**2, q * k), q * k)
    reach = student.ppf((1 + level) / 2, q - 1)
    middle = score + reach**2 / (2 * trials)
    half = reach * np.sqrt(some / trials + reach**2 / (4 * trials**2))
    whole = 1 + reach**2 / trials
    return QueryScores(score, error, (middle - half) / whole, (middle + half) / whole)
