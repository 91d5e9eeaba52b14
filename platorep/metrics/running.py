"""The k nearest samples of some queries while the gallery passes by, tile after tile."""

from __future__ import annotations

import torch

from platorep.metrics import ties
from platorep.metrics.ties import Nearest, Priority


class Running:
    """The k nearest so far of some queries, which meet the gallery tile by tile, in the order of its index.

    Attributes:
        queries: index of each query as the priority receives it, shape (q,).
        values: closeness of the k nearest so far, nearest first, shape (q, k).
        indices: their gallery rows, -1 for none yet.
        next: closeness of the best row that was met and is not among them, shape (q,).
    """

    def __init__(self, queries: torch.Tensor, k: int, like: torch.Tensor, priority: Priority) -> None:
        self.queries, self.priority = queries, priority
        self.values = like.new_full((len(queries), k), -torch.inf)
        self.indices = torch.full((len(queries), k), -1, device=like.device)
        self.next = like.new_full((len(queries),), -torch.inf)

    def found(self, k: int) -> Nearest:
        """The first k of the nearest so far."""
        return Nearest(self.indices[:, :k].clone(), torch.cat([self.values, self.next[:, None]], dim=1)[:, : k + 1])

    def offer(self, first: int, tile: torch.Tensor, left: int, *, of_columns: bool = False) -> None:
        """Takes in a tile of closeness, larger is nearer.

        Args:
            first: the first of the tile's queries, which are its rows, or with `of_columns` its columns.
            tile: shape (queries, gallery rows), or with `of_columns` the other way round.
            left: the first of its gallery rows; none of them was offered before, and all lower ones were.
            of_columns: whether the queries are the columns of the tile.
        """
        count, width = reversed(tile.shape) if of_columns else tile.shape
        here = slice(first, first + count)
        k, bound = self.values.shape[1], self.values[here, -1]
        if torch.isinf(bound).any():  # the first tile, or so small ones that there are no k yet
            tile = tile.T if of_columns else tile
            some = ties.select(tile, min(k, width), self.priority, queries=self.queries[here], first_column=left)
            self._merge(here, some.closeness[:, :-1], some.indices, some.closeness[:, -1])
            return
        # only what is at least as near as the k-th
        row, column = places(tile >= (bound[None, :] if of_columns else bound[:, None]))
        if not len(row):
            return
        nearer = tile[row, column]
        if of_columns:
            row, column = column, row
        equal = nearer == bound[row]
        if equal.any():
            row, column, nearer = self._before_the_last(here, row, column + left, nearer, equal)
            column -= left
        if of_columns:
            order = row.sort(stable=True).indices
            row, column, nearer = row[order], column[order], nearer[order]
        if not len(row):
            return
        each = row.bincount(minlength=count)
        place = torch.arange(len(row), device=row.device) - (each.cumsum(0) - each)[row]
        values = self.values.new_full((count, int(each.max())), -torch.inf)
        at = torch.full(values.shape, -1, device=row.device)
        values[row, place], at[row, place] = nearer, column + left
        self._merge(here, values, at, self.next[here])

    def _before_the_last(
        self, here: slice, row: torch.Tensor, gallery: torch.Tensor, nearer: torch.Tensor, equal: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Leaves out entries as near as the k-th neighbour that come after it; notes that it is tied."""
        tied = row[equal]
        self.next[here][tied] = torch.maximum(self.next[here][tied], self.values[here, -1][tied])
        names = self.queries[here][tied]
        keep = torch.ones_like(equal)
        keep[equal] = self.priority(names, gallery[equal]) < self.priority(names, self.indices[here, -1][tied])
        return row[keep], gallery[keep], nearer[keep]

    def _merge(self, here: slice, values: torch.Tensor, indices: torch.Tensor, left_out: torch.Tensor) -> None:
        """Takes in more entries, shape (queries, c); `left_out` is the best closeness of those not among them."""
        k = self.values.shape[1]
        values, order = torch.cat([self.values[here], values], dim=1).sort(dim=1, descending=True, stable=True)
        indices = torch.cat([self.indices[here], indices], dim=1).gather(1, order)
        top = values[:, : k + 1]
        rows = ((top[:, 1:] == top[:, :-1]) & (top[:, 1:] > -torch.inf)).any(dim=1).nonzero().flatten()
        if len(rows):
            names = self.queries[here][rows]
            values[rows], indices[rows] = ties.sort(values[rows], indices[rows], names, self.priority)
        self.next[here] = torch.maximum(self.next[here], left_out)
        if values.shape[1] > k:
            self.next[here] = torch.maximum(self.next[here], values[:, k])
        self.values[here], self.indices[here] = values[:, :k], indices[:, :k]


def places(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the true entries, row by row: looked for eight at a time, because there are few."""
    if mask.shape[1] % 8:
        row, column = mask.nonzero(as_tuple=True)
        return row, column
    row, word = mask.view(torch.int64).nonzero(as_tuple=True)
    hit, byte = mask.unflatten(1, (-1, 8))[row, word].nonzero(as_tuple=True)
    return row[hit], word[hit] * 8 + byte
