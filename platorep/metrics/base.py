"""The interface of metrics, and of the layers that they prepare.

A metric compares two representations of the same n samples. It prepares each layer once and scores all pairs of
prepared layers at once; `align` calls `prepare` L times and `score_all` once for a pair of models, never the reverse.
Several metrics share one `Geometry` of a layer, so that the similarity matrix and the neighbours are computed once.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics.geometry import Geometry
from platorep.metrics.knn import Similarity, check_k
from platorep.metrics.relabelling import Relabelling
from platorep.metrics.ties import TieRule, check_rule


__all__ = ["Geometry", "Invariance", "Metric", "NeighbourhoodMetric", "NullMoments", "Prepared", "Similarity"]

Invariance = Literal["orthogonal", "scaling", "translation", "invertible_linear", "sample_scaling"]
"""What may be done to one side without changing the score: rotation of the features, one positive factor for all,
one vector added to all, any invertible linear map, or a positive factor for each sample."""


class NullMoments(NamedTuple):
    """Exact mean and standard deviation of a score when one side's samples are relabelled uniformly at random."""

    mean: torch.Tensor  # (Lx, Ly) float64
    sd: torch.Tensor  # (Lx, Ly) float64
    skewness: torch.Tensor | None = None  # (Lx, Ly) float64, to first order in 1/n; None: the null is close to normal


class Prepared(Protocol):
    """A prepared layer, the result of `Metric.prepare`."""

    @property
    def n(self) -> int:
        """Number of samples."""

    def relabelled(self, order: Relabelling) -> Self:
        """The prepared layer of the relabelled samples, without preparing them again."""


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A similarity of representations: larger is more alike. Parameters are the dataclass's fields.

    The rest of the program knows only what a metric declares: its name and title, its bounds and invariances, whether
    it uses neighbours (`neighbourhood`), whether its prepared layers can be relabelled, and which of the optional
    methods (`null`, `per_sample`, `leave_block_out`) it has. Property tests read the declarations: they test each
    declared invariance, and have a counter-example for each undeclared one.

    Attributes:
        name: its name on the command line.
        title: its name in figures.
        symmetric: whether exchanging the sides leaves the score unchanged.
        relabels: whether prepared layers have `relabelled`; without it there is no permutation null.
        counts_overlap: whether the score is the mean share of common neighbours, of prepared layers that are
            `neighbours.Neighbours`: for it there are a fast null of the maximum and a linearised interval.
        code: hash of the code of a metric of the user's own, which is part of its id; empty for those of platorep.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    symmetric: ClassVar[bool] = True
    relabels: ClassVar[bool] = True
    counts_overlap: ClassVar[bool] = False
    code: ClassVar[str] = ""
    similarity: Similarity = "cosine"

    @property
    def id(self) -> str:
        """Name with every parameter: mutual_knn(k=10,similarity=cosine). The rule for ties is named unless random."""
        fields = sorted(dataclasses.fields(self), key=lambda field: field.name)
        words = [(field.name, getattr(self, field.name)) for field in fields]
        words = [*([("code", self.code)] if self.code else []), *words]
        words = [(name, value) for name, value in words if name != "ties" or value != "random"]  # stored ids have none
        return f"{self.name}({','.join(f'{name}={_word(value)}' for name, value in words)})"

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that the score can take; infinite where it is unbounded."""

    @property
    @abstractmethod
    def invariances(self) -> frozenset[Invariance]:
        """What leaves the score unchanged up to rounding."""

    @property
    def neighbourhood(self) -> int | None:
        """Number of nearest neighbours that it uses of each sample; None if it uses all samples."""
        return None

    def on_fold(self, n: int, n_fold: int) -> Self:
        """The metric for n_fold of n samples: the number of neighbours is in proportion, and at least `least_k`.

        At a fixed k a score depends on n; with k / n fixed it hardly does.
        """
        return self

    def with_ties(self, rule: TieRule) -> Self:
        """The metric with another rule for equally near samples; itself if it does not use neighbours."""
        return self

    def check(self, n: int) -> None:
        """Refuses a number of samples for which the score is undefined.

        Raises:
            FeatureError: n is too small.
        """
        if n < 2:
            raise FeatureError(f"{self.name} needs at least 2 samples; got {n}.")

    def state_bytes(self, n: int, d: int) -> int:
        """About how much memory one prepared layer of shape (n, d) takes, for `align` to plan with.

        One n x n matrix unless overridden.
        """
        return 4 * n * n

    @abstractmethod
    def prepare(self, layer: Geometry) -> Any:
        """Everything that scores need of one layer, computed once: a `Prepared`.

        Raises:
            NoVariationError: all samples are alike, so that there is nothing to compare.
            FeatureError: the metric is undefined for this layer.
        """

    @abstractmethod
    def score_all(self, xs: Sequence[Any], ys: Sequence[Any]) -> torch.Tensor:
        """Scores of all pairs of prepared layers, shape (len(xs), len(ys)), float64 on the CPU.

        On a CPU a pair's score has the same bytes whatever other pairs are scored with it.
        """

    def score(self, x: Any, y: Any) -> float:
        """Score of one pair of prepared layers."""
        return self.score_all([x], [y])[0, 0].item()

    def null(self, xs: Sequence[Any], ys: Sequence[Any]) -> NullMoments | None:
        """Exact null moments of every pair under uniform relabelling; None where no closed form is known."""
        return None

    def tied(self, state: Any) -> float:
        """Share of samples whose last neighbour is exactly as near as the next sample; NaN without neighbours."""
        return math.nan

    samplewise: ClassVar[bool] = False
    """Whether the score is a mean of contributions of samples; see `per_sample`."""

    def per_sample(self, x: Any, y: Any) -> torch.Tensor | None:
        """Contribution of each sample, (n,) float64 on the CPU; the score is their mean. None if it is not a mean."""
        return None

    def leave_block_out(
        self, xs: Sequence[Any], ys: Sequence[Any], blocks: Sequence[torch.Tensor]
    ) -> torch.Tensor | None:
        """Scores of all pairs without each block of samples, (len(blocks), len(xs), len(ys)); None if not offered."""
        return None


@dataclass(frozen=True, kw_only=True)
class NeighbourhoodMetric(Metric):
    """A metric that uses the k nearest other samples of each sample.

    Attributes:
        k: the number of neighbours, `least_k` <= k < n.
        ties: which of equally near samples are neighbours: "random", drawn for each query and layer, so that unrelated
            layers score at chance; "first", the lower index, as the PRH's released code (see `platorep.metrics.ties`).
    """

    least_k: ClassVar[int] = 1
    k: int = 10
    ties: TieRule = "random"

    def __post_init__(self) -> None:
        if self.k < self.least_k:
            raise SpecError(f"{self.name}: k is {self.k}; expected at least {self.least_k}.")
        check_rule(self.ties)

    @property
    def neighbourhood(self) -> int:
        return self.k

    def on_fold(self, n: int, n_fold: int) -> Self:
        return dataclasses.replace(self, k=max(self.least_k, round(self.k * n_fold / n)))

    def with_ties(self, rule: TieRule) -> Self:
        return dataclasses.replace(self, ties=rule)

    def check(self, n: int) -> None:
        super().check(n)
        check_k(self.k, n)


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
