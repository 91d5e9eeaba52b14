"""Metrics on nearest neighbours: do two representations put the same samples next to each other?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch

from platorep.core.errors import SpecError
from platorep.metrics.base import Geometry, Invariance, NeighbourhoodMetric, NullMoments
from platorep.metrics.knn import check_k
from platorep.metrics.moments import PairSums, graph_sums, permutation_moments, stack_sums
from platorep.metrics.overlaps import hits, shared_neighbours
from platorep.metrics.relabelling import Relabelling
from platorep.metrics.sequences import common_subsequence, edit_distance


class Neighbours(NamedTuple):
    """A prepared layer: its neighbour graph."""

    indices: torch.Tensor  # (n, k) int32, nearest first
    sums: PairSums  # of the graph, for the null moments
    next: torch.Tensor  # (n,) int32, the nearest sample that is no neighbour; -1 where all are
    tied: float  # share of samples whose k-th neighbour is exactly as near as the next

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.indices)

    def relabelled(self, order: Relabelling) -> Neighbours:
        """The graph of the relabelled samples."""
        return self._replace(indices=order.names(order.rows(self.indices)), next=order.names(order.rows(self.next)))


@dataclass(frozen=True, kw_only=True)
class NeighbourMetric(NeighbourhoodMetric):
    """A metric that uses only the k nearest other samples of each sample.

    Under cosine the scores do not depend on the lengths of samples; under euclidean, two layers that have only these
    lengths in common score far above chance. Distances do not depend on an offset or a scale (see `Geometry`).
    """

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[Invariance]:
        return frozenset({"orthogonal", "scaling", "sample_scaling" if self.similarity == "cosine" else "translation"})

    def state_bytes(self, n: int, d: int) -> int:
        return 4 * n * (self.k + 1)

    def prepare(self, layer: Geometry) -> Neighbours:
        self.check(layer.n)
        wide = min(self.k + 1, layer.n - 1)
        nearest = layer.neighbours(wide, self.ties)
        layer.require_variation()
        after = nearest[:, self.k] if wide > self.k else nearest.new_full((layer.n,), -1)
        graph = nearest[:, : self.k]
        return Neighbours(
            graph.to(torch.int32), graph_sums(graph), after.to(torch.int32), layer.tied(self.k, self.ties)
        )

    def tied(self, state: Neighbours) -> float:
        return state.tied

    def score_all(self, xs: Sequence[Neighbours], ys: Sequence[Neighbours]) -> torch.Tensor:
        return torch.stack([self._against(x.indices, [y.indices for y in ys]) for x in xs])

    def _against(self, x: torch.Tensor, ys: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scores of one layer against many, shape (len(ys),), float64 on the CPU: the mean of `per_sample`."""
        return torch.stack([values.to(torch.float64).mean().cpu() for values in self._samples(x, ys)])

    @abstractmethod
    def _samples(self, x: torch.Tensor, ys: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """The score of every sample, for each y, shape (n,)."""

    samplewise: ClassVar[bool] = True

    def per_sample(self, x: Neighbours, y: Neighbours) -> torch.Tensor:
        """What each sample contributes, shape (n,), float64 on the CPU; the score is its mean."""
        return next(iter(self._samples(x.indices, [y.indices]))).to("cpu", torch.float64)


@dataclass(frozen=True, kw_only=True)
class MutualKNN(NeighbourMetric):
    """Mean share of a sample's k nearest neighbours that both representations agree on.

    m = 1/(n k) sum_i |S_x(i) ∩ S_y(i)|, S(i) the k nearest others of sample i. Range [0, 1], symmetric; its mean under
    chance is k/(n-1) whatever the graphs, and its corrected score is R_NX(k) of dimensionality reduction (Lee and
    Verleysen), of which this score is Q_NX(k).

    Cost: n^2 d per layer; one addition per shared neighbour of a pair.

    Source: PRH (arXiv:2405.07987) Eq. 9-11. The paper's Figure 11 speaks of intersection over union; its Eq. 11 and
    code divide by k, as here. For intersection over union see `jaccard_knn`.
    """

    name: ClassVar[str] = "mutual_knn"
    title: ClassVar[str] = "mutual k-NN"
    counts_overlap: ClassVar[bool] = True

    def score_all(self, xs: Sequence[Neighbours], ys: Sequence[Neighbours]) -> torch.Tensor:
        n = len(xs[0].indices)
        return shared_neighbours([x.indices for x in xs], [y.indices for y in ys]).to(torch.float64) / (n * self.k)

    def _samples(self, x: torch.Tensor, ys: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return [hit.sum(dim=1, dtype=torch.float64) / self.k for hit in hits(x, ys)]

    def null(self, xs: Sequence[Neighbours], ys: Sequence[Neighbours]) -> NullMoments:
        """Exact: hubs widen the null, so it depends on the graphs; its mean does not."""
        n = len(xs[0].indices)
        mean, variance = permutation_moments(stack_sums([x.sums for x in xs]), stack_sums([y.sums for y in ys]), n)
        return NullMoments(mean / (n * self.k), variance.sqrt() / (n * self.k))


@dataclass(frozen=True, kw_only=True)
class JaccardKNN(NeighbourMetric):
    """Mean intersection over union of the neighbour sets: 1/n sum_i |S_x(i) ∩ S_y(i)| / |S_x(i) ∪ S_y(i)|.

    Range [0, 1], symmetric. Never above `mutual_knn`. Cost: n k look-ups per pair.

    Source: Jaccard similarity of neighbourhoods, as in Klabunde et al. 2023 (arXiv:2305.06329), section 3.3.
    """

    name: ClassVar[str] = "jaccard_knn"
    title: ClassVar[str] = "Jaccard k-NN"

    def _samples(self, x: torch.Tensor, ys: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        shared = (hit.sum(dim=1, dtype=torch.float64) for hit in hits(x, ys))
        return [count / (2 * self.k - count) for count in shared]


@dataclass(frozen=True, kw_only=True)
class CycleKNN(NeighbourMetric):
    """Share of samples i that are, on one side, a neighbour of one of i's neighbours on the other side.

    direction=xy: 1/n sum_i [ i in S_x(j) for some j in S_y(i) ], from y's neighbours back through x's. direction=yx:
    the same with the sides exchanged. The two differ, and are reported apart. Range [0, 1], not symmetric. Cost: n k
    look-ups per pair.

    Source: PRH (arXiv:2405.07987) Figure 11; xy is its code's cycle_knn(x, y), called there with vision as x.
    """

    name: ClassVar[str] = "cycle_knn"
    title: ClassVar[str] = "cycle k-NN"
    symmetric: ClassVar[bool] = False
    direction: Literal["xy", "yx"] = "xy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.direction not in ("xy", "yx"):
            raise SpecError(f"cycle_knn: direction is {self.direction!r}; expected 'xy' or 'yx'.")

    def score_all(self, xs: Sequence[Neighbours], ys: Sequence[Neighbours]) -> torch.Tensor:
        if self.direction == "xy":
            return super().score_all(xs, ys)
        return super().score_all(ys, xs).T.contiguous()

    def per_sample(self, x: Neighbours, y: Neighbours) -> torch.Tensor:
        return super().per_sample(x, y) if self.direction == "xy" else super().per_sample(y, x)

    def _samples(self, x: torch.Tensor, ys: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return [hit.any(dim=1) for hit in hits(x, ys, reverse=True)]


@dataclass(frozen=True, kw_only=True)
class _Ordered(NeighbourMetric):
    normalised: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.normalised, bool):
            raise SpecError(f"{self.name}: normalised is {self.normalised!r}; expected true or false.")


@dataclass(frozen=True, kw_only=True)
class LcsKNN(_Ordered):
    """Mean length of the longest common subsequence of the two ordered neighbour lists, divided by k.

    normalised=False leaves out the division, as the PRH's released code does (range [0, k]); its text divides. Range
    [0, 1], symmetric, never above `mutual_knn`. Cost: n k^2 per pair.

    Source: PRH (arXiv:2405.07987) Figure 11.
    """

    name: ClassVar[str] = "lcs_knn"
    title: ClassVar[str] = "LCS k-NN"

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, 1.0 if self.normalised else float(self.k)

    def _samples(self, x: torch.Tensor, ys: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        lengths = common_subsequence(x, torch.stack(list(ys))).to(torch.float64)
        return list(lengths / self.k if self.normalised else lengths)


@dataclass(frozen=True, kw_only=True)
class EditDistanceKNN(_Ordered):
    """1 minus the mean Levenshtein distance of the two ordered neighbour lists, divided by k.

    normalised=False: minus the mean distance itself, so that larger is still more alike (range [-k, 0]). Range [0, 1],
    symmetric. Cost: n k^2 per pair.

    Source: PRH (arXiv:2405.07987) Figure 11; the released code's value is the normalised one.
    """

    name: ClassVar[str] = "edit_distance_knn"
    title: ClassVar[str] = "edit k-NN"

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.normalised else (-float(self.k), 0.0)

    def _samples(self, x: torch.Tensor, ys: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        distances = edit_distance(x, torch.stack(list(ys))).to(torch.float64)
        return list(1 - distances / self.k if self.normalised else -distances)


@dataclass(frozen=True, kw_only=True)
class RnxArea(NeighbourMetric):
    """Agreement of neighbourhoods of every size up to k, small ones weighing most: a score without a choice of k.

    Q(K) is `mutual_knn` at K, R(K) = ((n-1) Q(K) - K) / (n-1-K) its excess over chance as a share of the greatest
    possible, and the score is sum_K R(K)/K / sum_K 1/K over K = 1..min(k, n-2). 0 in the mean under chance, 1 for equal
    rankings; below 0 is possible. Symmetric. Cost: n k look-ups per pair.

    Source: Lee, Peluffo-Ordóñez, Verleysen 2015, Neurocomputing 169 (AUC of R_NX over ln K).
    """

    name: ClassVar[str] = "rnx_area"
    title: ClassVar[str] = "R_NX area"
    k: int = 100

    @property
    def bounds(self) -> tuple[float, float]:
        return -torch.inf, 1.0

    def _samples(self, x: torch.Tensor, ys: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        n = len(x)
        sizes = torch.arange(1, min(self.k, n - 2) + 1, dtype=torch.float64, device=x.device)
        areas = []
        for shared in neighbourhood_overlaps(x, ys):
            q = shared[:, : len(sizes)] / sizes
            r = ((n - 1) * q - sizes) / (n - 1 - sizes)
            areas.append((r / sizes).sum(dim=1) / (1 / sizes).sum())
        return areas

    def check(self, n: int) -> None:
        super().check(n)
        check_k(1, n - 1)


def neighbourhood_overlaps(x: torch.Tensor, ys: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Shared neighbours of every sample among the first 1, 2, ..., k of each list, shape (n, k) float64 for each y.

    A shared neighbour counts from the later of its two ranks on. `mutual_knn` at K is the mean of column K-1 over K:
    all k from one graph.
    """
    n, k = x.shape
    index, rank = torch.arange(n, device=x.device)[:, None], torch.arange(k, device=x.device)
    ranks = torch.full((n, n), k, dtype=torch.int64, device=x.device)
    ranks[index, x.long()] = rank.expand(n, k)
    overlaps = []
    for y in ys:
        later = torch.maximum(ranks[index, y.long()], rank)
        counts = torch.zeros(n, k + 1, dtype=torch.float64, device=x.device)
        counts.scatter_add_(1, later, torch.ones_like(later, dtype=torch.float64))
        overlaps.append(counts[:, :k].cumsum(dim=1))
    return overlaps
