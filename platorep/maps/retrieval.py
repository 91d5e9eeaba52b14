"""Retrieval of each sample's partner among all test samples: ranks, correction for hubs, chance in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


NEIGHBOURS = 10
"""Number of neighbours whose mean similarity corrects for hubs, as in the paper on CSLS."""


class Retrieval(NamedTuple):
    """The result of one search.

    Attributes:
        ranks: rank of the partner of each query, from 1, shape (n,) int64.
        nearest: index of the first answer, shape (n,) int64.
    """

    ranks: np.ndarray
    nearest: np.ndarray


def search(similarity: np.ndarray) -> Retrieval:
    """Ranks of partners, where the partner of query i is answer i.

    Ties are ranked in the order of the samples. That order must be random, so that a map that cannot tell samples apart
    scores at chance.

    Args:
        similarity: of query i and answer j, shape (n, n).
    """
    partner = np.diagonal(similarity)[:, None]
    before = np.count_nonzero(similarity > partner, axis=1)
    equal = similarity == partner
    if np.count_nonzero(equal) > len(similarity):  # ties besides the partners themselves
        before += np.count_nonzero(np.tril(equal, -1), axis=1)
    return Retrieval(before + 1, similarity.argmax(axis=1))


def csls(similarity: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """Similarity corrected for hubs: 2 s_ij - (mean of column j's k largest).

    Cross-domain similarity local scaling of Conneau et al., Word translation without parallel data (ICLR 2018), section
    2.4. The term of the query is left out, because it does not change the order of that query's answers. The correction
    uses all queries at once, so the resulting score is a property of the set of test samples. Report it beside the
    plain score, not instead of it.

    Args:
        similarity: of query i and answer j, shape (n, n).
        k: number of neighbours, at most n.
    """
    k = min(k, len(similarity))
    columns = np.partition(similarity.T, -k, axis=1)[:, -k:].mean(axis=1)
    return 2 * similarity - columns


def chance_levels(n: int, depths: tuple[int, ...]) -> dict[str, float]:
    """Expected scores for n answers in random order: k / n, the n-th harmonic number / n, and (n + 1) / 2.

    Args:
        n: number of answers.
        depths: numbers k of answers for recall at k.
    """
    levels = {f"recall_at_{k}": min(k / n, 1.0) for k in depths}
    return levels | {"median_rank": (n + 1) / 2, "reciprocal_rank": float((1 / np.arange(1, n + 1)).mean())}
