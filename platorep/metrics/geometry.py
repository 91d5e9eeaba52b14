"""One layer as metrics see it: similarities and neighbours of its samples, computed once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from platorep.core.errors import FeatureError, NoVariationError
from platorep.metrics import shortlist, ties
from platorep.metrics.knn import DENSE, Similarity, check_k, inner_products, refined, top_k
from platorep.metrics.ties import Nearest, Priority, TieRule


CONSTANT = 4 * torch.finfo(torch.float32).eps
"""Variation below this part of the features' size is rounding."""

_RANGE = 2.0**-30, 2.0**30  # lengths of rows whose squares and products float32 holds with all digits
_NARROW = 1e-4  # mean 1 - cosine to the first sample below which float32 inner products leave too little of the angles
_FEW = 64  # rows whose mean is the point that `moved` subtracts
_TWINS = 1e-6  # squared distance, as a fraction of the squared length, below which rows are checked for equality


class Geometry:
    """One layer's samples, with the similarity matrix and the neighbours computed on first use and kept.

    Under cosine rows are divided by their length, and what is computed does not depend on it. Under euclidean it does
    not depend on an offset or a scale: a point near their mean is subtracted from the rows before they are
    multiplied, and they are scaled by a power of two if their squares would leave the range of float32. Subtracting a
    point on a coarse grid and scaling by a power of two cause no rounding: integers stay integers, and features around
    0 stay unchanged.
    Neighbours closer than a few hundredths of their distance from that point are searched again in float64.

    Args:
        x: clipped features, shape (n, d), any floating dtype; computed with in float32.
        similarity: "cosine", or "euclidean" (neighbours by distance).
        seed: of the order of tied samples; see `platorep.metrics.ties`. Two layers need different ones, even of equal
            features, if their ties are to be broken independently. None: a hash of the features, with which equal
            layers have equal neighbours.

    Attributes:
        n: number of samples.
        similarity: as given.
        exponent: under euclidean, `x` is the features divided by 2 to this power; 0 for features of ordinary size.

    Raises:
        FeatureError: fewer than 2 rows, values that are not finite, or a zero row under cosine.
    """

    def __init__(self, x: torch.Tensor, similarity: Similarity = "cosine", *, seed: int | None = None) -> None:
        if x.ndim != 2 or len(x) < 2 or x.shape[1] < 1:
            raise FeatureError(f"features must have shape (n >= 2, d >= 1); got {tuple(x.shape)}.")
        x = x.to(torch.float32)
        norms, exponent = torch.linalg.vector_norm(x, dim=1, keepdim=True), 0
        low, high = (bound.item() for bound in norms.aminmax())
        if not (low >= _RANGE[0] and high <= _RANGE[1]):  # NaN as well
            norms = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float64)
            exponent = _exponent(norms)
        self._set(norms, similarity, exponent, seed)
        self._norms = scaled(norms, exponent).to(torch.float32)
        self._power = self._norms.square().mean().item()
        self.x = (x / norms).to(torch.float32) if similarity == "cosine" else scaled(x, exponent)

    @classmethod
    def concatenation(
        cls,
        products: torch.Tensor,
        features: Callable[[], torch.Tensor],
        similarity: Similarity = "cosine",
        *,
        exponent: int = 0,
        power: float = 0.0,
        seed: int | None = None,
    ) -> Geometry:
        """The concatenation of layers, from the sum of their inner products, without a product over all widths.

        The concatenated features themselves are computed only for a metric that uses `x`.

        Args:
            products: the sum of the layers' `products()`, shape (n, n), in units of 4 to the power `exponent`.
            features: returns the concatenation of the clipped, unnormalised layers, shape (n, sum of d), in units of 2
                to that power.
            similarity: as above; under cosine the concatenated rows are divided by their length.
            exponent: of the units.
            power: the sum of the layers' `power`.
            seed: of the order of tied samples, as for the class.
        """
        self = cls.__new__(cls)
        norms = products.diagonal().clamp_min(0).sqrt()[:, None]
        self._set(norms, similarity, exponent, seed)
        self._norms, self._power, self._features = norms, power, features
        self.gram = products / (norms * norms.T) if similarity == "cosine" else products
        return self

    def _set(self, norms: torch.Tensor, similarity: Similarity, exponent: int, seed: int | None) -> None:
        if not torch.isfinite(norms).all():
            bad = (~torch.isfinite(norms)).nonzero()[0, 0].item()
            raise FeatureError(
                f"features are not finite (first in row {bad}). Find the sample, or drop it on both sides."
            )
        if similarity == "cosine" and (norms == 0).any():
            row = (norms == 0).nonzero()[0, 0].item()
            raise FeatureError(
                f"row {row} is the zero vector, which has no direction: cosine similarity is undefined. "
                "Use similarity=euclidean, or drop the sample on both sides."
            )
        self.similarity: Similarity = similarity
        self.n = len(norms)
        self.exponent = exponent
        self.seed = seed
        self._found: dict[TieRule, Nearest] = {}

    _features: Callable[[], torch.Tensor]  # of a concatenation alone

    @cached_property
    def x(self) -> torch.Tensor:
        """The features, shape (n, d) float32: rows of length 1 under cosine, in units of 2^exponent under euclidean."""
        return Geometry(self._features(), "cosine").x if self.similarity == "cosine" else self._features()

    @property
    def power(self) -> float:
        """Mean squared length of the rows under euclidean, in units of 4^exponent; 1 under cosine."""
        return 1.0 if self.similarity == "cosine" else self._power

    @cached_property
    def moved(self) -> torch.Tensor:
        """Rows of `x` minus a point near their mean, shape (n, d) float32, whose products keep the digits of distances.

        The point is the mean of a few rows, rounded to a grid as coarse as their spread, so it is 0 for features around
        0.
        """
        few = self.x[:: max(1, self.n // _FEW)].double()
        middle = few.mean(dim=0)
        spread = (few - middle).square().mean().sqrt()
        if spread > CONSTANT**2 * few.abs().amax():
            grid = spread.log2().ceil().exp2()
            middle = (middle / grid).round() * grid
        else:
            middle = few[0]
        return self.x - middle.float() if middle.any() else self.x

    @cached_property
    def gram(self) -> torch.Tensor:
        """Inner products of the unit rows, or under euclidean of the moved rows, (n, n) float32. Cost 0.6 n^2 d."""
        return inner_products(self.x if self.similarity == "cosine" else self.moved)

    def products(self) -> torch.Tensor:
        """Inner products, shape (n, n) float32 in units of 4^exponent, of which those of a concatenation are the sum.

        Under cosine of the rows before they are normalised, under euclidean of the moved rows.
        """
        return self.gram * (self._norms * self._norms.T) if self.similarity == "cosine" else self.gram

    def centred_rows(self) -> torch.Tensor:
        """The (normalised) rows less their mean, shape (n, d) float32.

        Raises:
            NoVariationError: all rows are equal up to rounding.
        """
        x = self.x if self.similarity == "cosine" else self.moved
        z = x - x.mean(0, dtype=torch.float64).float()
        if self.similarity == "cosine":
            varies = torch.linalg.vector_norm(z, dtype=torch.float64) > CONSTANT * self.n**0.5
        else:  # per feature: a large constant feature must not hide the variation of the others
            varies = (z.abs().amax(0) > CONSTANT * self.x.abs().amax(0)).any()
        if not varies:
            raise NoVariationError(
                "all samples have the same features up to rounding: there is nothing to compare. Leave this layer out."
            )
        return z

    def require_features(self, user: str) -> None:
        """Refuses a layer without features, for `user`; this one has them."""

    def require_variation(self) -> None:
        """Refuses a layer in which all samples are alike. Cost at most n d, or n if an early one differs.

        Raises:
            NoVariationError: all rows are equal up to rounding.
        """
        if "gram" in vars(self):
            row, squared = self.gram[0], self.gram.diagonal()
        else:
            rows = self.x if self.similarity == "cosine" else self.moved
            row, squared = rows @ rows[0], rows.square().sum(dim=1)
        if (squared + squared[0] - 2 * row).amax() > 1e-5 * max(self.power, squared.amax().item()):
            return
        self.centred_rows()

    def neighbours(self, k: int, rule: TieRule = "random") -> torch.Tensor:
        """Indices of each sample's k nearest others, nearest first, shape (n, k) int64.

        Args:
            k: number of neighbours; the first of more are these.
            rule: which of equally near samples are taken; see `platorep.metrics.ties`.

        Raises:
            FeatureError: k < 1 or k >= n.
        """
        return self.nearest(k, rule).indices

    def tied(self, k: int, rule: TieRule = "random") -> float:
        """Share of samples whose k-th neighbour is exactly as near as the next sample, in [0, 1]."""
        return self.nearest(k, rule).tied(k).double().mean().item()

    def nearest(self, k: int, rule: TieRule = "random") -> Nearest:
        """`neighbours` with their closeness, whose scale and offset are arbitrary."""
        check_k(k, self.n)
        if rule not in self._found or self._found[rule].indices.shape[1] < k:
            self._found[rule] = self._search(k, self._priority(rule))
        longest = self._found[rule]
        return Nearest(longest.indices[:, :k], longest.closeness[:, : k + 1])

    def _priority(self, rule: TieRule) -> Priority:
        if rule == "first":
            return ties.by_index

        def priority(queries: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            if self.seed is None:  # asked only where something is tied
                content = self.gram if self.n <= DENSE else self.x
                self.seed = ties.seed_of(content.cpu().numpy().tobytes())
            return ties.by_seed(self.seed)(queries, rows)

        return priority

    def _search(self, k: int, priority: Priority) -> Nearest:
        if self.n > DENSE:
            if self.similarity == "euclidean" or 1 - (self.x @ self.x[0]).mean() < _NARROW:
                return shortlist.nearest(self.moved, k, similarity="euclidean", priority=priority)
            return shortlist.nearest(self.x, k, priority=priority)
        gram, distances = self.gram, self.similarity == "euclidean"
        if not distances and 1 - gram[0].mean() < _NARROW:
            gram, distances = inner_products(self.moved), True
        squared = gram.diagonal()
        # -|a-b|^2 is 2<a,b> - |b|^2 up to the query's own constant
        closeness = 2 * gram - squared[None, :] if distances else gram
        nearest_rows = top_k(closeness, k, priority)
        apart = squared - nearest_rows.closeness[:, 0]
        if (suspects := apart < _TWINS * squared).any():
            closeness = _with_equal_rows(closeness, self.x, suspects.nonzero().flatten())
            nearest_rows = top_k(closeness, k, priority)
        if not distances:
            return nearest_rows
        queries = torch.arange(self.n, device=gram.device)
        return refined([nearest_rows], self.moved, squared, queries, self.moved, [self.n], priority)[0]


def scaled(x: torch.Tensor, exponent: int) -> torch.Tensor:
    """`x` divided by 2^exponent, in float32; `x` itself for 0."""
    return (x.double() * 2.0**-exponent).to(torch.float32) if exponent else x


def _exponent(norms: torch.Tensor) -> int:
    """The power of two by which features are divided so that their squares stay in range: 0 where they do."""
    top = norms.amax().item()
    if not 0 < top < float("inf") or _RANGE[0] <= top <= _RANGE[1]:
        return 0
    return int(np.frexp(top)[1])


def _with_equal_rows(closeness: torch.Tensor, x: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """Closeness in which samples with equal features are equally near to every sample.

    A matrix product may add in a different order at the edge of a block, so that equal rows differ in the last bit.
    """
    rows = np.ascontiguousarray(x[candidates].cpu().numpy() + np.float32(0))  # -0 becomes 0
    _, first, group = np.unique(rows.view(np.dtype((np.void, rows.strides[0]))), return_index=True, return_inverse=True)
    same = candidates[torch.from_numpy(first[group.ravel()]).to(candidates.device)]
    others = candidates != same
    return closeness.index_copy(1, candidates[others], closeness[:, same[others]]) if others.any() else closeness
