"""What a metric is, and what it sees of a layer.

A metric compares two representations of the same n samples. It prepares each layer once and scores all pairs of
prepared layers at once; `align` calls `prepare` L times and `score_all` once a pair of models, never the reverse.
Several metrics share one `Geometry` a layer, so that the similarity matrix and the neighbour graph are computed once.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import torch

from platorep.core.errors import FeatureError
from platorep.metrics.knn import DENSE, check_k, inner_products, neighbours, top_k


Similarity = Literal["cosine", "euclidean"]
Invariance = Literal["orthogonal", "scaling", "translation", "invertible_linear", "sample_scaling"]
"""What may be done to one side without changing the score: rotation of the features, one positive factor for all,
one vector added to all, any invertible linear map, or a positive factor for each sample."""


class Geometry:
    """One layer's samples, with the similarity matrix and the neighbours computed on first use and kept.

    Args:
        x: clipped features, shape (n, d), any floating dtype; computed with in float32.
        similarity: "cosine" divides each row by its length; "euclidean" leaves it (neighbours by distance).

    Raises:
        FeatureError: fewer than 2 rows, values that are not finite, or a zero row under cosine.
    """

    def __init__(self, x: torch.Tensor, similarity: Similarity = "cosine") -> None:
        if x.ndim != 2 or len(x) < 2 or x.shape[1] < 1:
            raise FeatureError(f"features must have shape (n >= 2, d >= 1); got {tuple(x.shape)}.")
        x = x.to(torch.float32)
        self._set(torch.linalg.vector_norm(x, dim=1, keepdim=True), similarity)
        self.x = x / self._norms if similarity == "cosine" else x

    @classmethod
    def concatenation(
        cls, products: torch.Tensor, features: Callable[[], torch.Tensor], similarity: Similarity = "cosine"
    ) -> Geometry:
        """The concatenation of layers, from the sum of their inner products instead of a product of its own.

        The concatenated features themselves are made only for a metric that asks for `x`.

        Args:
            products: the sum of the layers' `products()`, shape (n, n).
            features: makes the concatenation of the clipped, unnormalised layers, shape (n, sum of d).
            similarity: as above; under cosine the concatenated rows are divided by their length.
        """
        self = cls.__new__(cls)
        self._set(products.diagonal().sqrt()[:, None], similarity)
        self._features = features
        self.gram = products / (self._norms * self._norms.T) if similarity == "cosine" else products
        return self

    def _set(self, norms: torch.Tensor, similarity: Similarity) -> None:
        if not torch.isfinite(norms).all():
            bad = (~torch.isfinite(norms)).nonzero()[0, 0].item()
            raise FeatureError(
                f"features are not finite, or too large for float32 (first in row {bad}). Find the sample, or drop it on both sides; "
                "or scale the features."
            )
        if similarity == "cosine" and (norms == 0).any():
            row = (norms == 0).nonzero()[0, 0].item()
            raise FeatureError(
                f"row {row} is the zero vector (or too short for float32: scale the features), which has no direction: cosine "
                "similarity is undefined. Use similarity=euclidean."
            )
        self._norms = norms
        self.similarity: Similarity = similarity
        self.n = len(norms)
        self._neighbours: torch.Tensor | None = None

    @cached_property
    def x(self) -> torch.Tensor:
        """The features, rows of length 1 under cosine, shape (n, d) float32."""
        x = self._features()
        return x / self._norms if self.similarity == "cosine" else x

    @cached_property
    def gram(self) -> torch.Tensor:
        """Inner products of the (normalised) rows, shape (n, n) float32. Cost 0.6 n^2 d."""
        return inner_products(self.x)

    def products(self) -> torch.Tensor:
        """Inner products of the rows before they are normalised, shape (n, n) float32: those of a concatenation are their sum."""
        return self.gram * (self._norms * self._norms.T) if self.similarity == "cosine" else self.gram

    def neighbours(self, k: int) -> torch.Tensor:
        """Indices of each sample's k nearest others, nearest first, shape (n, k) int64; ties go to the lower index.

        Raises:
            FeatureError: k < 1 or k >= n.
        """
        check_k(k, self.n)
        if self._neighbours is None or self._neighbours.shape[1] < k:
            if self.n > DENSE:
                self._neighbours = neighbours(self.x, k, similarity=self.similarity)
            else:
                squared = self.gram.diagonal()  # -|a-b|^2 is 2<a,b> - |b|^2 up to the query's own constant
                self._neighbours = top_k(
                    self.gram if self.similarity == "cosine" else 2 * self.gram - squared[None, :], k
                )
        return self._neighbours[:, :k]


class NullMoments(NamedTuple):
    """Exact mean and standard deviation of a score when one side's samples are relabelled uniformly at random."""

    mean: torch.Tensor  # (Lx, Ly) float64
    sd: torch.Tensor  # (Lx, Ly) float64
    skewness: torch.Tensor | None = (
        None  # (Lx, Ly) float64, to first order in 1/n; None where the null is close to normal
    )


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A similarity of representations: larger is more alike. Parameters are the dataclass's fields.

    Declared properties are read by the property tests: each declared invariance is tested, each undeclared one has a
    counter-example.
    """

    name: ClassVar[str]
    symmetric: ClassVar[bool] = True
    similarity: Similarity = "cosine"

    @property
    def id(self) -> str:
        """Name with every parameter: mutual_knn(k=10,similarity=cosine)."""
        words = ",".join(
            f"{f.name}={_word(getattr(self, f.name))}" for f in sorted(dataclasses.fields(self), key=lambda f: f.name)
        )
        return f"{self.name}({words})"

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that the score can take; infinite where it is unbounded."""

    @property
    @abstractmethod
    def invariances(self) -> frozenset[Invariance]:
        """What leaves the score unchanged up to rounding."""

    def check(self, n: int) -> None:
        """Refuses a number of samples for which the score is undefined.

        Raises:
            FeatureError: n is too small.
        """
        if n < 2:
            raise FeatureError(f"{self.name} needs at least 2 samples; got {n}.")

    def state_bytes(self, n: int, d: int) -> int:
        """About how much memory one prepared layer of shape (n, d) takes: what `align` plans with. One n x n matrix unless overridden."""
        return 4 * n * n

    @abstractmethod
    def prepare(self, layer: Geometry) -> Any:
        """Everything of one layer that the score needs, computed once."""

    @abstractmethod
    def score_all(self, xs: Sequence[Any], ys: Sequence[Any]) -> torch.Tensor:
        """Scores of all pairs of prepared layers, shape (len(xs), len(ys)), float64 on the CPU."""

    def score(self, x: Any, y: Any) -> float:
        """Score of one pair of prepared layers."""
        return self.score_all([x], [y])[0, 0].item()

    def null(self, xs: Sequence[Any], ys: Sequence[Any]) -> NullMoments | None:
        """Exact null moments of every pair under uniform relabelling; None where no closed form is known."""
        return None


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
