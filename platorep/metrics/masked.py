"""Kernels at the neighbours of each sample, and their unbiased HSIC where both sides have a neighbour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from platorep.metrics import exact
from platorep.metrics.exact import tree_sum
from platorep.metrics.relabelling import Relabelling


TABLE = 1 << 24  # entries of an (rows, n) table held at a time


@dataclass(frozen=True, eq=False)
class NeighbourValues:
    """A layer's kernel at the neighbours of each sample: a sparse (n, n) matrix of k entries per row.

    Attributes:
        columns: shape (n, k) int32, ascending in each row.
        values: shape (n, k) float32; of `cknna` of norm 1 and on the grid of `metrics.exact`.
        mutual: whether the neighbour has the row among its own, shape (n, k) bool; set for `cknna_prh` alone.
        own: the layer's alignment with itself; 1 up to rounding where the values are scaled to it.
        tied: share of samples whose k-th neighbour is exactly as near as the next.
    """

    columns: torch.Tensor
    values: torch.Tensor
    mutual: torch.Tensor | None = None
    own: float = 1.0
    tied: float = math.nan

    @property
    def n(self) -> int:
        return len(self.columns)

    def relabelled(self, order: Relabelling) -> NeighbourValues:
        """The same of the relabelled samples."""
        columns, ascending = order.names(order.rows(self.columns)).sort(dim=1)
        values = order.rows(self.values).gather(1, ascending)
        mutual = None if self.mutual is None else order.rows(self.mutual).gather(1, ascending)
        return replace(self, columns=columns, values=values, mutual=mutual)


def row_blocks(n: int, step: int) -> Iterator[slice]:
    """Slices of at most `step` of n rows."""
    step = max(1, step)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def dense_hsic(xs: Sequence[NeighbourValues], ys: Sequence[NeighbourValues]) -> torch.Tensor:
    """s(K, L) of all pairs, shape (len(xs), len(ys)) float64 on the CPU, from whole tables of a few layers a time.

    With A, B the sides' masks and M = A * B, the sums of Song's formula are products of one side's table with the
    other's: (M * K) has the column sums sum_i (A * K)_ij B_ij, (M * L) the row sums sum_j A_ij (B * L)_ij, and since K
    and L are symmetric sum_ij (M * K)_ij (M * L)_ji = sum_ij (A * A' * K)_ij (B * B' * L)_ij.
    """
    n = xs[0].n
    step = max(1, TABLE // n**2)
    rows = []
    for some in (xs[start : start + step] for start in range(0, len(xs), step)):
        a, a_k = _tables(some)
        both_k = (a_k * a.transpose(1, 2)).flatten(1)
        row = []
        for others in (ys[start : start + step] for start in range(0, len(ys), step)):
            b, b_l = _tables(others)
            both = exact.split_products(both_k.unbind(), (b_l * b.transpose(1, 2)).flatten(1).unbind())
            into_k = torch.bmm(a_k.permute(2, 0, 1), b.permute(2, 1, 0))  # (n, x layers, y layers)
            from_l = torch.bmm(a.permute(1, 0, 2), b_l.permute(1, 2, 0))
            sums = (tree_sum(part, 0).cpu() for part in (into_k, from_l, into_k * from_l))
            row.append(hsic(n, both, *sums))
        rows.append(torch.cat(row, dim=1))
    return torch.cat(rows)


def _tables(layers: Sequence[NeighbourValues]) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks of the neighbours and the masked kernels, each (layers, n, n) float64.

    The kernels are multiples of 2^-40 of a power of two above their largest value, so that sums of up to 4,096 of them,
    one column or row, are exact.
    """
    columns = torch.stack([s.columns for s in layers]).long()
    sizes = [2.0 ** math.ceil(math.log2(max(s.values.abs().amax().item(), 1e-300))) for s in layers]
    values = torch.stack(
        [exact.on_grid(s.values.double() / size, 2.0**-40) * size for s, size in zip(layers, sizes, strict=True)]
    )
    zeros = values.new_zeros(*columns.shape[:2], columns.shape[1])
    return zeros.scatter(2, columns, 1.0), zeros.scatter(2, columns, values)


def sparse_hsic(xs: Sequence[NeighbourValues], ys: Sequence[NeighbourValues]) -> torch.Tensor:
    """s(K, L) of all pairs, (len(xs), len(ys)) float64 on the CPU; one side's values are looked up at the other's."""
    columns, values, mutual = (torch.stack([getattr(y, part) for y in ys]) for part in ("columns", "values", "mutual"))
    return torch.stack([_masked_hsic(x, columns.long(), values, mutual) for x in xs]).cpu()


def _masked_hsic(x: NeighbourValues, columns: torch.Tensor, values: torch.Tensor, mutual: torch.Tensor) -> torch.Tensor:
    """s(K, L) of one layer with each of (m, n, k) others, (m,) float64, from K's values looked up at L's neighbours."""
    if x.mutual is None:
        raise TypeError("these values do not say which neighbours are mutual: expected those of cknna_prh")
    m, n, _ = columns.shape
    into_k = values.new_zeros(m, n, dtype=torch.float64)  # column sums of M * K
    from_l = torch.empty_like(into_k)  # row sums of M * L
    both = values.new_zeros(m, dtype=torch.float64)
    for rows in row_blocks(n, step=TABLE // n):
        own = x.columns[rows].long()
        absent = torch.full((len(own), n), torch.nan, dtype=torch.float32, device=values.device)
        k_values = absent.scatter(1, own, x.values[rows])
        k_mutual = torch.zeros_like(absent, dtype=torch.bool).scatter_(1, own, x.mutual[rows])
        at = columns[:, rows] + torch.arange(len(own), device=columns.device)[:, None] * n
        k_at = k_values.view(-1)[at]
        common = ~k_at.isnan()
        k_at = torch.where(common, k_at, 0)
        l_at = torch.where(common, values[:, rows], 0)
        # in float64: centring leaves little of sums that nearly cancel
        both += tree_sum((k_at.double() * l_at * (mutual[:, rows] & k_mutual.view(-1)[at])).flatten(1), 1)
        into_k.scatter_add_(1, columns[:, rows].flatten(1), k_at.flatten(1).double())
        from_l[:, rows] = l_at.sum(2, dtype=torch.float64)
    return hsic(n, both, *(tree_sum(part, 1) for part in (into_k, from_l, into_k * from_l)))


def hsic(
    n: int, both: torch.Tensor, total_k: torch.Tensor, total_l: torch.Tensor, chained: torch.Tensor
) -> torch.Tensor:
    """Song et al. 2012, Eq. 5, of matrices with zero diagonals: sum K_ij L_ji, sum K, sum L, sum (K L)."""
    return (both + total_k * total_l / ((n - 1) * (n - 2)) - 2 * chained / (n - 2)) / (n * (n - 3))
