"""Intrinsic dimension of a layer: in how many directions its samples vary, from distances to nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import norm

from platorep.core.errors import FeatureError


class Dimension(NamedTuple):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


def two_nn(neighbours: np.ndarray, distances: np.ndarray) -> Dimension:
    """TwoNN: the intrinsic dimension from the ratio of each sample's two smallest distances.

    mu_i = r_2 / r_1 has the density d mu^(-d - 1) where the density of samples is constant out to r_2, whatever it is
    there. The estimate is the maximum-likelihood one without its bias, (n - 1) / sum_i log mu_i.

    Args:
        neighbours: nearest other samples, nearest first, shape (n, at least 2), integers.
        distances: to them, same shape. Samples with a twin (distance 0) are left out.

    Raises:
        FeatureError: fewer than 3 samples are left, or all have equal distances.

    Source: Facco, d'Errico, Rodriguez and Laio 2017, Scientific Reports 7, 12140, doi:10.1038/s41598-017-11873-y, who
    fit a line; the likelihood: Denti, Doimo, Laio and Mira 2022, Scientific Reports 12, 20005,
    doi:10.1038/s41598-022-20991-1. Interval: `_dimension`.
    """
    kept = distances[:, 0] > 0
    inverse = np.log(distances[kept, 1].astype(np.float64) / distances[kept, 0])
    return _dimension(neighbours[:, :2], kept, inverse)


def maximum_likelihood(neighbours: np.ndarray, distances: np.ndarray) -> Dimension:
    """Levina and Bickel's estimate from the k smallest distances, averaged as by MacKay and Ghahramani.

    With T_j the distance to the j-th neighbour, each sample has 1 / d_i = 1 / (k - 1) sum_{j < k} log(T_k / T_j); the
    estimate is (n - 1) / n over the mean of 1 / d_i. The density must be constant out to T_k: on curved or bounded
    manifolds the bias grows with k, as the spread falls. For k = 2 it is `two_nn`.

    Args:
        neighbours: nearest other samples, nearest first, shape (n, k), integers, k at least 2.
        distances: to them, same shape. Samples with a twin (distance 0) are left out.

    Raises:
        FeatureError: k < 2; fewer than 3 samples without twins, or all have equal distances.

    Source: Levina and Bickel 2004, NeurIPS 17, Eq. 8; MacKay and Ghahramani 2005, comments on it. Interval:
    `_dimension`.
    """
    k = distances.shape[1]
    if k < 2:
        raise FeatureError(f"the maximum-likelihood dimension needs at least 2 neighbours; got {k}.")
    kept = distances[:, 0] > 0
    near = distances[kept].astype(np.float64)
    return _dimension(neighbours, kept, np.log(near[:, -1:] / near[:, :-1]).sum(axis=1) / (k - 1))


def _dimension(neighbours: np.ndarray, kept: np.ndarray, inverse: np.ndarray) -> Dimension:
    """One over the mean of the kept samples' 1 / d_i, with its interval for other samples.

    The terms of samples whose neighbourhoods meet are not independent: the variance of the mean sums the products of
    the deviations of all such pairs of samples, and is never less than that of independent terms. The interval is that
    of the logarithm.
    """
    n = len(inverse)
    if n < 3 or inverse.sum() <= 0:
        raise FeatureError(
            f"an intrinsic dimension needs 3 samples without twins and with unequal distances; {n} of {len(kept)} have "
            "no twin. Drop equal rows."
        )
    mean = float(inverse.mean())
    off = np.zeros(len(kept))
    off[kept] = inverse - mean
    rows = np.repeat(np.arange(len(kept)), neighbours.shape[1] + 1)
    columns = np.column_stack([np.arange(len(kept)), neighbours]).ravel()
    reach = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(kept), len(kept)))
    meet = reach @ reach.T
    meet.data[:] = 1.0
    variance = max(float(off @ (meet @ off)), float(off @ off)) / n**2
    half = float(norm.ppf(0.975)) * variance**0.5 / mean
    value = (n - 1) / n / mean
    return Dimension(value, value * np.exp(-half), value * np.exp(half))
