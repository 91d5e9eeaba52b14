"""Cycles between two neighbour graphs, both ways, and whether the ways differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from platorep.core.errors import FeatureError


class Cycles(NamedTuple):
    """Which samples lie on a cycle of two steps, by the way round, shape (n,) bool each."""

    back_through_x: np.ndarray  # i -> j in y, j -> i in x: cycle_knn with direction=xy
    back_through_y: np.ndarray  # i -> j in x, j -> i in y: direction=yx


def cycles(x: np.ndarray, y: np.ndarray) -> Cycles:
    """Samples that a step in one graph and a step in the other lead back to themselves.

    The pairs (i, j) with i -> j in y and j -> i in x are the same for both ways: i is counted back through x, j back
    through y. The two shares differ only in how many different samples stand at either end, which hubs and uneven
    density decide.

    Args:
        x: neighbours, shape (n, k), integers.
        y: neighbours on the other side, shape (n, k).

    Raises:
        FeatureError: graphs of different numbers of samples.

    Cost: n k, and n² bits.
    """
    if len(x) != len(y) or x.ndim != 2 or y.ndim != 2:
        raise FeatureError(f"two graphs of the same samples, shape (n, k), have cycles; got {x.shape} and {y.shape}.")
    index = np.arange(len(x))[:, None]
    found = []
    for out, back in ((y, x), (x, y)):
        into = np.zeros((len(x), len(x)), dtype=bool)
        into[index, back] = True
        found.append(into[out, index].any(axis=1))
    return Cycles(*found)


def relabelled_cycles(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Shares of samples on cycles back through x and back through y when y's samples are relabelled.

    Args:
        x: neighbours, shape (n, k).
        y: neighbours on the other side.
        orders: permutations, shape (K, n): sample i takes the place of order[i].

    Returns:
        Shape (K, 2), float64.
    """
    shares = np.empty((len(orders), 2))
    for number, order in enumerate(orders):
        names = np.empty(len(order), dtype=np.int64)
        names[order] = np.arange(len(order))
        shares[number] = [way.mean() for way in cycles(x, names[y[order]])]
    return shares


def flipped_means(differences: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Means of paired differences whose signs are drawn at random: the null in which the sides are exchangeable.

    Args:
        differences: shape (n,).
        count: number of draws.
        seed: of the draws.

    Returns:
        Shape (count,), float64.
    """
    signs = np.random.default_rng(seed).integers(2, size=(count, len(differences))) * 2 - 1
    return signs @ differences / len(differences)
