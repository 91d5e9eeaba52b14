"""The layers of one model as they are scored: read once, clamped at the model's threshold, with their concatenation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial

import torch

from platorep.core.errors import FeatureError
from platorep.core.features import Features
from platorep.metrics.base import Geometry, Similarity
from platorep.metrics.knn import DENSE
from platorep.metrics.preprocess import ClipRule, clip_threshold
from platorep.results.tables import CONCATENATION


log = logging.getLogger(__name__)


@contextmanager
def full_precision() -> Iterator[None]:
    """Products in full float32, within a block or a decorated function: TF32 would move neighbours."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class ModelLayers:
    """One model's layers, clamped. They are held in memory if they fit in `memory` bytes and else read at each use.

    Args:
        features: the stored features.
        clip: rule of the clamp's threshold.
        quantile: of |features| over all layers together.
        memory: bytes that may be held.
        device: where layers are loaded to.
    """

    def __init__(
        self, features: Features, *, clip: ClipRule, quantile: float, memory: int, device: str = "cpu"
    ) -> None:
        self.features, self.clip, self.quantile, self.device = features, clip, quantile, device
        self.holds = feature_bytes(features) <= memory

    @cached_property
    def _held(self) -> list[torch.Tensor]:
        return [self.features.load(i, device=self.device) for i in range(len(self.features.layers))]

    @cached_property
    def threshold(self) -> float | None:
        """The value at which this model's features are clamped; None for the rule "none", and for sparse features.

        Raises:
            FeatureError: a value is not finite; names the model.
        """
        layers = self._held if self.holds else [partial(self._rows, i) for i in range(len(self.features.layers))]
        try:
            found = clip_threshold(layers, self.features.n, rule=self.clip, quantile=self.quantile)
        except FeatureError as error:
            names = [layer.name for layer in self.features.layers]
            bad = next(
                (name for i, name in enumerate(names) if not torch.isfinite(self._rows(i, slice(None))).all()), None
            )
            raise FeatureError(f"{self.features.name}{f', layer {bad}' if bad else ''}: {error}") from error
        if found == 0:
            # word counts and their like: a clamp at 0 would leave nothing of them, and they have no outlier dimensions
            log.warning(
                "%s: more than %g of its features are 0; they are not clamped.", self.features.name, self.quantile
            )
            return None
        return found

    def clipped(self, layer: int) -> torch.Tensor:
        """One layer, clamped, shape (n, d) float32. To be read only."""
        threshold = self.threshold
        x = self._held[layer] if self.holds else self._rows(layer, slice(None))
        return x if threshold is None else x.clamp_(-threshold, threshold)  # clamping twice changes nothing

    def geometries(
        self, similarities: Sequence[Similarity], *, concatenation: bool = True
    ) -> Iterator[tuple[int, dict[Similarity, Geometry]]]:
        """Each layer's index and geometries, in depth order, then those of the concatenation as index -1.

        The concatenation's inner products are summed from the layers' on the way: no product over all widths is made.

        Raises:
            FeatureError: a layer that has no geometry; names model and layer.
        """
        _ = self.threshold  # of all layers together: what is wrong with one of them is not said of the first
        sums: dict[Similarity, torch.Tensor] = {}
        dense = self.features.n <= DENSE
        for index, layer in enumerate(self.features.layers):
            made = self._made(layer.name, similarities, lambda s, i=index: Geometry(self.clipped(i), s))
            yield index, made
            if concatenation and dense:
                for similarity, geometry in made.items():
                    products = geometry.products()
                    sums[similarity] = sums[similarity].add_(products) if similarity in sums else products.clone()
        if concatenation:
            if dense:
                yield (
                    CONCATENATION,
                    self._made(
                        "concatenation", similarities, lambda s: Geometry.concatenation(sums[s], self._joined, s)
                    ),
                )
            else:
                joined = self._joined()
                yield CONCATENATION, self._made("concatenation", similarities, lambda s: Geometry(joined, s))

    def _made(
        self, layer: str, similarities: Sequence[Similarity], make: Callable[[Similarity], Geometry]
    ) -> dict[Similarity, Geometry]:
        try:
            return {similarity: make(similarity) for similarity in similarities}
        except FeatureError as error:
            raise FeatureError(f"{self.features.name}, layer {layer}: {error}") from error

    def _joined(self) -> torch.Tensor:
        return torch.cat([self.clipped(i) for i in range(len(self.features.layers))], dim=1)

    def _rows(self, layer: int, rows: slice) -> torch.Tensor:
        return self.features.load(layer, rows=rows, device=self.device)


def feature_bytes(features: Features) -> int:
    """Bytes of all layers in float32."""
    return 4 * features.n * sum(layer.dim for layer in features.layers)


@full_precision()
def neighbour_graphs(
    features: Features,
    k: int,
    *,
    similarity: Similarity = "cosine",
    clip: ClipRule = "exact",
    quantile: float = 0.95,
    concatenation: bool = True,
    memory: int = 4 << 30,
    device: str = "cpu",
) -> list[torch.Tensor]:
    """The k nearest neighbours of every sample in every layer of a model, as `align` sees them: what permutation tests need.

    Returns:
        One (n, k) int64 tensor a layer, on the CPU, in depth order; the concatenation last.
    """
    layers = ModelLayers(features, clip=clip, quantile=quantile, memory=memory, device=device)
    return [
        made[similarity].neighbours(k).cpu() for _, made in layers.geometries([similarity], concatenation=concatenation)
    ]
