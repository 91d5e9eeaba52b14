"""Relabellings of samples: seeded, recorded, and shared by tests whose results are to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammaln

from platorep.core.errors import DataError, SpecError


@dataclass(frozen=True)
class Permutations:
    """K relabellings of n samples; relabelling b pairs sample i of x with sample order[b, i] of y.

    The same (n, seed, strata) give the same sequence, and a longer draw begins with the shorter one; so layers, models
    and metrics that are tested with equal arguments share their relabellings.

    Attributes:
        order: shape (K, n) int32, each row a permutation of 0..n-1.
        seed: seed of the NumPy generator (PCG64) that drew them.
        strata: labels within which samples were exchanged, or None for all samples.
        log_arrangements: natural logarithm of the number of relabellings that the strata admit.
    """

    order: np.ndarray
    seed: int
    strata: np.ndarray | None
    log_arrangements: float

    @property
    def n(self) -> int:
        return self.order.shape[1]

    @property
    def floor(self) -> float:
        """Smallest p-value that these permutations can give: 1/(K+1), or 1/arrangements where that is larger."""
        return max(1 / (len(self.order) + 1), float(np.exp(-self.log_arrangements)))

    @classmethod
    def draw(
        cls, n: int, count: int, seed: int, strata: Sequence | np.ndarray | pd.Series | None = None
    ) -> Permutations:
        """Draws `count` relabellings uniformly, over all samples or within strata.

        Unrestricted permutations test "no relation at all". Within strata (a category, a caption-length bin, a cluster
        of near duplicates) they test "no relation beyond the label": a score that only reflects the label
        is also high under the null.

        Args:
            n: number of samples, at least 2.
            count: number of permutations K, at least 1. To reject at level alpha, K must be at least 1/alpha - 1.
            seed: seed of the generator.
            strata: one label per sample, of any type; samples are exchanged only with samples of the same label.

        Raises:
            SpecError: n < 2 or count < 1.
            DataError: labels of another length, missing labels, or every label unique, so that nothing can be
                exchanged.
        """
        if n < 2 or count < 1:
            raise SpecError(f"permutations need n >= 2 samples and count >= 1; got n = {n}, count = {count}.")
        rng = np.random.default_rng(seed)
        if strata is None:
            order = np.stack([rng.permutation(n) for _ in range(count)]).astype(np.int32)
            return cls(order, seed, None, float(gammaln(n + 1)))
        labels = np.asarray(strata)
        if labels.shape != (n,):
            raise DataError(f"strata must hold one label for each of the {n} samples; got shape {labels.shape}.")
        codes, _ = pd.factorize(labels)
        if (codes < 0).any():
            raise DataError(
                f"sample {np.flatnonzero(codes < 0)[0]} has no stratum. "
                "Give every sample a label, or drop it on both sides."
            )
        sizes = np.bincount(codes)
        if sizes.max() < 2:
            raise DataError(
                f"all {n} strata hold one sample each, so there is nothing to permute. "
                "Use coarser labels (a category, a length bin)."
            )
        within = np.argsort(codes, kind="stable")
        order = np.empty((count, n), dtype=np.int32)
        for row in order:
            row[within] = np.lexsort((rng.random(n), codes))  # the samples of each stratum in random order
        return cls(order, seed, labels, float(gammaln(sizes + 1).sum()))


def quantile_bins(values: Sequence[float] | np.ndarray | pd.Series, bins: int = 10) -> np.ndarray:
    """Labels of equally filled bins of a number such as the caption's length, shape (n,) int64, to permute within.

    Values that tie at an edge fall into one bin, so there may be fewer bins than requested.

    Raises:
        SpecError: bins < 1.
        DataError: a value is not finite.
    """
    if bins < 1:
        raise SpecError(f"bins must be at least 1; got {bins}.")
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"value {np.flatnonzero(~np.isfinite(values))[0]} to be binned is not finite.")
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def nested_order(n: int, seed: int) -> np.ndarray:
    """A random order of n samples, int64, whose first m are a random sample of m, each within the larger ones.

    The order of a dataset cannot be used: its first samples may all be of one kind.
    """
    return np.random.default_rng(seed).permutation(n)
