"""Splits of samples into fit, select and test. Duplicates, which no map could tell apart, stay on one side."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from platorep.core.errors import DataError


SHARES = (0.6, 0.1, 0.3)
"""Shares of the items in fit, select and test."""

LEAST = 30
"""Least number of items to split; with fewer, a test set would have fewer than 9."""


@dataclass(frozen=True)
class Split:
    """Indices of samples, int64, disjoint.

    Attributes:
        fit: for maps, means and scales, in random order, so that the first m are a random draw of m anchors.
        select: for choices between heads.
        test: for scores only, one sample of each group of duplicates, in random order.
    """

    fit: np.ndarray
    select: np.ndarray
    test: np.ndarray


def duplicates(*views: Sequence[Hashable]) -> np.ndarray:
    """The group of each sample, int64. Samples that are equal in a view, directly or through a chain, share a group.

    Args:
        views: each has one value per sample, such as its caption or the bytes of its features.
    """
    n = len(views[0])
    first = [{value: i for i, value in reversed(list(enumerate(view)))} for view in views]
    to = np.concatenate([[known[value] for value in view] for known, view in zip(first, views, strict=True)])
    edges = coo_array((np.ones(len(to)), (np.tile(np.arange(n), len(views)), to)), shape=(n, n))
    return connected_components(edges, directed=False)[1].astype(np.int64)


def splits(groups: np.ndarray, draws: int, seed: int) -> list[Split]:
    """Random splits of equal sizes in which every group of duplicates is on one side.

    Sides are filled with whole groups, so their sizes would vary by a few samples between splits; surplus samples are
    left out. Of each group of duplicates in `test`, one sample is kept.

    Args:
        groups: one label per sample, from `duplicates`.
        draws: number of splits.
        seed: seed of the first split and of the order within its `fit`; the next splits use the following seeds.

    Raises:
        DataError: there are fewer than `LEAST` samples, or groups are so large that a side stays empty.
    """
    parts = [_split(groups, seed + draw) for draw in range(draws)]
    for split in parts:  # so that the partner of a sample is the only right answer
        first = np.unique(groups[split[2]], return_index=True)[1]
        split[2] = split[2][np.sort(first)]
    sizes = [min(len(split[side]) for split in parts) for side in range(3)]
    return [Split(*(side[:size] for side, size in zip(split, sizes, strict=True))) for split in parts]


def _split(groups: np.ndarray, seed: int) -> list[np.ndarray]:
    """Samples of fit, select and test, each in random order."""
    n = len(groups)
    if n < LEAST:
        raise DataError(f"{n} samples are too few to split into fit, select and test; expected at least {LEAST}.")
    rng = np.random.default_rng([seed, n])
    _, labels, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes))
    ends = np.cumsum(sizes[order])
    side_of_group = np.empty(len(sizes), dtype=np.int64)
    # a group belongs to the side that contains its middle
    side_of_group[order] = np.searchsorted(np.cumsum(SHARES)[:2] * n, ends - sizes[order] / 2, side="right")
    side = side_of_group[labels]
    fit, select, test = np.bincount(side, minlength=3)
    if min(fit, select, test) < 2:
        raise DataError(
            f"duplicates leave {fit} samples for fit, {select} for select and {test} for test; "
            f"the largest group of equal samples has {sizes.max()} of {n}. Remove repeated captions or pictures."
        )
    return [rng.permutation(np.flatnonzero(side == number)) for number in range(3)]


def broken_pairs(count: int, seed: list[int]) -> np.ndarray:
    """An order in which no anchor keeps its place: one random cycle through all of them, shape (count,) int64."""
    cycle = np.random.default_rng(seed).permutation(count)
    order = np.empty(count, dtype=np.int64)
    order[cycle] = np.roll(cycle, 1)
    return order


def anchor_counts(n_fit: int, least: int = 8) -> list[int]:
    """Numbers of anchors of a curve: `least`, twice as many, and so on, and finally all of fit."""
    counts = [least << step for step in range(64) if least << step < n_fit]
    return [*counts, n_fit]
