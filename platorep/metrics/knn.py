"""Exact nearest neighbours, from one similarity matrix, or in tiles if that matrix would not fit into memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import torch

from platorep.core.errors import FeatureError
from platorep.metrics import ties
from platorep.metrics.running import Running
from platorep.metrics.ties import Nearest, Priority


Similarity = Literal["cosine", "euclidean"]

ROWS = 128
"""Query rows per product. With small blocks, `inner_products` can skip what follows by symmetry."""

DENSE = 8192
"""Largest number of samples for which a layer's whole similarity matrix is computed; with more, tiles are used."""

TILES = {"cpu": (1024, 1024), "cuda": (16384, 16384)}
"""Query rows and gallery rows of one tile, by device; others take the CPU's.

On a CPU a tile has 4 MB of similarities, which stay in the cache; on a GPU 1 GB.
"""


NEAR = 2.0**-9
"""Squared distance, as a part of the squared length, below which a distance is computed in float64."""


def inner_products(x: torch.Tensor) -> torch.Tensor:
    """`x @ x.T` at about 0.6 of the cost: the blocks below the diagonal are copied from those above it.

    Args:
        x: shape (n, d), float32.

    Returns:
        Shape (n, n), float32.
    """
    n = len(x)
    product = torch.empty(n, n, dtype=x.dtype, device=x.device)
    for start in range(0, n, ROWS):
        stop = min(start + ROWS, n)
        product[start:stop, start:] = x[start:stop] @ x[start:].T
        product[stop:, start:stop] = product[start:stop, stop:].T
    return product


def top_k(closeness: torch.Tensor, k: int, priority: Priority = ties.by_index) -> Nearest:
    """The k largest entries of each row, the diagonal left out.

    Args:
        closeness: shape (n, n); larger is nearer. Not modified.
        k: 1 <= k < n.
        priority: which of equally near samples comes first; by default the lower index, as in a stable descending sort.

    Returns:
        Indices of shape (n, k), nearest first, with their closeness and that of the best one left out.
    """
    return ties.select(closeness.clone().fill_diagonal_(-torch.inf), k, priority)


def check_k(k: int, n: int) -> None:
    """Refuses a number of neighbours that is impossible with n samples.

    Raises:
        FeatureError: k < 1 or k >= n.
    """
    if not 1 <= k < n:
        raise FeatureError(f"k = {k} neighbours of {n} samples: k must be at least 1 and at most n - 1 = {n - 1}.")


def neighbours(queries: torch.Tensor, k: int, *, gallery: torch.Tensor | None = None, **options: Any) -> torch.Tensor:
    """Indices of the exact k nearest gallery rows of each query: those of `nearest`, with its arguments."""
    return nearest(queries, k, gallery=gallery, **options).indices


def nearest(
    queries: torch.Tensor,
    k: int,
    *,
    gallery: torch.Tensor | None = None,
    own: torch.Tensor | None = None,
    similarity: Similarity = "cosine",
    priority: Priority = ties.by_index,
    shard: tuple[int, int] = (0, 1),
    tile: tuple[int, int] | None = None,
) -> Nearest:
    """Exact k nearest gallery rows of each query, in tiles: the same for n = 1,024 and n = 1,000,000.

    Args:
        queries: shape (m, d), floating; rows of length 1 under cosine.
        k: neighbours of a query.
        gallery: shape (n, d); None: the queries themselves, each left out of its own neighbours.
        own: which gallery row each query is, shape (m,), -1 for none; that row is no neighbour. None with a gallery:
            no query is in it.
        similarity: inner product of unit rows, or distance.
        priority: which of equally near rows comes first, of (query, gallery row); by default the lower row. A query
            that is a gallery row is passed as that row, others as their index among the queries.
        shard: (i, m): only the i-th of m contiguous shares of the queries. Shares end at tile edges, so that the
            shares' results, stacked, are the whole's bytes.
        tile: query rows and gallery rows held at a time, squares of the first without a gallery; None: by device.

    Returns:
        Indices of shape (queries of the share, k), nearest first, with their closeness.

    Raises:
        FeatureError: the gallery has too few rows for k.

    Cost: the matrix product, m n d; half of it without a gallery, where a tile serves its rows and its columns. Of
    later tiles, only entries at least as near as the current k-th neighbour are processed. Memory: one tile of
    similarities in addition to the features.
    """
    tile = tile or TILES.get(queries.device.type, TILES["cpu"])
    if gallery is None:
        return _among_themselves(queries, k, similarity, priority, shard, tile[0])
    sizes = [len(gallery)]
    return growing(
        queries, [k], sizes, gallery=gallery, own=own, similarity=similarity, priority=priority, shard=shard, tile=tile
    )[0]


def _among_themselves(
    x: torch.Tensor, k: int, similarity: str, priority: Priority, shard: tuple[int, int], side: int
) -> Nearest:
    """Neighbours of the share's rows among all rows, by square tiles on and above the diagonal of the similarities.

    Every row meets the others in the order of their index: from the columns of tiles before its own, then from the rows
    of its own and later ones. A share computes its tiles in the same orientation as the whole does, so its
    result has the same bytes.
    """
    n = len(x)
    check_k(k, n)
    start, stop = share(n, shard, side)
    squared = None if similarity == "cosine" else x.square().sum(dim=1)
    best = Running(torch.arange(start, stop, device=x.device), k, x, priority)
    edges = range(0, n, side)
    for top in edges:
        for left in edges[top // side :]:
            row, column = slice(top, min(top + side, n)), slice(left, min(left + side, n))
            down, across = start <= top < stop, start <= left < stop and left != top
            if not (down or across):
                continue
            tile = x[row] @ x[column].T
            if squared is not None:
                tile.mul_(2)
            if left == top:
                tile.fill_diagonal_(-torch.inf)
            if down:
                best.offer(top - start, tile if squared is None else tile - squared[column], left)
            if across:
                best.offer(left - start, tile if squared is None else tile - squared[row, None], top, of_columns=True)
    nearest_rows = best.found(k)
    if squared is None:
        return nearest_rows
    parts = []
    for top in range(start, stop, side):  # by tiles, so that products are the same whatever the share
        row, here = slice(top, min(top + side, n)), slice(top - start, min(top + side, stop) - start)
        own = torch.arange(row.start, row.stop, device=x.device)
        part = Nearest(nearest_rows.indices[here], nearest_rows.closeness[here])
        parts.append(refined([part], x[row], squared[row], own, x, [n], priority)[0])
    return _stacked(parts) if parts else nearest_rows


def growing_neighbours(
    queries: torch.Tensor, ks: Sequence[int], sizes: Sequence[int], **options: Any
) -> list[torch.Tensor]:
    """Indices of neighbours in growing galleries: those of `growing`, with its arguments."""
    return [each.indices for each in growing(queries, ks, sizes, **options)]


def growing(
    queries: torch.Tensor,
    ks: Sequence[int],
    sizes: Sequence[int],
    *,
    gallery: torch.Tensor,
    own: torch.Tensor | None = None,
    similarity: Similarity = "cosine",
    priority: Priority = ties.by_index,
    shard: tuple[int, int] = (0, 1),
    tile: tuple[int, int],
) -> list[Nearest]:
    """Neighbours of the same queries in the first `sizes[0]`, `sizes[1]`, ... rows of one gallery, in one pass over it.

    Args:
        queries: as in `nearest`.
        ks: neighbours of a query for each size, such as a fixed share of it.
        sizes: gallery rows, increasing; each gallery holds the one before it.
        gallery: shape (n, d); this and the rest as in `nearest`.
        own: which gallery row each query is.
        similarity: cosine or euclidean.
        priority: which of equally near rows comes first.
        shard: of the queries.
        tile: query rows and gallery rows held at a time.

    Returns:
        For each size the ks[s] nearest of each query of the share.
    """
    if list(sizes) != sorted(set(sizes)) or not sizes or sizes[-1] > len(gallery) or len(ks) != len(sizes):
        raise FeatureError(
            f"gallery sizes {list(sizes)} must increase, reach at most the {len(gallery)} rows there are, and "
            "have one k each."
        )
    for k, size in zip(ks, sizes, strict=True):
        check_k(k, size if own is not None else size + 1)
    rows, columns = tile
    start, stop = share(len(queries), shard, rows)
    edges = sorted({*range(0, sizes[-1], columns), *sizes})
    squared = None if similarity == "cosine" else gallery.square().sum(dim=1)
    none = torch.empty(0, dtype=torch.int64, device=queries.device)
    parts = [[Running(none, k, queries, priority).found(k)] for k in ks]
    for top in range(start, stop, rows):
        block = queries[top : min(top + rows, stop)]
        names = torch.arange(top, top + len(block), device=block.device)
        mine = None if own is None else own[top : top + len(block)]
        if mine is not None:
            names = mine.where(mine >= 0, names)
        best = Running(names, max(ks), block, priority)
        nearest_rows: list[Any] = []
        for left, right in itertools.pairwise(edges):
            closeness = block @ gallery[left:right].T
            if squared is not None:
                closeness.mul_(2).sub_(squared[left:right])
            if mine is not None:
                here = ((mine >= left) & (mine < right)).nonzero().flatten()
                closeness[here, mine[here] - left] = -torch.inf
            best.offer(0, closeness, left)
            if right in sizes:
                nearest_rows.append(best.found(ks[len(nearest_rows)]))
        if squared is not None and mine is not None:
            nearest_rows = refined(nearest_rows, block, block.square().sum(dim=1), mine, gallery, sizes, priority)
        for each, part in zip(nearest_rows, parts, strict=True):
            part.append(each)
    return [_stacked(each) for each in parts]


def _stacked(parts: Sequence[Nearest]) -> Nearest:
    return Nearest(*(torch.cat(column) for column in zip(*parts, strict=True)))


def refined(
    found: Sequence[Nearest],
    queries: torch.Tensor,
    squared: torch.Tensor,
    own: torch.Tensor,
    gallery: torch.Tensor,
    sizes: Sequence[int],
    priority: Priority,
) -> list[Nearest]:
    """Neighbours by distance, searched again in float64 for queries that have a neighbour too near for float32.

    |a-b|^2 is computed as |a|^2 + |b|^2 - 2<a,b>, so in float32 few digits are left of a distance that is small
    compared with the length of a. Queries whose squared distance to the nearest sample is below `NEAR` times their
    squared length are searched again; k does not change which these are.

    Args:
        found: neighbours in the first sizes[0], sizes[1], ... gallery rows, by float32.
        queries: shape (m, d), float32.
        squared: their squared lengths, shape (m,).
        own: which gallery row each query is, shape (m,).
        gallery: shape (n, d), float32.
        sizes: of the galleries.
        priority: which of equally near rows comes first.

    Cost: 2 m' n d operations in float64 for m' such queries.
    """
    if queries.dtype == torch.float64:
        return list(found)
    rows = (squared - found[-1].closeness[:, 0] < NEAR * squared).nonzero().flatten()
    if not len(rows):
        return list(found)
    ks = [each.indices.shape[1] for each in found]
    tile = TILES.get(gallery.device.type, TILES["cpu"])
    precise = queries[rows].double(), gallery.double()
    again = growing(
        precise[0], ks, sizes, gallery=precise[1], own=own[rows], similarity="euclidean", priority=priority, tile=tile
    )
    return [
        Nearest(
            each.indices.index_copy(0, rows, more.indices), each.closeness.double().index_copy(0, rows, more.closeness)
        )
        for each, more in zip(found, again, strict=True)
    ]


def share(n: int, shard: tuple[int, int], unit: int) -> tuple[int, int]:
    """Rows [start, stop) of the i-th of m shares of n rows; shares are whole units, but for the last.

    Raises:
        FeatureError: not 0 <= i < m.
    """
    i, m = shard
    if not 0 <= i < m:
        raise FeatureError(f"shard {i}/{m}: the first number must be at least 0 and less than the second.")
    units = -(-n // unit)
    return min(n, units * i // m * unit), min(n, units * (i + 1) // m * unit)
