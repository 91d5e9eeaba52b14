"""Neighbours of one item in two representations: the same item, or only the same category."""

from __future__ import annotations

import numpy as np

from platorep.core.errors import FeatureError


PARTS = ("same item", "both in category", "x only", "y only", "neither")
"""What `neighbour_parts` splits a query's neighbours into."""


def neighbour_parts(x: np.ndarray, y: np.ndarray, query_codes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Splits every query's neighbours into items that both sides share, and the rest by category.

    With m the share of the k neighbours that both sides have, and a and b the shares of x's and y's other neighbours
    that are of the query's category, the parts are m; (1-m) a b, both in the category but other items; (1-m) a (1-b);
    (1-m) (1-a) b; (1-m) (1-a) (1-b). At k = 1 they say what the two nearest neighbours are; at larger k they pair each
    other neighbour of x with each of y.

    Args:
        x: neighbours of the queries among the gallery's items, shape (q, k), integers.
        y: the same on the other side.
        query_codes: categories of the queries, shape (q,), integers.
        codes: categories of the gallery's items, shape (n,).

    Returns:
        Shape (q, 5), float64, in the order of `PARTS`; rows sum to 1.

    Raises:
        FeatureError: graphs of different shapes.

    Cost: q k^2.

    Source: the split at k = 1 is that of Koepke et al. 2026 (arXiv:2604.18572).
    """
    if x.shape != y.shape or x.ndim != 2 or len(x) != len(query_codes):
        raise FeatureError(
            f"neighbours of both sides must have one shape (queries, k); got {x.shape} and {y.shape} for "
            f"{len(query_codes)} queries."
        )
    shared = x[:, :, None] == y[:, None, :]
    item = shared.any(axis=2).mean(axis=1)
    shares = []
    for graph, common in ((x, shared.any(axis=2)), (y, shared.any(axis=1))):
        alone = ~common
        inside = (codes[graph] == query_codes[:, None]) & alone
        shares.append(inside.sum(axis=1) / np.maximum(alone.sum(axis=1), 1))
    a, b = shares
    rest = 1 - item
    return np.column_stack([item, rest * a * b, rest * a * (1 - b), rest * (1 - a) * b, rest * (1 - a) * (1 - b)])


def category_shares(x: np.ndarray, y: np.ndarray, query_codes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Shares of x's and y's neighbours in the query's category, and their product: shape (q, 3), float64.

    Args:
        x: as in `neighbour_parts`.
        y: as there.
        query_codes: as there.
        codes: as there.
    """
    a, b = ((codes[graph] == query_codes[:, None]).mean(axis=1) for graph in (x, y))
    return np.column_stack([a, b, a * b])


def relabelled_items(x: np.ndarray, y: np.ndarray, queries: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """The share of common neighbours after y's items were relabelled, for many relabellings.

    Item i takes the place of item order[i]: its neighbours are those of order[i], renamed back. Orders that move items
    only within their category leave every share of category as it is, and test what goes beyond it.

    Args:
        x: neighbours of every item of the gallery, shape (n, k), integers.
        y: the same on the other side.
        queries: the items that count, shape (q,).
        orders: permutations of the n items, shape (K, n).

    Returns:
        Shape (K,), float64.

    Cost: K q k^2.
    """
    shares = np.empty(len(orders))
    for number, order in enumerate(orders):
        names = np.empty(len(order), dtype=y.dtype)
        names[order] = np.arange(len(order))
        moved = names[y[order[queries]]]
        shares[number] = (x[queries][:, :, None] == moved[:, None, :]).any(axis=2).mean()
    return shares
