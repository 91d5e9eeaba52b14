"""Retrieval of the partner of each sample among all test samples: ranks, hubness correction, chance in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


NEIGHBOURS = 10
"""Neighbours whose mean similarity corrects for hubs, as in the paper on CSLS."""


class Retrieval(NamedTuple):
    """The result of one search.

    Attributes:
        ranks: rank of the partner of each query, from 1, shape (n,) int64.
        nearest: index of the first answer, shape (n,) int64.
    """

    ranks: np.ndarray
    nearest: np.ndarray


def search(similarity: np.ndarray) -> Retrieval:
    """Ranks of partners: the partner of query i is answer i.

    Equally similar answers are taken in the order of the samples, which must be random: a map that tells nothing apart
    then scores at chance.

    Args:
        similarity: of query i and answer j, shape (n, n).
    """
    partner = np.diagonal(similarity)[:, None]
    before = np.count_nonzero(similarity > partner, axis=1)
    equal = similarity == partner
    if np.count_nonzero(equal) > len(similarity):  # more than the partners themselves
        before += np.count_nonzero(np.tril(equal, -1), axis=1)
    return Retrieval(before + 1, similarity.argmax(axis=1))


def csls(similarity: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """Similarity corrected for hubs: 2 s_ij - (mean of column j's k largest).

    Cross-domain similarity local scaling of Conneau et al., Word translation without parallel data (ICLR 2018), section
    2.4, without its term for the query, which moves no answer of that query. It looks at all queries at once: a score
    under it is of the set of test samples, and stands beside the plain score, never in its place.

    Args:
        similarity: of query i and answer j, shape (n, n).
        k: number of neighbours, at most n.
    """
    k = min(k, len(similarity))
    columns = np.partition(similarity.T, -k, axis=1)[:, -k:].mean(axis=1)
    return 2 * similarity - columns


def chance_levels(n: int, depths: tuple[int, ...]) -> dict[str, float]:
    """Expected scores if n answers come in random order: k / n, the n-th harmonic number / n, and (n + 1) / 2.

    Args:
        n: number of answers.
        depths: numbers k of answers that recall looks at.
    """
    levels = {f"recall_at_{k}": min(k / n, 1.0) for k in depths}
    return levels | {"median_rank": (n + 1) / 2, "reciprocal_rank": float((1 / np.arange(1, n + 1)).mean())}
