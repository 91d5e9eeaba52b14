"""Noise ceilings of any metric that can be computed from dissimilarities."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata

from platorep.metrics.base import Metric
from platorep.metrics.distances import RSA
from platorep.metrics.matrix_geometry import MatrixGeometry
from platorep.metrics.neighbours import NeighbourMetric
from platorep.stats.ceilings import Ceiling, leave_one_out, noise_ceiling


def ceiling(metric: Metric, people: np.ndarray) -> Ceiling:
    """The noise ceiling of a metric: the mean over people of the score between a pool of people and each person.

    The pool depends on the metric. For RSA, see `stats.ceilings.noise_ceiling`. For neighbour metrics, samples are
    ranked by the number of people for whom they are neighbours, then by mean rank; this maximises the mean overlap of
    mutual_knn. For other metrics, the pool is the mean of the people's matrices, each divided by the norm of its
    U-centred part. It maximises the mean of unbiased linear CKA; for other kernels and estimators it is not a maximum,
    and a model may exceed the upper ceiling.

    Args:
        metric: a metric that needs no features.
        people: dissimilarities, shape (P, n, n).

    Raises:
        FeatureError: there are fewer than 2 people, or the metric needs features.
    """
    if isinstance(metric, RSA):
        upper = np.triu_indices(people.shape[1], 1)
        return noise_ceiling(compared(metric, people)[:, upper[0], upper[1]], metric.correlation)

    def score(pool: np.ndarray, person: np.ndarray) -> float:
        states = (metric.prepare(geometry(metric, values)) for values in (pool, person))
        return metric.score(*states)

    return leave_one_out(people, lambda some: pooled(metric, some), score)


def pooled(metric: Metric, people: np.ndarray) -> np.ndarray:
    """Pools the matrices of several people into one, shape (n, n); see `ceiling`. It need not be symmetric.

    Args:
        metric: any metric but RSA.
        people: dissimilarities, shape (P, n, n).
    """
    n = people.shape[1]
    if not isinstance(metric, NeighbourMetric):
        return (people / np.array([_u_norm(person) for person in people])[:, None, None]).mean(axis=0)
    far = people.copy()
    far[:, np.arange(n), np.arange(n)] = np.inf
    ranks = rankdata(far, axis=2).mean(axis=0) / (n + 1)
    votes = np.zeros((n, n))
    for person in people:
        graph = geometry(metric, person).neighbours(metric.k, metric.ties).numpy()
        votes[np.arange(n)[:, None], graph] += 1
    return ranks + len(people) - votes


def geometry(metric: Metric, dissimilarities: np.ndarray) -> MatrixGeometry:
    """A matrix as the metric sees it."""
    return MatrixGeometry(torch.from_numpy(dissimilarities), metric.similarity)


def compared(metric: RSA, dissimilarities: np.ndarray) -> np.ndarray:
    """The values that RSA correlates, from squared distances: their square roots if the similarity is Euclidean."""
    return np.sqrt(dissimilarities) if metric.similarity == "euclidean" else dissimilarities


def _u_norm(matrix: np.ndarray) -> float:
    """Norm of the U-centred matrix: zero diagonal and row sums (Szekely and Rizzo 2013)."""
    n = len(matrix)
    rows = matrix.sum(axis=1) / (n - 2)
    centred = matrix - rows[:, None] - rows[None, :] + matrix.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0)
    return float(np.linalg.norm(centred))
