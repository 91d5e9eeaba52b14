"""Information imbalance: do neighbours in one representation have low ranks in the other?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics.base import Geometry, Invariance, NeighbourhoodMetric, NullMoments
from platorep.metrics.centred import same_n
from platorep.metrics.moments import PairSums, graph_sums, matrix_sums, permutation_moments, stack_sums
from platorep.metrics.relabelling import Relabelling


class Ranks(NamedTuple):
    """A prepared layer: the rank of every sample among the neighbours of every other."""

    ranks: torch.Tensor  # (n, n) int16 or int32: 1 for the nearest, n - 1 for the farthest, 0 on the diagonal
    nearest: torch.Tensor  # (n, k) int64, the neighbours of ranks 1 to k
    graph: PairSums  # of the neighbours' graph, for the null moments
    weights: PairSums  # of the matrix of ranks
    tied: float  # share of samples whose k-th neighbour is exactly as near as the next

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.ranks)

    def relabelled(self, order: Relabelling) -> Ranks:
        """The ranks of the relabelled samples."""
        moved = order.rows(order.rows(self.ranks).T).T
        return self._replace(ranks=moved, nearest=order.names(order.rows(self.nearest)))


@dataclass(frozen=True, kw_only=True)
class InformationImbalance(NeighbourhoodMetric):
    """How far the neighbours in one layer are the near ones in the other, by rank: an imbalance turned into a score.

    The information imbalance from x to y is (Glielmo et al. 2022, Eq. 1, there with k = 1)

        Delta(x -> y) = 2 / (n^2 k) sum_i sum_{j: r_x(i, j) <= k} r_y(i, j),

    r(i, j) the rank of j by its distance from i: the nearest other sample has rank 1. Its mean over relabellings is 1
    exactly, and (k + 1) / n is the least that it can be. The score is (1 - Delta) / (1 - (k + 1) / n), which tends to
    1 - Delta with n: 1 if y keeps the neighbours of x, 0 in the mean under chance, -1 at the least; `imbalance` turns
    it back. direction=xy is from x to y (x predicts y), yx from y to x; the two differ where one side holds more than
    the other.

    State per layer: 2 n^2 bytes (4 n^2 of more than 32,767 samples). Cost: a sort of n^2 distances per layer, n k
    look-ups per pair.

    Source: Glielmo, Zeni, Cheng, Csányi and Laio 2022, PNAS Nexus 1 (2), pgac039, doi:10.1093/pnasnexus/pgac039. The
    mean over k > 1 neighbours is that of DADApy (Glielmo et al. 2022, arXiv:2205.03373).

    Raises:
        SpecError: an unknown direction.
        FeatureError: k is not below n - 1, so that every neighbourhood holds all samples.
    """

    name: ClassVar[str] = "information_imbalance"
    title: ClassVar[str] = "information balance"
    symmetric: ClassVar[bool] = False
    samplewise: ClassVar[bool] = True
    k: int = 1
    direction: Literal["xy", "yx"] = "xy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.direction not in ("xy", "yx"):
            raise SpecError(f"information_imbalance: direction is {self.direction!r}; expected 'xy' or 'yx'.")

    @property
    def bounds(self) -> tuple[float, float]:
        return -1.0, 1.0

    @property
    def invariances(self) -> frozenset[Invariance]:
        return frozenset({"orthogonal", "scaling", "sample_scaling" if self.similarity == "cosine" else "translation"})

    def check(self, n: int) -> None:
        super().check(n)
        if self.k > n - 2:
            raise FeatureError(f"information_imbalance: k = {self.k} of {n} samples; expected at most n - 2 = {n - 2}.")

    def state_bytes(self, n: int, d: int) -> int:
        return n * n * torch.empty(0, dtype=_rank_type(n)).element_size()

    def prepare(self, layer: Geometry) -> Ranks:
        self.check(layer.n)
        order = layer.neighbours(layer.n - 1, self.ties)
        layer.require_variation()
        n = layer.n
        places = torch.arange(1, n, device=order.device, dtype=_rank_type(n)).expand(n, -1)
        ranks = torch.zeros(n, n, dtype=_rank_type(n), device=order.device).scatter_(1, order, places)
        nearest = order[:, : self.k].clone()
        return Ranks(ranks, nearest, graph_sums(nearest), _rank_sums(ranks), layer.tied(self.k, self.ties))

    def tied(self, state: Ranks) -> float:
        return state.tied

    def score_all(self, xs: Sequence[Ranks], ys: Sequence[Ranks]) -> torch.Tensor:
        n = same_n(xs, ys)
        totals = [[int(self._ranks_of(x, y).sum()) for y in ys] for x in xs]
        return self._scores(torch.tensor(totals, dtype=torch.float64) / (n * self.k), n)

    def per_sample(self, x: Ranks, y: Ranks) -> torch.Tensor:
        """What each sample contributes, shape (n,), float64 on the CPU; the score is its mean."""
        return self._scores(self._ranks_of(x, y).to("cpu", torch.float64).mean(dim=1), same_n([x], [y]))

    def null(self, xs: Sequence[Ranks], ys: Sequence[Ranks]) -> NullMoments:
        """Exact: mean 0; the variance is that of a sum over the graph of one side of the ranks of the other."""
        n = same_n(xs, ys)
        graphs, weights = (xs, ys) if self.direction == "xy" else (ys, xs)
        sums = stack_sums([state.graph for state in graphs]), stack_sums([state.weights for state in weights])
        variance = permutation_moments(*sums, n)[1]
        sd = variance.sqrt() * 2 / (n * self.k) / (n - self.k - 1)
        sd = sd if self.direction == "xy" else sd.T.contiguous()
        return NullMoments(torch.zeros_like(sd), sd)

    def leave_block_out(self, xs: Sequence[Ranks], ys: Sequence[Ranks], blocks: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scores of all pairs without each block of samples, shape (len(blocks), len(xs), len(ys)).

        Equal to scoring the remaining rows directly. Cost: n^2 operations for each block and pair.

        Raises:
            FeatureError: too few samples are left for k.
        """
        n = same_n(xs, ys)
        out = torch.empty(len(blocks), len(xs), len(ys), dtype=torch.float64)
        for number, block in enumerate(blocks):
            self.check(n - len(block))
            keep = torch.ones(n, dtype=torch.bool).index_fill_(0, block.cpu(), False).nonzero().flatten()
            for i, x in enumerate(xs):
                for j, y in enumerate(ys):
                    start, end = (x, y) if self.direction == "xy" else (y, x)
                    rows = keep.to(start.ranks.device)
                    out[number, i, j] = self._scores(_mean_rank(start.ranks, end.ranks, rows, self.k), len(keep))
        return out

    def imbalance(self, score: torch.Tensor | float, n: int) -> torch.Tensor | float:
        """The information imbalance Delta of a score of n samples, in (0, 2)."""
        return 1 - score * (1 - (self.k + 1) / n)

    def _ranks_of(self, x: Ranks, y: Ranks) -> torch.Tensor:
        start, end = (x, y) if self.direction == "xy" else (y, x)
        return end.ranks.gather(1, start.nearest).to(torch.int64)

    def _scores(self, mean_rank: torch.Tensor, n: int) -> torch.Tensor:
        """Of mean ranks: n / 2 under chance, (k + 1) / 2 at the least."""
        return (n - 2 * mean_rank) / (n - self.k - 1)


def _rank_type(n: int) -> torch.dtype:
    return torch.int16 if n <= torch.iinfo(torch.int16).max else torch.int32


def _rank_sums(ranks: torch.Tensor) -> PairSums:
    return PairSums(*(value.cpu() for value in matrix_sums(ranks)))


def _mean_rank(start: torch.Tensor, end: torch.Tensor, keep: torch.Tensor, k: int) -> torch.Tensor:
    """Mean rank in `end`, among the kept samples, of the k nearest kept samples in `start`."""
    total = 0
    for rows in _chunks(keep):
        ranks = start[rows][:, keep].to(torch.int32)
        ranks[ranks == 0] = torch.iinfo(torch.int32).max
        nearest = ranks.topk(k, dim=1, largest=False).indices
        others = end[rows][:, keep]
        for column in nearest.T:
            total += int((others <= others.gather(1, column[:, None])).sum()) - len(rows)  # less the sample itself
    return torch.tensor(total / (len(keep) * k), dtype=torch.float64)


def _chunks(keep: torch.Tensor) -> Iterator[torch.Tensor]:
    yield from keep.split(max(1, (1 << 22) // len(keep)))
