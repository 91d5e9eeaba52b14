"""Correlation of two matrices over the same models, tested by permuting the models."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

from platorep.core.errors import DataError
from platorep.stats.draws import against


class Mantel(NamedTuple):
    """Rank correlation of two matrices of scores, with its interval over models and its null."""

    value: float
    low: float
    high: float
    null_low: float
    null_high: float
    p: float


LEAST = 4
"""Models on each side of a symmetric matrix, or in all, from which on there is a test."""


def mantel(
    a: np.ndarray, b: np.ndarray, *, symmetric: bool, permutations: int = 999, level: float = 0.95, seed: int = 0
) -> Mantel:
    """Spearman's rank correlation of the entries of two matrices over the same models.

    The entries are not independent, because each model has a row of them. The null permutes the models of one matrix:
    rows and columns together if it is symmetric (Mantel 1967), rows and columns on their own if not. p is one-sided,
    (1 + number of permuted correlations at least as large) / (permutations + 1). The interval is that of Fisher's z
    with a jackknife that leaves out one model at a time and t quantiles with (models - 1) degrees of freedom.

    Args:
        a: scores, shape (m, m) or (rows, columns). NaN marks a pair without a score; the diagonal of a symmetric matrix
            is ignored.
        b: the same on other data, in the same order of models.
        symmetric: whether rows and columns are the same models.
        permutations: of the models.
        level: nominal coverage.
        seed: of the permutations.

    Raises:
        DataError: matrices of different shapes, or too few models.

    Cost: permutations times entries times log entries.
    """
    if a.shape != b.shape or a.ndim != 2 or (symmetric and a.shape[0] != a.shape[1]):
        raise DataError(f"two matrices of the same models are compared; got {a.shape} and {b.shape}.")
    models = len(a) if symmetric else sum(a.shape)
    if models < LEAST or (not symmetric and min(a.shape) < 2):
        raise DataError(f"a test over models needs {LEAST} of them, and two on either side; got {a.shape}.")
    value = _correlation(a, b, symmetric)
    rng, draws = np.random.default_rng(seed), np.empty(permutations)
    for number in range(permutations):
        rows = rng.permutation(len(a))
        columns = rows if symmetric else rng.permutation(a.shape[1])
        draws[number] = _correlation(a[np.ix_(rows, columns)], b, symmetric)
    null = against(value, draws[np.isfinite(draws)])
    bound = 1 - 1e-9
    z = [math.atanh(min(max(_without(a, b, model, symmetric), -bound), bound)) for model in range(models)]
    error = math.sqrt((models - 1) / models * float(np.square(np.array(z) - np.mean(z)).sum()))
    reach = float(student.ppf((1 + level) / 2, models - 1)) * error
    centre = math.atanh(min(max(value, -bound), bound))
    low, high = math.tanh(centre - reach), math.tanh(centre + reach)
    return Mantel(value, low, high, null.null_low, null.null_high, null.p_value)


def _without(a: np.ndarray, b: np.ndarray, model: int, symmetric: bool) -> float:
    """The correlation without one model: of a symmetric matrix a row and a column, else a row or a column."""
    if symmetric:
        kept = np.delete(np.arange(len(a)), model)
        return _correlation(a[np.ix_(kept, kept)], b[np.ix_(kept, kept)], symmetric)
    place, axis = (model, 0) if model < len(a) else (model - len(a), 1)
    return _correlation(np.delete(a, place, axis), np.delete(b, place, axis), symmetric)


def _correlation(a: np.ndarray, b: np.ndarray, symmetric: bool) -> float:
    """Spearman's rho over the entries that both have; 0 where one is constant."""
    entries = np.tril_indices(len(a), -1) if symmetric else (slice(None), slice(None))
    x, y = a[entries].ravel(), b[entries].ravel()
    known = np.isfinite(x) & np.isfinite(y)
    x, y = (rankdata(side[known]) for side in (x, y))
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])
