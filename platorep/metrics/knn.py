"""Exact nearest neighbours: of one similarity matrix, and in tiles where that matrix would not fit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch

from platorep.core.errors import FeatureError


ROWS = 128
"""Query rows a product takes at a time. Small blocks let `inner_products` leave out what symmetry gives."""


DENSE = 8192
"""Samples up to which a layer's whole similarity matrix is made; beyond, neighbours are found in tiles."""

TILES = {"cpu": (1024, 1024), "cuda": (16384, 16384)}
"""Query rows and gallery rows of one tile, by device: 4 MB of similarities, which stay in the cache, and 1 GB. Others take the CPU's."""


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


def top_k(closeness: torch.Tensor, k: int) -> torch.Tensor:
    """Indices of the k largest entries of each row, the diagonal left out, ties to the lower index.

    Equal to the first k columns of a stable descending sort. A partial selection finds the k + 1 largest; only rows
    in which two of these are equal are sorted.

    Args:
        closeness: shape (n, n); larger is nearer. Not modified.
        k: 1 <= k < n.

    Returns:
        Shape (n, k) int64, nearest first.
    """
    return _select(closeness.clone().fill_diagonal_(-torch.inf), k)


def _select(masked: torch.Tensor, k: int) -> torch.Tensor:
    values, indices = masked.topk(min(k + 1, masked.shape[1]), dim=1)
    tied = (values[:, 1:] == values[:, :-1]).any(dim=1)
    indices = indices[:, :k].contiguous()
    if tied.any():
        indices[tied] = masked[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
    return indices


def check_k(k: int, n: int) -> None:
    """Refuses a number of neighbours that n samples do not have.

    Raises:
        FeatureError: k < 1 or k >= n.
    """
    if not 1 <= k < n:
        raise FeatureError(f"k = {k} neighbours of {n} samples: k must be at least 1 and at most n - 1 = {n - 1}.")


def neighbours(
    queries: torch.Tensor,
    k: int,
    *,
    gallery: torch.Tensor | None = None,
    own: torch.Tensor | None = None,
    similarity: Literal["cosine", "euclidean"] = "cosine",
    shard: tuple[int, int] = (0, 1),
    tile: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Exact k nearest gallery rows of each query, in tiles: the same for n = 1,024 and n = 1,000,000.

    Args:
        queries: shape (m, d), float32; rows of length 1 under cosine.
        k: neighbours a query.
        gallery: shape (n, d); None: the queries themselves, each left out of its own neighbours.
        own: which gallery row each query is, shape (m,), -1 for none; that row is no neighbour. None with a gallery:
            no query is in it.
        similarity: inner product of unit rows, or distance.
        shard: (i, m): only the i-th of m contiguous shares of the queries. Shares end at tile edges, so that the
            shares' results, stacked, are the whole's bytes.
        tile: query rows and gallery rows held at a time, squares of the first without a gallery; None: by device.

    Returns:
        Shape (queries of the share, k), int64, nearest first; ties go to the lower index.

    Raises:
        FeatureError: the gallery has too few rows for k.

    Cost: the matrix product, m n d; half of it without a gallery, where a tile serves its rows and its columns. Of later
    tiles only what exceeds the k-th best so far is looked at. Memory one tile of similarities beside the features.
    """
    tile = tile or TILES.get(queries.device.type, TILES["cpu"])
    if gallery is None:
        return _among_themselves(queries, k, similarity, shard, tile[0])
    return growing_neighbours(
        queries, [k], [len(gallery)], gallery=gallery, own=own, similarity=similarity, shard=shard, tile=tile
    )[0]


def _among_themselves(x: torch.Tensor, k: int, similarity: str, shard: tuple[int, int], side: int) -> torch.Tensor:
    """Neighbours of the share's rows among all rows, by square tiles on and above the diagonal of the similarities.

    Every row meets the others in the order of their index: from the columns of tiles before its own, then from the rows of
    its own and later ones. A share makes the tiles that it needs in the same orientation as the whole, hence its bytes.
    """
    n = len(x)
    check_k(k, n)
    start, stop = share(n, shard, side)
    squared = None if similarity == "cosine" else x.square().sum(dim=1)
    best = _Best(stop - start, k, x)
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
    return best.indices


class _Best:
    """The k nearest found so far of some queries, which meet the gallery tile by tile, in the order of its index."""

    def __init__(self, queries: int, k: int, like: torch.Tensor) -> None:
        self.values = like.new_full((queries, k), -torch.inf)
        self.indices = torch.full((queries, k), -1, device=like.device)

    def offer(self, first: int, tile: torch.Tensor, left: int, *, of_columns: bool = False) -> None:
        """Takes in a tile of closeness, larger is nearer.

        Args:
            first: the first of the tile's queries, which are its rows, or with `of_columns` its columns.
            tile: shape (queries, gallery rows), or with `of_columns` the other way round.
            left: the first of its gallery rows, none of which was offered before, and all before which were.
            of_columns: see above.
        """
        count, width = reversed(tile.shape) if of_columns else tile.shape
        values, indices = self.values[first : first + count], self.indices[first : first + count]
        k, bound = values.shape[1], values[:, -1]
        if torch.isinf(bound).any():  # the first tile, or so small ones that there are no k yet
            tile = tile.T if of_columns else tile
            nearest = _select(tile, min(k, width))
            found, at = tile.gather(1, nearest), nearest + left
        else:
            # only what is nearer than the k-th: at a tie that one has the lower index and stays
            row, column = _places(tile > (bound[None, :] if of_columns else bound[:, None]))
            if not len(row):
                return
            nearer = tile[row, column]
            if of_columns:
                order = column.sort(stable=True).indices
                row, column, nearer = column[order], row[order], nearer[order]
            each = row.bincount(minlength=count)
            place = torch.arange(len(row), device=row.device) - (each.cumsum(0) - each)[row]
            found = values.new_full((count, int(each.max())), -torch.inf)
            at = torch.full(found.shape, -1, device=row.device)
            found[row, place], at[row, place] = nearer, column + left
        # what was found before has lower indices, so a stable sort keeps ties in index order
        found, order = torch.cat([values, found], dim=1).sort(dim=1, descending=True, stable=True)
        values.copy_(found[:, :k])
        indices.copy_(torch.cat([indices, at], dim=1).gather(1, order)[:, :k])


def _places(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the true entries, row by row: looked for eight at a time, because there are few."""
    if mask.shape[1] % 8:
        return mask.nonzero(as_tuple=True)
    row, word = mask.view(torch.int64).nonzero(as_tuple=True)
    hit, byte = mask.unflatten(1, (-1, 8))[row, word].nonzero(as_tuple=True)
    return row[hit], word[hit] * 8 + byte


def growing_neighbours(
    queries: torch.Tensor,
    ks: Sequence[int],
    sizes: Sequence[int],
    *,
    gallery: torch.Tensor,
    own: torch.Tensor | None = None,
    similarity: Literal["cosine", "euclidean"] = "cosine",
    shard: tuple[int, int] = (0, 1),
    tile: tuple[int, int],
) -> list[torch.Tensor]:
    """Neighbours of the same queries in the first `sizes[0]`, `sizes[1]`, ... rows of one gallery, in one pass over it.

    Args:
        queries: as in `neighbours`.
        ks: neighbours a query for each size, such as a fixed share of it.
        sizes: gallery rows, increasing; each gallery holds the one before it.
        gallery: shape (n, d); this and the rest as in `neighbours`.
        own: which gallery row each query is.
        similarity: cosine or euclidean.
        shard: of the queries.
        tile: query rows and gallery rows held at a time.

    Returns:
        One tensor of shape (queries of the share, ks[s]) a size.
    """
    if list(sizes) != sorted(set(sizes)) or not sizes or sizes[-1] > len(gallery) or len(ks) != len(sizes):
        raise FeatureError(
            f"gallery sizes {list(sizes)} must increase, reach at most the {len(gallery)} rows there are, and have one k each."
        )
    for k, size in zip(ks, sizes, strict=True):
        check_k(k, size if own is not None else size + 1)
    rows, columns = tile
    start, stop = share(len(queries), shard, rows)
    edges = sorted({*range(0, sizes[-1], columns), *sizes})
    squared = None if similarity == "cosine" else gallery.square().sum(dim=1)
    found: list[list[torch.Tensor]] = [[torch.empty(0, k, dtype=torch.int64, device=queries.device)] for k in ks]
    for top in range(start, stop, rows):
        block = queries[top : min(top + rows, stop)]
        best = _Best(len(block), max(ks), block)
        for left, right in itertools.pairwise(edges):
            closeness = block @ gallery[left:right].T
            if squared is not None:
                closeness.mul_(2).sub_(squared[left:right])
            if own is not None:
                mine = own[top : top + len(block)]
                here = ((mine >= left) & (mine < right)).nonzero().flatten()
                closeness[here, mine[here] - left] = -torch.inf
            best.offer(0, closeness, left)
            if right in sizes:
                at = list(sizes).index(right)
                found[at].append(best.indices[:, : ks[at]].clone())
    return [torch.cat(parts) for parts in found]


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
