"""Metrics that align two sets of features by linear maps: SVCCA, PWCCA, Procrustes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics.base import Geometry, Invariance, Metric
from platorep.metrics.exact import tree_sum
from platorep.metrics.geometry import CONSTANT
from platorep.metrics.relabelling import Relabelling


@dataclass(frozen=True, eq=False)
class Components:
    """Leading principal components of a layer.

    Attributes:
        directions: left singular vectors of the centred features, orthonormal, shape (n, components) float64.
        features: the features' coordinates on them, shape (components, d) float64; set for `pwcca` alone.
    """

    directions: torch.Tensor
    features: torch.Tensor | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.directions)

    def relabelled(self, order: Relabelling) -> Components:
        """The same of the relabelled samples."""
        return replace(self, directions=order.rows(self.directions))


@dataclass(frozen=True, eq=False)
class Rotatable:
    """Centred features of norm 1 in at most n coordinates, `features` of shape (n, min(n, d)) float32."""

    features: torch.Tensor

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.features)

    def relabelled(self, order: Relabelling) -> Rotatable:
        """The same of the relabelled samples."""
        return Rotatable(order.rows(self.features))


@dataclass(frozen=True, kw_only=True)
class _Canonical(Metric):
    """A metric on canonical correlations of the leading principal components."""

    components: int = 10

    def __post_init__(self) -> None:
        if self.components < 1:
            raise SpecError(f"{self.name} components is {self.components}; expected at least 1.")

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0)

    @property
    def invariances(self) -> frozenset[Invariance]:
        return (
            frozenset({"scaling", "sample_scaling"})
            if self.similarity == "cosine"
            else frozenset({"scaling", "translation"})
        )

    def check(self, n: int) -> None:
        least = 2 * self.components + 1
        if n < least:
            raise FeatureError(
                f"{self.name} with {self.components} components needs at least {least} samples, below which any two "
                f"layers correlate perfectly somewhere; got {n}. Lower components."
            )


@dataclass(frozen=True, kw_only=True)
class SVCCA(_Canonical):
    """Mean canonical correlation of the leading principal components.

    Each feature is z-scored over the samples; U holds the first `components` left singular vectors. U has orthonormal,
    centred columns, so the canonical correlations of two layers are in closed form the singular values of U_x' U_y;
    the score is their mean. Range [0, 1]; level under chance about sqrt(components / n), never 0. A constant feature
    counts as 0.

    The released code of the PRH takes U from a randomised SVD of few iterations and correlates after an iterative CCA
    with unseeded noise; this is the value it scatters about, without randomness.

    State per layer: 8 n components bytes. Cost: one product n^2 d or n d^2 and one symmetric eigenproblem of size
    min(n, d) in float64 per layer (about 0.3 s at n = 1,024 on two cores); n components^2 per pair.

    Source: Raghu et al. 2017, arXiv:1706.05806; with a fixed number of components as in PRH's released code.

    Raises:
        SpecError: components < 1.
        FeatureError: fewer than 2 components + 1 samples, with which any two layers correlate perfectly somewhere;
            features whose rank is below `components`.
    """

    name: ClassVar[str] = "svcca"
    title: ClassVar[str] = "SVCCA"

    def state_bytes(self, n: int, d: int) -> int:
        return 8 * n * self.components

    def prepare(self, layer: Geometry) -> Components:
        self.check(layer.n)
        layer.require_features(self.name)
        layer.require_variation()
        x = layer.x.double()
        z = x - x.mean(0)
        spread = z.square().mean(0).sqrt()
        varies = spread > CONSTANT * x.abs().amax(0)
        return Components(_principal(self.name, torch.where(varies, z / spread, 0), self.components))

    def score_all(self, xs: Sequence[Components], ys: Sequence[Components]) -> torch.Tensor:
        # pair by pair: products of one shape, the same in any company
        rows = [torch.linalg.svdvals(torch.stack([x.directions.T @ y.directions for y in ys])) for x in xs]
        return tree_sum(torch.stack(rows), dim=2).cpu() / self.components


@dataclass(frozen=True, kw_only=True)
class PWCCA(_Canonical):
    """Projection-weighted canonical correlation of the leading principal components.

    Score = sum_i a_i r_i / sum_i a_i over the canonical correlations r_i of the two layers' first `components`
    principal components, with a_i = sum_j |<h_i, x_j>|: how much of the first layer's features x_j its canonical
    variate h_i accounts for. Range [0, 1]. The weights are the first layer's, so the score is not symmetric; they are
    taken feature by feature, so a rotation of the first layer's features changes them.

    Without a cut at few components the score is 1 for any two layers whose widths add up to n, as most do.

    State per layer: 8 components (n + d) bytes. Cost: as SVCCA per layer; components^2 (n + d_x) per pair.

    Source: Morcos et al. 2018, arXiv:1806.05759, Eq. 2 and section 2.2, on principal components.

    Raises:
        SpecError: components < 1.
        FeatureError: fewer than 2 components + 1 samples; features whose rank is below `components`.
    """

    name: ClassVar[str] = "pwcca"
    title: ClassVar[str] = "PWCCA"
    symmetric: ClassVar[bool] = False

    def state_bytes(self, n: int, d: int) -> int:
        return 8 * (n + d) * self.components

    def prepare(self, layer: Geometry) -> Components:
        self.check(layer.n)
        layer.require_features(self.name)
        z = layer.centred_rows().double()
        directions = _principal(self.name, z, self.components)
        return Components(directions, directions.T @ z)

    def score_all(self, xs: Sequence[Components], ys: Sequence[Components]) -> torch.Tensor:
        rows = []
        for x in xs:
            left, correlations, _ = torch.linalg.svd(torch.stack([x.directions.T @ y.directions for y in ys]))
            weights = torch.stack([(h.T @ x.features).abs().sum(1) for h in left])
            rows.append(tree_sum(weights * correlations, 1) / tree_sum(weights, 1))
        return torch.stack(rows).cpu()


@dataclass(frozen=True, kw_only=True)
class Procrustes(Metric):
    """How well one layer can be rotated onto the other, as a similarity.

    Score = |X'Y|_* / (|X|_F |Y|_F) with |.|_* the sum of singular values, X and Y centred over the samples: the cosine
    after the best rotation (and reflection); arccos of it is the angular Procrustes distance, 2 - 2 score the squared
    distance of the layers scaled to norm 1. Range [0, 1]. Its level under chance is far from 0 and grows with the
    widths: compare it with a null of permutations.

    State per layer: 4 n min(n, d) bytes. Cost: one QR per layer where d > n; then n d_x d_y + d_x d_y min(d_x, d_y)
    operations per pair (widths at most n), which no product shares: seconds per pair at n = 1,024 and great widths.

    Source: Williams et al. 2021, arXiv:2110.14739; Ding et al. 2021, arXiv:2108.01661.

    Raises:
        FeatureError: all samples have the same features.
    """

    name: ClassVar[str] = "procrustes"
    title: ClassVar[str] = "Procrustes"

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0)

    @property
    def invariances(self) -> frozenset[Invariance]:
        if self.similarity == "cosine":
            return frozenset({"orthogonal", "scaling", "sample_scaling"})
        return frozenset({"orthogonal", "scaling", "translation"})

    def state_bytes(self, n: int, d: int) -> int:
        return 4 * n * min(n, d)

    def prepare(self, layer: Geometry) -> Rotatable:
        self.check(layer.n)
        layer.require_features(self.name)
        z = layer.centred_rows()
        z = z / torch.linalg.vector_norm(z)
        if z.shape[1] > layer.n:
            z = torch.linalg.qr(
                z.T, mode="r"
            ).R.T.contiguous()  # not through the Gram matrix, which squares the rounding
        return Rotatable(z)

    def score_all(self, xs: Sequence[Rotatable], ys: Sequence[Rotatable]) -> torch.Tensor:
        rows = [
            torch.stack([torch.linalg.svdvals(x.features.T @ y.features).sum(dtype=torch.float64) for y in ys])
            for x in xs
        ]
        return torch.stack(rows).cpu().clamp_max(1)  # above it by rounding alone


def _principal(name: str, z: torch.Tensor, components: int) -> torch.Tensor:
    """First left singular vectors of centred `z`, (n, components) float64, from the smaller of its Gram matrices."""
    n, d = z.shape
    if components > d:
        raise FeatureError(f"{name} keeps {components} components, but the features have width {d}. Lower components.")
    wide = d > n
    values, vectors = torch.linalg.eigh(z @ z.T if wide else z.T @ z)
    values, vectors = values[-components:].flip(0), vectors[:, -components:].flip(1)
    if not values[-1] > 1e-12 * values[0]:  # a direction that small is rounding: it is no property of the features
        raise FeatureError(
            f"{name} keeps {components} components, but the features have a lower rank. Lower components."
        )
    return vectors if wide else z @ vectors / values.sqrt()
