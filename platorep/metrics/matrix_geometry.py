"""A matrix of dissimilarities as metrics see it: a layer whose samples have distances and no features."""

from __future__ import annotations

from typing import NoReturn

import torch

from platorep.core.errors import FeatureError, NoVariationError
from platorep.metrics.geometry import CONSTANT, Geometry
from platorep.metrics.knn import Similarity, top_k
from platorep.metrics.ties import Nearest, Priority


class MatrixGeometry(Geometry):
    """The geometry of an n x n matrix D of dissimilarities.

    D is read as squared distances up to a factor, as 1 - correlation, 1 - cosine and crossnobis are. Neighbours are the
    samples with the smallest dissimilarity. The Gram matrix is -D / 2, which after centring on both sides is that of
    points with these squared distances (Torgerson 1952; Gower 1966): so CKA, CKNNA, RSA and distance correlation work
    on it. Where D fits no points, as crossnobis with negative values, the kernel is indefinite; CKA stays the cosine of
    two centred matrices. RSA compares D under cosine, and its root under euclidean.

    Metrics that need features refuse it (`require_features`), and so does whatever reads `x`.

    Args:
        dissimilarities: shape (n, n), symmetric, diagonal 0.
        similarity: of the metric.
        seed: of the order of tied samples; None: a hash of the matrix.

    Raises:
        FeatureError: another shape, a value that is not finite, or a negative one under euclidean.
    """

    def __init__(
        self, dissimilarities: torch.Tensor, similarity: Similarity = "cosine", *, seed: int | None = None
    ) -> None:
        d = dissimilarities.to(torch.float32)
        if d.ndim != 2 or d.shape[0] != d.shape[1] or len(d) < 2:
            raise FeatureError(f"dissimilarities must have shape (n, n) with n >= 2; got {tuple(d.shape)}.")
        if not torch.isfinite(d).all():
            raise FeatureError("dissimilarities are not finite. Find the sample, or drop it on both sides.")
        if similarity == "euclidean" and (d < 0).any():
            raise FeatureError(
                f"a dissimilarity is {d.min():.3g}: under similarity=euclidean they are squared distances, which are "
                "not negative. Use similarity=cosine, or raise them to 0."
            )
        self.n, self.similarity, self.exponent, self.seed = len(d), similarity, 0, seed
        self._power = d.abs().mean().item()
        self._found = {}
        self.gram = d * -0.5

    @property
    def power(self) -> float:
        """Mean dissimilarity."""
        return self._power

    @property
    def x(self) -> torch.Tensor:
        """Refused with FeatureError."""
        self._refuse("this")

    @property
    def moved(self) -> torch.Tensor:
        """Refused with FeatureError."""
        self._refuse("this")

    def centred_rows(self) -> torch.Tensor:
        """Refused with FeatureError."""
        self._refuse("this")

    def require_features(self, user: str) -> None:
        """Refused with FeatureError, which names the metric that needs features."""
        self._refuse(user)

    def products(self) -> torch.Tensor:
        """-D / 2, whose sum over layers stands for all of them."""
        return self.gram

    def require_variation(self) -> None:
        """Refuses a matrix whose dissimilarities are all equal, with NoVariationError."""
        off = self.gram[~torch.eye(self.n, dtype=torch.bool, device=self.gram.device)]
        if not off.amax() - off.amin() > CONSTANT * off.abs().amax():
            raise NoVariationError("all dissimilarities are equal: there is nothing to compare. Leave this layer out.")

    def subset(self, rows: torch.Tensor) -> MatrixGeometry:
        """The same of some of the samples."""
        at = rows.to(self.gram.device)
        return MatrixGeometry(self.gram[at][:, at] * -2, self.similarity, seed=self.seed)

    def _search(self, k: int, priority: Priority) -> Nearest:
        return top_k(self.gram, k, priority)

    def _refuse(self, user: str) -> NoReturn:
        raise FeatureError(
            f"{user} needs features, and this model is a matrix of dissimilarities. Compare it by a metric on "
            "neighbours, cknna, cka, rsa or distance_correlation."
        )
