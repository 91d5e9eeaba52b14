"""Scores without a block of samples, for all blocks at the cost of a few scores, for the block jackknife.

Deleting samples changes the means that centring takes away, but the sums over the remaining pairs follow from those
over all pairs less the block's rows. M and N are the centred matrices of the two sides (zero row sums), b is the block,
and m = n - |b|:

    sum over kept pairs of M N = <M, N> - 2 sum_(i in b, j) M_ij N_ij + sum_(i, j in b) M_ij N_ij,
    row sums over the kept = -(column sums of the block's rows),

and centring the kept part again, with or without its diagonal, needs only these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from platorep.core.errors import FeatureError
from platorep.metrics import centred
from platorep.metrics.centred import Centred, Hsic


_TILE = 1 << 17  # entries of a layer's rows unpacked at a time


def leave_block_out(
    xs: Sequence[Centred], ys: Sequence[Centred], blocks: Sequence[torch.Tensor], *, hsic: Hsic
) -> torch.Tensor:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of all pairs on the samples outside each block.

    Equal to scoring the remaining rows directly, where the kernel of two samples does not depend on the others.

    Args:
        xs: prepared layers of one side.
        ys: prepared layers of the other side.
        blocks: sample indices of each block, int64; no index twice in one block, at least 4 samples outside it.
        hsic: the estimator.

    Returns:
        Shape (len(blocks), len(xs), len(ys)), float64 on the CPU.

    Raises:
        FeatureError: fewer than 4 samples are left, or the rest of a layer has no structure.

    Cost: for blocks that cover all samples once 2 n^2 operations per pair, twice those of `score_all`, and a dozen
    passes over each layer's matrix (some 12 ms per layer at n = 1,024 on one core); from features (more than
    `centred.GRAM_ROWS` samples) one `score_all` per block.
    """
    n = centred.same_n(xs, ys)
    for block in blocks:
        if n - len(block) < 4:
            raise FeatureError(f"a block of {len(block)} of {n} samples leaves fewer than 4. Use more blocks.")
    if xs[0].upper is None:
        return torch.stack([_rescored(xs, ys, block, hsic) for block in blocks])
    pairs_only = hsic == "unbiased"
    whole = centred.products(xs, ys, pairs_only=pairs_only)
    own_x, own_y = (
        torch.tensor([s.pair_norm**2 if pairs_only else s.norm**2 for s in side], dtype=torch.float64)
        for side in (xs, ys)
    )
    scores = []
    for block in blocks:
        cut = _cut(xs, ys, block, n, hsic)
        m = n - len(block)
        product = _recentre(
            whole - cut.product, cut.rows_x @ cut.rows_y.T, torch.outer(cut.total_x, cut.total_y), m, hsic
        )
        norm_x = _recentre(own_x - cut.own_x, cut.rows_x.square().sum(1), cut.total_x.square(), m, hsic)
        norm_y = _recentre(own_y - cut.own_y, cut.rows_y.square().sum(1), cut.total_y.square(), m, hsic)
        for norm in (norm_x, norm_y):
            if not (norm > 1e-10).all():  # of a matrix of norm 1
                raise FeatureError(
                    "a layer has no structure left without one of the blocks. Use more blocks, or leave this layer out."
                )
        scores.append(product / torch.outer(norm_x.sqrt(), norm_y.sqrt()))
    return torch.stack(scores)


class _Cut(NamedTuple):
    """Contribution of a block: products of pairs that touch it, row sums of the kept samples, and their total."""

    product: torch.Tensor  # (Lx, Ly)
    own_x: torch.Tensor  # (Lx,)
    own_y: torch.Tensor
    rows_x: torch.Tensor  # (Lx, n), 0 at the block's samples
    rows_y: torch.Tensor
    total_x: torch.Tensor  # (Lx,)
    total_y: torch.Tensor


def _cut(xs: Sequence[Centred], ys: Sequence[Centred], block: torch.Tensor, n: int, hsic: Hsic) -> _Cut:
    device = centred.held(xs[0].upper).device
    block = block.to(device)
    # The block's rows hold (i, j) but not (j, i) of a pair that reaches out of it, and both of a pair within it.
    weight = torch.full((n,), 2.0, device=device).index_fill_(0, block, 1.0)
    product = torch.zeros(len(xs), len(ys), dtype=torch.float64, device=device)
    own = [torch.zeros(len(side), dtype=torch.float64, device=device) for side in (xs, ys)]
    sums = [torch.zeros(len(side), n, dtype=torch.float64, device=device) for side in (xs, ys)]
    for rows in block.split(max(1, _TILE // n)):
        left, right = (torch.stack(list(_rows(side, rows, n, hsic))) for side in (xs, ys))
        for tile, total in zip((left, right), sums, strict=True):
            total += tile.sum(1)
        weighted = left * weight
        product += weighted.flatten(1) @ right.flatten(1).T
        own[0] += (weighted.mul_(left)).sum((1, 2), dtype=torch.float64)
        own[1] += (right.square_().mul_(weight)).sum((1, 2), dtype=torch.float64)
    totals = [s[:, block].sum(1) for s in sums]  # the kept pairs' total is the block's own, all rows summing to 0
    kept = [s.neg().index_fill_(1, block, 0.0) for s in sums]
    return _Cut(*(part.cpu() for part in (product, *own, *kept, *totals)))


def _rows(layers: Sequence[Centred], rows: torch.Tensor, n: int, hsic: Hsic) -> Iterator[torch.Tensor]:
    """Rows of each layer's matrix, (r, n) float32: U, or HKH from its three parts."""
    columns = torch.arange(n, device=rows.device)
    low, high = torch.minimum(rows[:, None], columns), torch.maximum(rows[:, None], columns)
    itself = low == high
    position = (low * (2 * n - low - 1) // 2 + high - low - 1).masked_fill_(itself, 0).view(-1)
    for s in layers:
        matrix = centred.held(s.upper).index_select(0, position).view(-1, n).masked_fill_(itself, 0)
        matrix *= s.pair_norm / (2**0.5 * s.length)
        if hsic == "biased":
            off = (s.diagonal[rows, None] + s.diagonal) / (n - 2) + s.trace / (n * (n - 1))
            diagonal = (s.diagonal[rows, None] + s.trace / n).expand(-1, n)
            matrix = torch.where(itself, diagonal, matrix - off).float()
        yield matrix


def _recentre(product: torch.Tensor, rows: torch.Tensor, totals: torch.Tensor, m: int, hsic: Hsic) -> torch.Tensor:
    """Centred product of m samples from the sum of products, the product of row sums and the product of totals."""
    if hsic == "biased":
        return product - 2 * rows / m + totals / m**2
    return product - 2 * rows / (m - 2) + totals / ((m - 1) * (m - 2))


def _rescored(xs: Sequence[Centred], ys: Sequence[Centred], block: torch.Tensor, hsic: Hsic) -> torch.Tensor:
    keep = torch.ones(xs[0].n, dtype=torch.bool).index_fill_(0, block.cpu(), False)

    def rest(layers: Sequence[Centred]) -> list[Centred]:
        features = [centred.held(s.features) for s in layers]
        kept = [z[keep.to(z.device)] for z in features]
        return [centred.centre_features(z - z.mean(0, dtype=torch.float64).float()) for z in kept]

    return centred.scores(rest(xs), rest(ys), hsic)
