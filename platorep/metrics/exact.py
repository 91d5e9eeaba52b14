"""Sums of products whose result does not depend on the order of summation: a score has the same bytes in any company.

How a matrix product adds up depends on its shape: the score of one pair of layers would differ in its last digits with
the other pairs that are scored in the same call, with the shard, and after a restart. Two remedies are used here.

Vectors of norm 1 are rounded to multiples of 2^-26. Their products are multiples of 2^-52, and all partial sums are
below |x| |y| = 1, so that float64 holds every one of them exactly. The rounding moves an inner product by about 4e-9
(each entry by at most 2^-27, independently), less than float32 does in making the vectors.

What cannot be scaled so is added up by halves (`tree_sum`), element by element, which is the same for every pair.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


GRID = 2.0**-26
"""Entries of vectors of norm 1 are multiples of this."""

TILES = {"cpu": 1 << 13, "cuda": 1 << 20}
"""Entries of a vector that are multiplied at a time, by device (others as a CPU, where they stay in the cache)."""


def on_grid(vector: torch.Tensor, grid: float = GRID) -> torch.Tensor:
    """Entries rounded to multiples of the grid, a power of two; in their own dtype, floating."""
    return (vector * (1 / grid)).round_().mul_(grid)


def products(xs: Sequence[torch.Tensor], ys: Sequence[torch.Tensor]) -> torch.Tensor:
    """Inner products of all pairs of equally long vectors of norm at most 1 on the grid, exactly.

    Returns:
        Shape (len(xs), len(ys)), float64 on the CPU.

    Cost: 2 n operations in float64 for a pair of vectors of n entries.
    """
    out = torch.zeros(len(xs), len(ys), dtype=torch.float64, device=xs[0].device)
    step = TILES.get(xs[0].device.type, TILES["cpu"])
    for start in range(0, len(xs[0]), step):
        tile = slice(start, start + step)
        left, right = (torch.stack([vector[tile] for vector in side]).double() for side in (xs, ys))
        out += left @ right.T
    return out.cpu()


def squared_norm(vector: torch.Tensor) -> float:
    """The squared norm of a vector on the grid of norm about 1, exactly."""
    return sum(torch.dot(tile, tile).item() for tile in (part.double() for part in vector.split(1 << 16)))


def split_products(xs: Sequence[torch.Tensor], ys: Sequence[torch.Tensor]) -> torch.Tensor:
    """Inner products of all pairs of float32 vectors of any size, to about 40 bits, the same in any company.

    Each vector is divided by a power of two above its norm and split in multiples of 2^-26 and of 2^-41; the three
    larger products of these parts are exact.

    Returns:
        Shape (len(xs), len(ys)), float64 on the CPU.
    """
    parts = [[_split(vector) for vector in side] for side in (xs, ys)]
    (a, a_rest, a_size), (b, b_rest, b_size) = (zip(*side, strict=True) for side in parts)
    whole = products(a, b) + (products(a, b_rest) + products(a_rest, b))
    return whole * torch.outer(*(torch.tensor(size, dtype=torch.float64) for size in (a_size, b_size)))


def _split(vector: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    vector = vector.double()
    norm = torch.linalg.vector_norm(vector).item()
    size = 2.0 ** torch.tensor(norm, dtype=torch.float64).log2().ceil().item() if norm else 1.0
    scaled = vector / size
    leading = on_grid(scaled)
    return leading, on_grid(scaled - leading, 2.0**-41), size


def tree_sum(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Sum over one dimension by halves: the same for each entry whatever the other dimensions are."""
    values = values.movedim(dim, 0)
    while len(values) > 1:
        half = len(values) // 2
        folded = values[:half] + values[half : 2 * half]
        values = torch.cat([folded, values[2 * half :]]) if len(values) % 2 else folded
    return values[0]
