"""Correlations of all units of two models, in tiles of bounded size; only each unit's strongest partners are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from platorep.core.errors import SpecError
from platorep.units.reading import Units


GRID = 2.0**40
"""Correlations are rounded to multiples of 1 / GRID, about 1e-12, so that equal ones tie in tiles of any size."""

PART = 1 << 20
"""Largest number of values of a block that are standardised at a time."""

OVERHEAD = 10**8
"""Bytes of the budget that are reserved for rows being processed and for memory that the allocator keeps."""


class Arrangement(NamedTuple):
    """Which samples are paired: row x[i] of one model with row y[i] of the other. None means all rows in order."""

    x: torch.Tensor | None = None
    y: torch.Tensor | None = None


class Partners(NamedTuple):
    """The strongest partners of every unit of one side, the strongest first.

    Attributes:
        score: correlations, shape (units, keep), float64; -inf where the other side has fewer units.
        unit: indices of the partners, shape (units, keep), int64. Ties go to the lower index.
    """

    score: np.ndarray
    unit: np.ndarray


class Strongest(NamedTuple):
    """The strongest partners of both sides under one arrangement."""

    x: Partners
    y: Partners


def strongest(
    x: Units,
    y: Units,
    arrangements: Sequence[Arrangement] = (Arrangement(),),
    *,
    keep: int = 1,
    memory: int = 1 << 30,
    device: str | torch.device = "cpu",
    progress: Callable[[], object] | None = None,
) -> list[Strongest]:
    """The `keep` highest Pearson correlations of each unit, among all pairs of a unit of x and a unit of y.

    Correlations are signed, computed in float64 from standardised columns, and rounded to about 1e-12. The result does
    not depend on the size of the tiles.

    Args:
        x: units of one model.
        y: units of another model on the same samples.
        arrangements: which samples are paired; one result for each. Rows may be permuted or left out.
        keep: partners kept for each unit.
        memory: bytes for the blocks of both sides and a tile.
        device: device of the products; must support float64.
        progress: called after every tile and arrangement.

    Returns:
        One result per arrangement.

    Raises:
        SpecError: the budget is too small for one unit of each side.

    Cost: n d_x d_y multiplications per arrangement. Units of x are read once, and units of y once per block of x.
    Memory: `memory`, and 16 (d_x + d_y) `keep` bytes per arrangement.
    """
    width = tile_width(x.n, memory)
    tops = [(_Top(x.count, keep), _Top(y.count, keep)) for _ in arrangements]
    for left in blocks(x.count, width):
        a = _Block(x.load(*left).to(device))
        for above in blocks(y.count, width):
            b = _Block(y.load(*above).to(device))
            for arrangement, (down, across) in zip(arrangements, tops, strict=True):
                tile = _product(a.taken(arrangement.x), b.taken(arrangement.y))
                down.update(tile, left[0], above[0])
                across.update(tile.T, above[0], left[0])
                if progress is not None:
                    progress()
    return [Strongest(down.partners(), across.partners()) for down, across in tops]


def tile_width(n: int, memory: int) -> int:
    """Number of units per block for which two blocks, two rearranged copies and a tile with two copies fit in memory.

    Raises:
        SpecError: the memory is too small for one unit.
    """
    free = memory - min(OVERHEAD, memory // 2)
    width = int((((16 * n) ** 2 + 96 * free) ** 0.5 - 16 * n) / 48)  # 16 n w + 24 w^2 = free
    if width < 1:
        raise SpecError(
            f"{memory / 1e6:.0f} MB cannot hold one unit of each model over {n:,} samples, which take "
            f"{32 * n / 1e6:.0f} MB. Raise compute.memory."
        )
    return width


def tiles(x: int, y: int, n: int, memory: int) -> int:
    """Number of tiles for x times y units."""
    width = tile_width(n, memory)
    return -(-x // width) * -(-y // width)


def blocks(count: int, width: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `width` units, nearly equal in size."""
    edges = np.linspace(0, count, -(-count // width) + 1).astype(int).tolist()
    yield from itertools.pairwise(edges)


class _Block:
    """A block of units over all samples, with the values that standardise them."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values
        self.step = max(1, min(len(values), PART // max(1, values.shape[1])))
        total = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
        for part in values.split(self.step):
            total += part.sum(dim=0, dtype=torch.float64)
        self.mean = total / len(values)
        squares = torch.zeros_like(total)
        for part in values.split(self.step):
            squares += part.double().sub_(self.mean).square_().sum(dim=0)
        self.scale = torch.where(squares > 0, squares.rsqrt(), 0.0)

    def taken(self, rows: torch.Tensor | None) -> _Block:
        """The block with the given rows, standardised over these."""
        return self if rows is None else _Block(self.values[rows.to(self.values.device)])

    def parts(self, step: int) -> Iterator[torch.Tensor]:
        """Yields standardised rows in float64, `step` at a time."""
        for part in self.values.split(step):
            yield part.double().sub_(self.mean).mul_(self.scale)


def _product(a: _Block, b: _Block) -> torch.Tensor:
    """Correlations of two blocks, rounded to the grid, shape (units of a, units of b) float64."""
    out = torch.zeros(a.values.shape[1], b.values.shape[1], dtype=torch.float64, device=a.values.device)
    step = min(a.step, b.step)
    for left, right in zip(a.parts(step), b.parts(step), strict=True):
        out.addmm_(left.T, right)
    return out.mul_(GRID).round_().div_(GRID)


@dataclass
class _Top:
    """The strongest partners found so far for every unit of one side."""

    units: int
    keep: int

    def __post_init__(self) -> None:
        self.score = torch.full((self.units, self.keep), -torch.inf, dtype=torch.float64)
        self.unit = torch.full((self.units, self.keep), -1, dtype=torch.int64)

    def update(self, tile: torch.Tensor, first: int, offset: int) -> None:
        """Adds a tile whose rows are units from `first` on and whose columns are partners from `offset` on."""
        scores, places = _highest(tile, self.keep)
        rows = slice(first, first + len(tile))
        # partners come in ascending order, and a stable sort keeps the earlier one of two equal ones
        score = torch.cat([self.score[rows], scores.cpu()], dim=1)
        unit = torch.cat([self.unit[rows], places.cpu() + offset], dim=1)
        order = score.sort(dim=1, descending=True, stable=True).indices[:, : self.keep]
        self.score[rows], self.unit[rows] = score.gather(1, order), unit.gather(1, order)

    def partners(self) -> Partners:
        """The strongest partners of all units."""
        return Partners(self.score.numpy(), self.unit.numpy())


def _highest(tile: torch.Tensor, keep: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The highest values of every row in descending order, and their first indices, shape (rows, at most keep)."""
    keep = min(keep, tile.shape[1])
    rest = tile if keep == 1 else tile.clone()
    scores, places = [], []
    for rank in range(keep):
        score, place = rest.max(dim=1)  # of equal values the first
        scores.append(score)
        places.append(place)
        if rank + 1 < keep:
            rest.scatter_(1, place[:, None], -torch.inf)
    return torch.stack(scores, dim=1), torch.stack(places, dim=1)
