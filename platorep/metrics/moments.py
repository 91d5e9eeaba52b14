"""Exact mean and variance of sum_ij A_ij B_p(i)p(j) over uniform permutations p: chance without permuting.

These are the moments of Mantel's statistic (the quadratic assignment statistic) for matrices that need not be
symmetric. With 0/1 neighbour graphs the sum is the neighbour overlap; with U-centred Gram matrices it is the unbiased
HSIC.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


_CELLS = 1 << 22  # neighbours of neighbours looked at together


class PairSums(NamedTuple):
    """The sums over an n x n matrix with zero diagonal that the moments need: float64, one shape, such as (layers,)."""

    total: torch.Tensor  # sum M_ij
    squares: torch.Tensor  # sum M_ij^2
    mutual: torch.Tensor  # sum M_ij M_ji
    rows: torch.Tensor  # sum over i of r_i^2, r the row sums
    columns: torch.Tensor  # sum over j of c_j^2, c the column sums
    crossed: torch.Tensor  # sum over i of r_i c_i


def matrix_sums(matrix: torch.Tensor) -> PairSums:
    """The sums of one matrix, shape (n, n), whose diagonal is taken as zero. Computed in float64."""
    m = matrix.to(torch.float64).clone().fill_diagonal_(0)
    r, c = m.sum(dim=1), m.sum(dim=0)
    return PairSums(m.sum(), m.square().sum(), (m * m.T).sum(), r.square().sum(), c.square().sum(), (r * c).sum())


def graph_sums(neighbours: torch.Tensor) -> PairSums:
    """The sums of a k-nearest-neighbour graph, from its indices, shape (n, k). Cost n k^2."""
    n, k = neighbours.shape
    itself = torch.arange(n, device=neighbours.device)[:, None, None]
    step = max(1, _CELLS // (k * k))
    mutual = sum(int((neighbours[neighbours[i : i + step]] == itself[i : i + step]).sum()) for i in range(0, n, step))
    columns = torch.bincount(neighbours.flatten(), minlength=n).to(torch.float64).square().sum().cpu()
    number = lambda value: torch.tensor(float(value), dtype=torch.float64)  # noqa: E731
    return PairSums(number(n * k), number(n * k), number(mutual), number(n * k * k), columns, number(n * k * k))


def permutation_moments(x: PairSums, y: PairSums, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of sum_ij A_ij B_p(i)p(j) over all n! permutations p, for all pairs of matrices.

    E = sum A sum B / n(n-1). The second moment sums, over the ways in which two ordered index pairs can share indices
    (both, both crosswise, the first, the second, one of each, none), the product of A's and B's sums of that kind
    divided by how many index tuples are of that kind.

    Args:
        x: sums of the matrices on one side, each of shape (Lx,).
        y: sums of the matrices on the other side, each of shape (Ly,).
        n: number of samples, at least 2.

    Returns:
        Mean and variance, both of shape (Lx, Ly), float64.

    Source: Mantel 1967 (Cancer Research 27), for matrices that need not be symmetric; checked against all permutations
    of small n.
    """
    kinds = zip(_kinds(x), _kinds(y), (1, 1, 1, 1, 2, 1), (2, 2, 3, 3, 3, 4), strict=True)
    mean = x.total[:, None] * y.total[None, :] / (n * (n - 1))
    second = torch.zeros_like(mean)
    for a, b, times, indices in kinds:
        tuples = float(torch.tensor([n - i for i in range(indices)], dtype=torch.float64).prod())
        if tuples > 0:  # with fewer samples than indices the kind does not occur
            second += times * a[:, None] * b[None, :] / tuples
    return mean, (second - mean.square()).clamp_min(0)  # below zero only by rounding, where the variance is zero


def _kinds(m: PairSums) -> tuple[torch.Tensor, ...]:
    rows, columns, crossed = m.rows - m.squares, m.columns - m.squares, m.crossed - m.mutual
    return (
        m.squares,
        m.mutual,
        rows,
        columns,
        crossed,
        m.total.square() - m.squares - m.mutual - rows - columns - 2 * crossed,
    )


def stack_sums(sums: list[PairSums]) -> PairSums:
    """One `PairSums` of shape (L,) from those of L matrices."""
    return PairSums(*(torch.stack(column) for column in zip(*sums, strict=True)))
