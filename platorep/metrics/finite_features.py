"""CKA of the population that a layer's features are a sample of, from finitely many features and samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch

from platorep.core.errors import FeatureError
from platorep.metrics import centred
from platorep.metrics.base import Geometry, Invariance, Metric, NullMoments
from platorep.metrics.centred import Centred
from platorep.metrics.jackknife import leave_block_out
from platorep.metrics.relabelling import Relabelling


@dataclass(frozen=True, eq=False)
class Layer:
    """A prepared layer.

    Attributes:
        kernel: the centred linear kernel.
        features: the centred features that it is made of, shape (n, d) float32.
    """

    kernel: Centred
    features: torch.Tensor

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.kernel.n

    @cached_property
    def ratio(self) -> float:
        """The unbiased self-term over pairs of different features, as a part of that over all pairs."""
        total = self.features.square().sum(dtype=torch.float64).item()
        pairs = (self.kernel.pair_norm * total / self.kernel.trace) ** 2
        return _ratio(self.features, pairs)

    def relabelled(self, order: Relabelling) -> Layer:
        """The same of the relabelled samples."""
        moved = Layer(self.kernel.relabelled(order), order.rows(self.features))
        vars(moved)["ratio"] = self.ratio
        return moved


@dataclass(frozen=True, kw_only=True)
class FiniteFeatureCKA(Metric):
    """Linear CKA corrected for the number of samples and for the number of features.

    A layer's d features are taken as a random sample of a population of features (neurons). With the kernel
    K = 1/d sum_a x_a x_a', a the features, the unbiased HSIC of Song et al. (2012, Eq. 5) is unbiased over samples in
    every term, and over features in HSIC(K, L). In HSIC(K, K) the pairs of a feature with itself are too many; they
    are left out:

        own(K) = 1 / (d (d - 1)) sum_{a != b} HSIC_u(x_a x_a', x_b x_b'),    score = HSIC_u(K, L) / sqrt(own(K) own(L)).

    It is `cka` (linear, unbiased) divided by the root of both layers' own(K) / HSIC_u(K, K), which is at most
    d / (d - 1). Where d is small the score is above that of `cka`, and it does not fall with d in the mean. It is
    unbounded: a layer with itself scores above 1, because its own noise counts as shared. 0 in the mean under chance.
    Features are the columns that there are, so a rotation of them changes the score. Under similarity=cosine the
    rows' lengths depend on all features; the correction is exact for similarity=euclidean.

    State per layer: 2 n^2 + 4 n d bytes. Cost: that of `cka`, and n d operations per layer.

    Source: Chun, Canatar, Chung and Lee 2025, Estimating Neural Representation Alignment from Sparsely Sampled Inputs
    and Features, arXiv:2502.15104; the estimator with the correction in the denominators, as the code of Gröger et al.
    (arXiv:2602.14486) has it.

    Raises:
        FeatureError: fewer than 4 samples or 2 features; features that share too little with one another for a
            self-term above 0.
    """

    name: ClassVar[str] = "cka_finite"
    title: ClassVar[str] = "CKA, finite features"

    @property
    def bounds(self) -> tuple[float, float]:
        return -torch.inf, torch.inf

    @property
    def invariances(self) -> frozenset[Invariance]:
        return frozenset({"scaling", "sample_scaling" if self.similarity == "cosine" else "translation"})

    def check(self, n: int) -> None:
        centred.check_samples(self.name, n)

    def state_bytes(self, n: int, d: int) -> int:
        return centred.state_bytes(n, d, linear=True) + 4 * n * d

    def prepare(self, layer: Geometry) -> Layer:
        self.check(layer.n)
        layer.require_features(self.name)
        features = layer.centred_rows()
        if features.shape[1] < 2:
            raise FeatureError("cka_finite needs at least 2 features, to compare different ones; got 1. Use cka.")
        if layer.n > centred.GRAM_ROWS:
            prepared = Layer(centred.centre_features(features), features)
        else:
            prepared = Layer(centred.centre(centred.inner_products(layer)), features)
        _check_ratio(prepared.ratio)
        return prepared

    def score_all(self, xs: Sequence[Layer], ys: Sequence[Layer]) -> torch.Tensor:
        return centred.scores(_kernels(xs), _kernels(ys), "unbiased") / _roots(xs, ys)

    def null(self, xs: Sequence[Layer], ys: Sequence[Layer]) -> NullMoments:
        """Exact null moments: those of unbiased CKA over the same constants, as relabelling leaves self-terms alone."""
        x, y = _kernels(xs), _kernels(ys)
        sd = centred.null_moments(x, y, "unbiased")[1] / _roots(xs, ys)
        return NullMoments(torch.zeros_like(sd), sd, centred.null_skewness(x, y))

    def leave_block_out(self, xs: Sequence[Layer], ys: Sequence[Layer], blocks: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scores of all pairs without each block of samples, shape (len(blocks), len(xs), len(ys)); see `jackknife`.

        Cost: that of `cka`, and the self-terms of a layer of min(n, d) dimensions for each block.
        """
        scores = leave_block_out(_kernels(xs), _kernels(ys), blocks, hsic="unbiased")
        ratios = [torch.tensor([[_without(s, block) for s in side] for block in blocks]) for side in (xs, ys)]
        return scores / (ratios[0][:, :, None] * ratios[1][:, None, :]).sqrt()


def _kernels(layers: Sequence[Layer]) -> list[Centred]:
    return [layer.kernel for layer in layers]


def _roots(xs: Sequence[Layer], ys: Sequence[Layer]) -> torch.Tensor:
    return torch.outer(*(torch.tensor([s.ratio for s in side], dtype=torch.float64) for side in (xs, ys))).sqrt()


def _ratio(features: torch.Tensor, pairs: float) -> float:
    """D / (d - 1) times the part of |U|^2 that pairs of different features make up.

    Args:
        features: centred, shape (n, d).
        pairs: |U|^2 of their linear kernel, U its U-centred matrix.
    """
    n, d = features.shape
    squared = features.double().square()
    powers = squared.sum(dim=0)
    # |U|^2 of one feature's z z': |zz'|^2 less what lies on the diagonal and in the trace (see `metrics.centred`)
    spread = squared.square().sum(dim=0) - powers.square() / n
    single = powers.square() * (n - 2) / (n - 1) - n / (n - 2) * spread
    return d / (d - 1) * (1 - single.sum().item() / pairs)


def _without(state: Layer, block: torch.Tensor) -> float:
    """The ratio of a layer without a block of its samples."""
    keep = torch.ones(state.n, dtype=torch.bool).index_fill_(0, block.cpu(), False).to(state.features.device)
    z = state.features[keep]
    z = z - z.mean(dim=0, dtype=torch.float64).float()
    m, squared = len(z), z.double().square().sum(dim=1)
    trace = squared.sum()
    gram = z.T @ z if z.shape[1] < m else z @ z.T
    whole = gram.double().square().sum()
    pairs = whole - trace**2 / (m - 1) - m / (m - 2) * (squared - trace / m).square().sum()
    ratio = _ratio(z, pairs.item())
    _check_ratio(ratio)
    return ratio


def _check_ratio(ratio: float) -> None:
    if not ratio > 0:
        raise FeatureError(
            "the features share so little with one another that cka_finite's self-term is not above 0: the layer is "
            "noise to it. Leave this layer out, or use cka."
        )
