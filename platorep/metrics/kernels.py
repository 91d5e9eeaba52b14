"""CKA: centred kernel alignment over all pairs of samples. For neighbouring pairs alone see `cknna`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.metrics import centred
from platorep.metrics.base import Geometry, Invariance, Metric, NullMoments
from platorep.metrics.centred import Centred, Hsic
from platorep.metrics.jackknife import leave_block_out


@dataclass(frozen=True, kw_only=True)
class CKA(Metric):
    """Centred kernel alignment: the cosine of two centred kernel matrices.

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with K_ij = <x_i, x_j> (linear) or exp(-|x_i - x_j|^2 / 2 sigma^2)
    (rbf), of rows divided by their length under similarity=cosine.

    hsic=biased: HSIC = tr(K H L H). Range [0, 1]. Its level under chance is not 0 but grows with the width of the
    features: see `null`. hsic=unbiased (Song et al. 2012, Eq. 5): the diagonal left out and the matrices U-centred;
    level under chance 0, range [-1, 1], negative values meant as they are.

    sigma=median: the square root of the (lower) median squared distance over pairs of samples.

    State per layer: 2 n^2 bytes (2.1 MB at n = 1,024); a linear kernel of more than `centred.GRAM_ROWS` samples is kept
    as features, 4 n d bytes. Cost: a few passes over the layer's Gram matrix, then n^2 operations per pair, as one
    product.

    Source: Kornblith et al. 2019, arXiv:1905.00414, Eq. 2-3 and section 3; debiased as in Nguyen et al. 2021,
    arXiv:2010.15327; PRH (arXiv:2405.07987) Eq. 12-15, whose one-sided centring (Eq. 13) is read as the two-sided one
    that its code has. That code adds 1e-6 to the denominator, which lowers scores whose HSIC is near 1e-6; this does
    not.

    Raises:
        SpecError: an unknown kernel or estimator, or sigma <= 0.
        FeatureError: fewer than 4 samples; every two samples equally alike, so that nothing is left after centring.
    """

    name: ClassVar[str] = "cka"
    title: ClassVar[str] = "CKA"
    kernel: Literal["linear", "rbf"] = "linear"
    hsic: Hsic = "unbiased"
    sigma: float | Literal["median"] = "median"

    def __post_init__(self) -> None:
        if self.kernel not in ("linear", "rbf"):
            raise SpecError(f"cka kernel is {self.kernel!r}; expected 'linear' or 'rbf'.")
        centred.check_hsic("cka hsic", self.hsic)
        if self.sigma != "median" and not (isinstance(self.sigma, int | float) and self.sigma > 0):
            raise SpecError(f"cka sigma is {self.sigma!r}; expected 'median' or a number above 0.")

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.hsic == "biased" else (-1.0, 1.0)

    @property
    def invariances(self) -> frozenset[Invariance]:
        if self.similarity == "cosine":
            return frozenset({"orthogonal", "scaling", "sample_scaling"})
        if self.kernel == "rbf" and self.sigma != "median":
            return frozenset({"orthogonal", "translation"})
        return frozenset({"orthogonal", "scaling", "translation"})

    def check(self, n: int) -> None:
        centred.check_samples(self.name, n)

    def state_bytes(self, n: int, d: int) -> int:
        return centred.state_bytes(n, d, linear=self.kernel == "linear")

    def prepare(self, layer: Geometry) -> Centred:
        self.check(layer.n)
        if self.kernel == "rbf":
            return centred.centre(self._rbf(centred.squared_distances(layer), layer.exponent))
        if layer.n > centred.GRAM_ROWS:
            return centred.centre_features(layer.centred_rows())
        return centred.centre(centred.inner_products(layer))

    def score_all(self, xs: Sequence[Centred], ys: Sequence[Centred]) -> torch.Tensor:
        return centred.scores(xs, ys, self.hsic)

    def null(self, xs: Sequence[Centred], ys: Sequence[Centred]) -> NullMoments:
        """Exact null moments.

        Unbiased: mean 0 and sd sqrt(2 / (n (n - 3))), the same for all features. Biased: mean
        sqrt(PR_x PR_y) / (n - 1) with the participation ratio PR = tr(HKH)^2 / |HKH|^2 (Kazi-Aoual et al. 1995,
        doi:10.1016/0167-9473(94)00064-2, for the RV coefficient); variance as in `metrics.centred`.
        """
        return NullMoments(*centred.null_moments(xs, ys, self.hsic), centred.null_skewness(xs, ys))

    def leave_block_out(
        self, xs: Sequence[Centred], ys: Sequence[Centred], blocks: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Scores of all pairs without each block of samples, shape (len(blocks), len(xs), len(ys)); see `jackknife`.

        sigma=median stays that of all samples.
        """
        return leave_block_out(xs, ys, blocks, hsic=self.hsic)

    def _rbf(self, squared: torch.Tensor, exponent: int) -> torch.Tensor:
        """The kernel less 1 of squared distances in units of 4^exponent."""
        if self.sigma == "median":
            variance = squared.view(-1).index_select(0, centred.upper_positions(len(squared), squared.device)).median()
            if variance == 0:
                raise FeatureError(
                    "the median distance is 0: more than half of the pairs are duplicates. Give sigma a number."
                )
        else:
            variance = squared.new_tensor(float(self.sigma) ** 2 * 4.0**-exponent)
        return squared.div_(
            -2 * variance
        ).expm1_()  # exp less 1: centring removes the 1, and a wide kernel keeps its digits
