"""Metrics that compare the two layers' distances between samples: RSA and distance correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch

from platorep.core.errors import FeatureError, NoVariationError, SpecError
from platorep.metrics import centred, exact
from platorep.metrics.base import Geometry, Invariance, Metric, NullMoments
from platorep.metrics.centred import Centred, Hsic
from platorep.metrics.jackknife import leave_block_out
from platorep.metrics.relabelling import Relabelling


@dataclass(frozen=True, eq=False)
class Dissimilarities:
    """A layer's dissimilarities (or their ranks) of all pairs of samples, centred and scaled to norm 1.

    Attributes:
        n: number of samples.
        upper: shape (n (n - 1) / 2,) float32, row by row above the diagonal, on the grid of `metrics.exact`.
        length: norm of `upper` after rounding.
        between: part of the squared norm that lies in the samples' own means, in [0, 1]; decides the variance under
            chance.
    """

    n: int
    upper: torch.Tensor
    between: float
    length: float

    def relabelled(self, order: Relabelling) -> Dissimilarities:
        """The same of the relabelled samples."""
        return replace(self, upper=order.pairs(self.upper))


@dataclass(frozen=True, kw_only=True)
class RSA(Metric):
    """Representational similarity analysis: the correlation of two layers' dissimilarities over all pairs of samples.

    Dissimilarity: 1 - cosine under similarity=cosine, Euclidean distance under similarity=euclidean. The score is
    Pearson's or Spearman's correlation of the n (n - 1) / 2 values; ties have their mean rank. Range [-1, 1]; level
    under chance 0.

    State per layer: 2 n^2 bytes. Cost: n^2 operations per layer in addition to the Gram matrix (Spearman: one sort of
    n^2 / 2 values, some 50 ms at n = 1,024); n^2 per pair, as one product.

    Source: Kriegeskorte, Mur and Bandettini 2008, doi:10.3389/neuro.06.004.2008.

    Raises:
        SpecError: an unknown correlation.
        FeatureError: fewer than 4 samples; all dissimilarities equal.
    """

    name: ClassVar[str] = "rsa"
    title: ClassVar[str] = "RSA"
    correlation: Literal["pearson", "spearman"] = "spearman"

    def __post_init__(self) -> None:
        if self.correlation not in ("pearson", "spearman"):
            raise SpecError(f"rsa correlation is {self.correlation!r}; expected 'pearson' or 'spearman'.")

    @property
    def bounds(self) -> tuple[float, float]:
        return (-1.0, 1.0)

    @property
    def invariances(self) -> frozenset[Invariance]:
        if self.similarity == "cosine":
            return frozenset({"orthogonal", "scaling", "sample_scaling"})
        return frozenset({"orthogonal", "scaling", "translation"})

    def check(self, n: int) -> None:
        centred.check_samples(self.name, n)

    def state_bytes(self, n: int, d: int) -> int:
        return 2 * n * n

    def prepare(self, layer: Geometry) -> Dissimilarities:
        self.check(layer.n)
        n = layer.n
        squared = centred.squared_distances(layer)  # under cosine 2 (1 - cosine): the factor does not matter
        values = squared.view(-1).index_select(0, centred.upper_positions(n, squared.device))
        if self.similarity == "euclidean":
            values.sqrt_()
        if self.correlation == "spearman":
            values = _ranks(values)
        size = values.abs().amax()
        values = (values - values.mean(dtype=torch.float64)).double()
        norm = torch.linalg.vector_norm(values)
        if not norm > 1e-6 * size * len(values) ** 0.5:
            raise NoVariationError(
                "all dissimilarities are equal up to rounding: rsa, a correlation, is undefined. Leave this layer out."
            )
        values /= norm
        first, second = torch.triu_indices(n, n, 1, device=values.device)
        rows = (
            torch.zeros(n, dtype=torch.float64, device=values.device)
            .index_add_(0, first, values)
            .index_add_(0, second, values)
        )
        upper = exact.on_grid(values.float())
        return Dissimilarities(n, upper, (rows.square().sum() / (n - 2)).item(), exact.squared_norm(upper) ** 0.5)

    def score_all(self, xs: Sequence[Dissimilarities], ys: Sequence[Dissimilarities]) -> torch.Tensor:
        centred.same_n(xs, ys)
        products = exact.products([x.upper for x in xs], [y.upper for y in ys])
        return products / torch.outer(
            *(torch.tensor([s.length for s in side], dtype=torch.float64) for side in (xs, ys))
        )

    def null(self, xs: Sequence[Dissimilarities], ys: Sequence[Dissimilarities]) -> NullMoments:
        """Exact null moments: mean 0; variance from the parts of `metrics.centred`, with b = `between`.

        Var = b_x b_y / (n - 1) + 2 (1 - b_x) (1 - b_y) / (n (n - 3)).
        """
        n = centred.same_n(xs, ys)
        b_x, b_y = (torch.tensor([s.between for s in side], dtype=torch.float64) for side in (xs, ys))
        variance = torch.outer(b_x, b_y) / (n - 1) + torch.outer(1 - b_x, 1 - b_y) * centred.pair_variance(n)
        return NullMoments(torch.zeros_like(variance), variance.sqrt())


@dataclass(frozen=True, kw_only=True)
class DistanceCorrelation(Metric):
    """Distance correlation: dependence of any kind, from centred Euclidean distances (under cosine, of unit rows).

    estimator=biased: dCor = sqrt(<HAH, HBH> / (|HAH| |HBH|)) of the distance matrices A, B; range [0, 1], well above 0
    under chance. estimator=unbiased: the bias-corrected squared distance correlation, <U_A, U_B> / (|U_A| |U_B|) of the
    U-centred matrices; range [-1, 1], level under chance 0.

    State per layer: 2 n^2 bytes. Cost: as `cka` with a Gram matrix.

    Source: Szekely, Rizzo and Bakirov 2007, doi:10.1214/009053607000000505, Definition 4; Szekely and Rizzo 2013,
    doi:10.1016/j.jmva.2013.02.012, for the corrected one.

    Raises:
        SpecError: an unknown estimator.
        FeatureError: fewer than 4 samples; every two samples equally far apart.
    """

    name: ClassVar[str] = "distance_correlation"
    title: ClassVar[str] = "distance correlation"
    estimator: Hsic = "unbiased"

    def __post_init__(self) -> None:
        centred.check_hsic("distance_correlation estimator", self.estimator)

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.estimator == "biased" else (-1.0, 1.0)

    @property
    def invariances(self) -> frozenset[Invariance]:
        if self.similarity == "cosine":
            return frozenset({"orthogonal", "scaling", "sample_scaling"})
        return frozenset({"orthogonal", "scaling", "translation"})

    def check(self, n: int) -> None:
        centred.check_samples(self.name, n)

    def state_bytes(self, n: int, d: int) -> int:
        return 2 * n * n

    def prepare(self, layer: Geometry) -> Centred:
        self.check(layer.n)
        squared = centred.squared_distances(layer)
        if (squared < 0).any():  # of a matrix of dissimilarities
            raise FeatureError(
                f"a dissimilarity is {squared.min():.3g}, and distance_correlation takes roots of them. Use cka or "
                "rsa, or raise them to 0."
            )
        return centred.centre(squared.sqrt_().neg_())  # the distance-induced kernel is -distance

    def score_all(self, xs: Sequence[Centred], ys: Sequence[Centred]) -> torch.Tensor:
        scores = centred.scores(xs, ys, self.estimator)
        return scores if self.estimator == "unbiased" else _root(scores)

    def null(self, xs: Sequence[Centred], ys: Sequence[Centred]) -> NullMoments | None:
        """Exact null moments of the unbiased estimator (those of unbiased CKA); none are known for a square root."""
        if self.estimator == "biased":
            return None
        return NullMoments(*centred.null_moments(xs, ys, "unbiased"), centred.null_skewness(xs, ys))

    def leave_block_out(
        self, xs: Sequence[Centred], ys: Sequence[Centred], blocks: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Scores of all pairs without each block of samples, shape (len(blocks), len(xs), len(ys)); see `jackknife`."""
        scores = leave_block_out(xs, ys, blocks, hsic=self.estimator)
        return scores if self.estimator == "unbiased" else _root(scores)


def _root(squared: torch.Tensor) -> torch.Tensor:
    return torch.where(
        squared.abs() < 1e-9, 0, squared
    ).sqrt()  # products of positive matrices: below 0 by rounding alone


def _ranks(values: torch.Tensor) -> torch.Tensor:
    """Mean ranks, from 0, float64."""
    order = values.argsort()
    _, group, counts = torch.unique_consecutive(values[order], return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    mean_rank = last - (counts + 1) / 2
    return torch.empty_like(values, dtype=torch.float64).index_copy_(0, order, mean_rank[group])
