"""Matching two sets of points by their similarities within each set alone: quadratic assignment."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from scipy.optimize import quadratic_assignment

from platorep.core.errors import FeatureError


EXACT = 7
"""Points up to which every matching is tried: 5,040 of them."""


def standardised(kernel: np.ndarray) -> np.ndarray:
    """A kernel with a zero diagonal, and other entries of mean 0 and mean square 1.

    The agreement of two such kernels is the correlation of their entries. All zeros for a kernel without variation.

    Args:
        kernel: symmetric, shape (n, n).
    """
    off = ~np.eye(len(kernel), dtype=bool)
    entries = kernel[off] - kernel[off].mean()
    spread = float(np.sqrt(np.square(entries).mean()))
    made = np.zeros_like(kernel, dtype=float)
    made[off] = entries / spread if spread > 1e-12 * max(1.0, float(np.abs(kernel).max())) else 0.0
    return made


def agreement(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of the entries beside the diagonal of two kernels, in [-1, 1]; 0 where one is constant."""
    n = len(x)
    return float((standardised(x) * standardised(y)).sum() / (n * (n - 1)))


def match(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, *, restarts: int = 5) -> np.ndarray:
    """The matching of y's points to x's under which two kernels agree best.

    It maximises sum_ij x_ij y_p(i)p(j) over permutations p, after `standardised`. Up to `EXACT` points all are tried.
    Beyond, `restarts` runs of FAQ (Vogelstein et al. 2015) are refined by exchanges of two points, both by SciPy's
    `quadratic_assignment`, and the best is taken; it may miss the optimum. y's points are shuffled first, so that the
    order in which they are given helps no matching, and of equally good ones a random one is taken.

    Args:
        x: symmetric, shape (n, n).
        y: symmetric, shape (n, n).
        rng: of the shuffle and the starts.
        restarts: starts of FAQ beyond `EXACT` points.

    Returns:
        p, shape (n,) int64: point i of x is matched with point p[i] of y.

    Raises:
        FeatureError: kernels of different shapes, or fewer than 2 points.

    Cost: n! n² up to `EXACT` points; restarts times about 30 n³ beyond.

    Source: as a measure of alignment, Schnaus et al. 2025 (It's a (Blind) Match!), Maniparambil et al. 2024.
    """
    _check(x, y)
    n = len(x)
    shuffle = rng.permutation(n)
    a, b = standardised(x), standardised(y)[np.ix_(shuffle, shuffle)]
    return shuffle[_exact(a, b) if n <= EXACT else _heuristic(a, b, rng, restarts)]


def complete(x: np.ndarray, y: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The matching of two kernels that keeps known pairs: one run of FAQ with seeds (Fishkind et al. 2019).

    It starts from the matching that is the same for all free points, and may miss the optimum; more seeds help. y's
    points are shuffled first, as in `match`, so that of points that look the same a random one is taken.

    Args:
        x: symmetric, shape (n, n).
        y: symmetric, shape (n, n).
        known: pairs of a point of x and a point of y, shape (K, 2) int; K = 0 matches blindly.
        rng: of the shuffle.

    Returns:
        p, shape (n,) int64: point i of x is matched with point p[i] of y.

    Raises:
        FeatureError: kernels of different shapes, or fewer than 2 points.

    Cost: about 30 n³.
    """
    _check(x, y)
    n = len(x)
    if len(known) == n:
        return known[np.argsort(known[:, 0]), 1]  # SciPy gives the partners in the order of the seeds
    shuffle = rng.permutation(n)
    seeds = np.column_stack([known[:, 0], np.argsort(shuffle)[known[:, 1]]])
    options = {"maximize": True, "partial_match": seeds, "rng": rng}
    faq = quadratic_assignment(standardised(x), standardised(y)[np.ix_(shuffle, shuffle)], options=options)
    return shuffle[faq.col_ind]


def _check(x: np.ndarray, y: np.ndarray) -> None:
    n = len(x)
    if x.shape != y.shape or x.shape != (n, n) or n < 2:
        raise FeatureError(f"two kernels of one shape (n >= 2, n) are matched; got {x.shape} and {y.shape}.")


@lru_cache(maxsize=EXACT)
def _orders(n: int) -> np.ndarray:
    return np.array(list(itertools.permutations(range(n))))


def _exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    orders = _orders(len(a))
    values = (a * b[orders[:, :, None], orders[:, None, :]]).sum(axis=(1, 2))
    return orders[np.argmax(values)]


def _heuristic(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, restarts: int) -> np.ndarray:
    best, order = -np.inf, np.arange(len(a))
    for number in range(restarts):
        start = "barycenter" if number == 0 else "randomized"
        faq = quadratic_assignment(a, b, options={"maximize": True, "P0": start, "rng": rng})
        guess = np.column_stack([np.arange(len(a)), faq.col_ind])
        better = quadratic_assignment(
            a, b, method="2opt", options={"maximize": True, "partial_guess": guess, "rng": rng}
        )
        if better.fun > best + 1e-9:
            best, order = better.fun, better.col_ind
    return order
