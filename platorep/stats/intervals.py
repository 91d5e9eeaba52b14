"""Confidence intervals for alignment scores, and for differences of two scores on the same samples.

Neighbour metrics are not smooth in the sample: resampling rows with replacement makes duplicates each other's
neighbours, and the naive row bootstrap covers the truth 0 % of the time, so this module has none. The intervals are
of two kinds:

* conditional on the gallery: other queries, searched in the same samples (`query_bootstrap`);
* unconditional: another draw of all samples (`linearised`, `jackknife` of leave-one-out or leave-block-out scores).

Measured coverage: docs/statistics.md, from scripts/bench/statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.stats import t as student

from platorep.core.errors import FeatureError, SpecError


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        estimate: the score, or the difference of two.
        low: lower end.
        high: upper end.
        standard_error: standard deviation of the estimate that the method finds.
        level: nominal coverage, such as 0.95.
        method: name of the function that computed it.
        conditional: True where the gallery is held fixed and only the queries vary.
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    level: float
    method: str
    conditional: bool


@dataclass(frozen=True)
class OverlapTerms:
    """A mutual_knn score as a sum over ordered pairs of samples.

    Attributes:
        score: mean overlap / k.
        terms: sparse (n, n) matrix; entry (i, j) is what j as a neighbour of the query i contributes to the score,
            times n k.
        k: number of neighbours.
    """

    score: float
    terms: sparse.csr_array
    k: int


def overlap_terms(x: torch.Tensor, y: torch.Tensor, k: int) -> OverlapTerms:
    """Splits a mutual_knn score in contributions of pairs of samples, with the gallery's influence to first order.

    A sample j that enters both neighbour lists of i adds one overlap; where it enters only x's list it pushes out x's
    k-th neighbour, which was an overlap with probability p_x. So the pair contributes
    h_ij = A_ij B_ij - p_x A_ij - p_y B_ij, where A and B are the neighbour indicators and p_x the share of x's k-th and
    (k+1)-th neighbours that are among y's k nearest.

    Args:
        x: neighbours of the x layer, shape (n, k + 1 or more) int64, nearest first.
        y: the same of the y layer.
        k: number of neighbours of the score.

    Raises:
        FeatureError: graphs of different n, or fewer than k + 1 neighbours.

    Cost n k.
    """
    a, b = _graphs(x, y, k)
    first, second = _indicator(a[:, :k]), _indicator(b[:, :k])
    p_first = _members(a[:, k - 1 : k + 1], b[:, :k]).mean()
    p_second = _members(b[:, k - 1 : k + 1], a[:, :k]).mean()
    both = first.multiply(second)
    return OverlapTerms(both.sum() / (len(a) * k), (both - p_first * first - p_second * second).tocsr(), k)


def query_bootstrap(
    terms: OverlapTerms, minus: OverlapTerms | None = None, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Bootstrap of the queries of mutual_knn, or of a paired difference: conditional on the gallery.

    The neighbours stay as they are and the queries' overlaps are resampled. The interval answers "what if other queries
    were searched in these same samples"; it leaves out that the gallery itself is a sample. Queries that are each
    other's neighbours overlap together: the resampled deviations are stretched by sqrt(1 + sum_ij h_ij h_ji / (k^2
    sum_i (a_i - mean)^2)), with h of `overlap_terms` and a_i the share of mutual neighbours. Unstretched, the interval
    covers only 85 to 90 %.

    Args:
        terms: the score, from `overlap_terms`.
        minus: a second score with the same k on the same samples; the interval is for the difference.
        level: nominal coverage.
        resamples: bootstrap draws.
        seed: seed of the draws.

    Coverage measured, nominal 95 %: of the mean over fresh queries in the same gallery 92 to 94 %; of the score of a
    fresh draw of all samples 88 to 93 %: use `linearised` for that.

    Raises:
        FeatureError: two scores that differ in n or k, or a negative variance estimate, which can happen with very few
            samples.
        SpecError: level outside (0, 1).
    """
    _check_level(level)
    estimate, pairs, k = _difference(terms, minus)
    n = pairs.shape[0]
    overlaps = pairs.sum(axis=1) / k  # up to a constant
    spread = overlaps.var() * n
    variance = spread + pairs.multiply(pairs.T).sum() / k**2
    _check_variance(variance, n)
    stretch = (variance / spread) ** 0.5 if spread > 0 else 1.0
    rng = np.random.default_rng(seed)
    means = np.array([overlaps[rng.integers(n, size=n)].mean() for _ in range(resamples)])
    draws = estimate + stretch * (means - overlaps.mean())
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        float(estimate), float(low), float(high), float(draws.std(ddof=1)), level, "query_bootstrap", conditional=True
    )


def linearised(terms: OverlapTerms, minus: OverlapTerms | None = None, *, level: float = 0.95) -> Interval:
    """Unconditional interval for mutual_knn, or for the paired difference of two scores with one k on the same samples.

    The score is treated as the U-statistic of degree two that `overlap_terms` gives: sample j has the influence
    phi_j = sum_i (h_ij + h_ji) / k, and var = sum_j (phi_j - mean)^2 / (n (n - 1)) - sum_(i<j) (h_ij + h_ji)^2 /
    (n k)^2. The second sum removes terms that the first counts twice (Efron and Stein 1981). Without it, as with the
    jackknife, the interval is about 1.4 times too wide, because with few neighbours the pairs' own noise is as large as
    the samples'. The interval is estimate ± t(n - 1) standard error.

    Coverage measured, nominal 95 %: 93.5 to 96.5 % at n = 256 and 512, 91 to 94 % at n = 100; of a paired difference 94
    to 96 %.

    Raises:
        FeatureError: two scores that differ in n or k, or a negative variance estimate, which can happen with very few
            samples.
        SpecError: level outside (0, 1).

    Cost n k.
    """
    _check_level(level)
    estimate, pairs, k = _difference(terms, minus)
    n = pairs.shape[0]
    pairs = pairs + pairs.T
    variance = (pairs.sum(axis=1) / k).var(ddof=1) / n - pairs.power(2).sum() / 2 / (n * k) ** 2
    _check_variance(variance, n)
    return _symmetric(estimate, variance**0.5, n - 1, level, "linearised")


def mutual_knn_leave_out(x: torch.Tensor, y: torch.Tensor, k: int) -> np.ndarray:
    """Scores of mutual_knn with each sample left out of the queries and of the gallery, exactly, shape (n,) float64.

    Where the sample was a neighbour, the (k+1)-th takes its place, so no search is repeated.

    Args:
        x: neighbours of the x layer, shape (n, k + 1 or more) int64, nearest first.
        y: the same of the y layer.
        k: number of neighbours of the score.

    Raises:
        FeatureError: graphs of different n, or fewer than k + 1 neighbours.

    Cost n k^2.
    """
    a, b = _graphs(x, y, k)
    n = len(a)
    shared = _members(a[:, :k], b[:, :k])  # (n, k): is the neighbour mutual
    x_next_in_y = _members(a[:, k : k + 1], b[:, :k])[:, 0].astype(np.float64)
    y_next_in_x = _members(b[:, k : k + 1], a[:, :k])[:, 0].astype(np.float64)
    same_next = (a[:, k] == b[:, k]).astype(np.float64)

    def gather(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.bincount(columns.ravel(), np.broadcast_to(weights, columns.shape).ravel(), minlength=n)

    change = (
        gather(a[:, :k], x_next_in_y[:, None])
        + gather(b[:, :k], y_next_in_x[:, None])
        + gather(a[:, :k], shared * (same_next[:, None] - 1))
    )
    overlaps = shared.sum(axis=1)
    return (overlaps.sum() - overlaps + change) / ((n - 1) * k)


def blocks(n: int, count: int, seed: int = 0) -> list[torch.Tensor]:
    """Random partition of n samples in `count` blocks whose sizes differ by at most one: sample indices of each, int64.

    Raises:
        SpecError: count < 2 or count > n.
    """
    if not 2 <= count <= n:
        raise SpecError(f"blocks must number at least 2 and at most n = {n}; got {count}.")
    return list(torch.from_numpy(np.random.default_rng(seed).permutation(n)).tensor_split(count))


def jackknife(estimate: float, leave_out: np.ndarray, *, level: float = 0.95) -> Interval:
    """Unconditional interval from leave-one-out or leave-block-out scores: var = (g - 1)/g sum (s_b - mean)^2.

    For a paired difference, pass the difference of the estimates and of the leave-out scores of the same blocks. The
    interval is estimate ± t(g - 1) standard error.

    Args:
        estimate: score of all samples.
        leave_out: scores without each sample or block, shape (g,): `mutual_knn_leave_out`, or a metric's
            `leave_block_out` on `blocks`, which should number 50 to 100.
        level: nominal coverage.

    Coverage measured, nominal 95 %: CKA and distance correlation with 64 blocks 95 to 98 %, their paired differences 95
    to 98 %. For mutual_knn with single samples left out the interval is conservative: 99.5 to 100 % (paired alike);
    `linearised` is narrower.

    Raises:
        FeatureError: fewer than 2 scores.
        SpecError: level outside (0, 1).
    """
    _check_level(level)
    values = np.asarray(leave_out, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise FeatureError(f"a jackknife needs at least 2 leave-out scores, shape (g,); got {values.shape}.")
    g = len(values)
    return _symmetric(estimate, ((g - 1) * values.var()) ** 0.5, g - 1, level, "jackknife")


def _symmetric(estimate: float, error: float, freedom: int, level: float, method: str) -> Interval:
    reach = student.ppf((1 + level) / 2, freedom) * error
    return Interval(
        float(estimate),
        float(estimate - reach),
        float(estimate + reach),
        float(error),
        level,
        method,
        conditional=False,
    )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise SpecError(f"level is a coverage between 0 and 1, such as 0.95; got {level}.")


def _check_variance(variance: float, n: int) -> None:
    if variance < 0:
        raise FeatureError(
            f"the variance of the score came out negative: n = {n} samples are too few. "
            "Use jackknife(mutual_knn_leave_out(...))."
        )


def _difference(terms: OverlapTerms, minus: OverlapTerms | None) -> tuple[float, sparse.csr_array, int]:
    if minus is None:
        return terms.score, terms.terms, terms.k
    n, m = terms.terms.shape[0], minus.terms.shape[0]
    if (n, terms.k) != (m, minus.k):
        raise FeatureError(
            f"a paired difference needs one n and one k; got n = {n} and {m}, k = {terms.k} and {minus.k}."
        )
    return terms.score - minus.score, (terms.terms - minus.terms).tocsr(), terms.k


def _graphs(x: torch.Tensor, y: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or k < 1 or min(x.shape[1], y.shape[1]) < k + 1:
        raise FeatureError(
            f"leaving samples out needs graphs (n, k + 1 = {k + 1}) over the same samples; "
            f"got {tuple(x.shape)} and {tuple(y.shape)}."
        )
    return x.cpu().numpy(), y.cpu().numpy()


def _indicator(graph: np.ndarray) -> sparse.csr_array:
    n, k = graph.shape
    return sparse.csr_array((np.ones(n * k), graph.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))


def _members(items: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Whether each row's items are among that row's entries of the other, shape of items."""
    return (items[:, :, None] == of[:, None, :]).any(axis=2)
