"""The layers of one model as they are scored: read once, clamped at the model's threshold, with their concatenation."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial

import torch

from platorep.core.clamp import EXACT, Clamp
from platorep.core.errors import DataError, FeatureError
from platorep.core.features import Features, is_matrix, matrices
from platorep.core.resources import DEFAULT, Resources, pick_device
from platorep.metrics.geometry import Geometry, scaled
from platorep.metrics.knn import DENSE, Similarity
from platorep.metrics.matrix_geometry import MatrixGeometry
from platorep.metrics.preprocess import clip_threshold
from platorep.metrics.ties import TieRule, seed_of
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


@lru_cache
def _say_sparse(name: str, quantile: float) -> None:
    """Says so once per model, however many versions of its layers are read."""
    log.warning("%s: more than %g of its features are 0; they are not clamped.", name, quantile)


class ModelLayers:
    """One model's layers, clamped. They are held in memory if they fit in `memory` bytes and else read at each use.

    A model that is a matrix of dissimilarities is not clamped; its geometries are of the mean of its repetitions, and
    of the sum of these means over layers for the concatenation.

    Args:
        features: the stored features.
        clamp: how values are clamped, over all layers together.
        memory: bytes that may be held.
        device: where layers are loaded to.
    """

    def __init__(self, features: Features, *, clamp: Clamp, memory: int, device: torch.device | str = "cpu") -> None:
        self.features, self.clamp, self.device = features, clamp, str(device)
        self.is_matrix = is_matrix(features)
        self.holds = feature_bytes(features) <= memory and not self.is_matrix

    @cached_property
    def _held(self) -> list[torch.Tensor]:
        return [self.features.load(i, device=self.device) for i in range(len(self.features.layers))]

    @cached_property
    def threshold(self) -> float | None:
        """The value at which this model's features are clamped; None for the rule "none", sparse features and matrices.

        Raises:
            FeatureError: a value is not finite; names the model.
        """
        if self.is_matrix:
            return None
        layers = self._held if self.holds else [partial(self._rows, i) for i in range(len(self.features.layers))]
        try:
            value = clip_threshold(layers, self.features.n, self.clamp)
        except FeatureError as error:
            names = [layer.name for layer in self.features.layers]
            bad = next(
                (name for i, name in enumerate(names) if not torch.isfinite(self._rows(i, slice(None))).all()), None
            )
            raise FeatureError(f"{self.features.name}{f', layer {bad}' if bad else ''}: {error}") from error
        if value == 0:
            # word counts and their like: a clamp at 0 would leave nothing of them, and they have no outlier dimensions
            _say_sparse(self.features.name, self.clamp.quantile)
            return None
        return value

    def clipped(self, layer: int) -> torch.Tensor:
        """One layer, clamped, shape (n, d) float32. To be read only."""
        threshold = self.threshold
        x = self._held[layer] if self.holds else self._rows(layer, slice(None))
        return x if threshold is None else x.clamp_(-threshold, threshold)  # clamping twice changes nothing

    def geometries(
        self, similarities: Sequence[Similarity], *, concatenation: bool = True
    ) -> Iterator[tuple[int, dict[Similarity, Geometry | FeatureError]]]:
        """Each layer's index and geometries, in depth order, then those of the concatenation as index -1.

        A layer without geometry, such as one with a zero row under cosine, has the error in its place, and so has the
        concatenation that it is a part of. The concatenation's inner products are summed from the layers' on the way:
        no product over all widths is made.

        Raises:
            FeatureError: a value is not finite, before the first layer; names the model.
        """
        _ = self.threshold  # of all layers together: what is wrong with one of them is not said of the first
        sums: dict[Similarity, _Sum | FeatureError] = {similarity: _Sum() for similarity in similarities}
        dense = self.features.n <= DENSE
        for index, layer in enumerate(self.features.layers):
            by_similarity = {similarity: self._geometry(index, similarity) for similarity in similarities}
            yield index, by_similarity
            for similarity, geometry in by_similarity.items():
                whole = sums[similarity]
                if isinstance(geometry, FeatureError):
                    sums[similarity] = FeatureError(f"layer {layer.name}: {geometry}")
                elif concatenation and not isinstance(whole, FeatureError):
                    whole.add(geometry, products=dense)
        if concatenation:
            yield CONCATENATION, {similarity: self._whole(whole, similarity) for similarity, whole in sums.items()}

    def _geometry(self, index: int, similarity: Similarity) -> Geometry | FeatureError:
        seed = tie_seed(self.features.key, index)
        try:
            if self.is_matrix:
                mean = matrices(self.features, index, device=self.device).mean(dim=0, dtype=torch.float64)
                return MatrixGeometry(mean, similarity, seed=seed)
            return Geometry(self.clipped(index), similarity, seed=seed)
        except FeatureError as error:
            return error

    def _whole(self, whole: _Sum | FeatureError, similarity: Similarity) -> Geometry | FeatureError:
        """The geometry of the concatenation."""
        if isinstance(whole, FeatureError):
            return whole
        seed = tie_seed(self.features.key, CONCATENATION)
        try:
            if self.is_matrix and whole.products is not None:
                return MatrixGeometry(whole.products * -2, similarity, seed=seed)
            if whole.products is None:
                return Geometry(self._joined(), similarity, seed=seed)
            exponent = whole.exponent
            return Geometry.concatenation(
                whole.products,
                lambda: scaled(self._joined(), exponent),
                similarity,
                exponent=exponent,
                power=whole.power,
                seed=seed,
            )
        except FeatureError as error:
            return error

    def _joined(self) -> torch.Tensor:
        return torch.cat([self.clipped(i) for i in range(len(self.features.layers))], dim=1)

    def _rows(self, layer: int, rows: slice) -> torch.Tensor:
        return self.features.load(layer, rows=rows, device=self.device)


class _Sum:
    """Inner products of layers, summed: those of their concatenation, in units of 4^exponent."""

    def __init__(self) -> None:
        self.products: torch.Tensor | None = None
        self.exponent, self.power = 0, 0.0

    def add(self, layer: Geometry, *, products: bool) -> None:
        if not products:
            return
        more, shift = layer.products(), layer.exponent - self.exponent
        if self.products is None:
            self.products, self.exponent, self.power = more.clone(), layer.exponent, layer.power
        elif shift > 0:  # the larger unit: what is too small for it is too small for the sum
            self.products.mul_(4.0**-shift).add_(more)
            self.exponent, self.power = layer.exponent, self.power * 4.0**-shift + layer.power
        else:
            self.products.add_(more if shift == 0 else more * 4.0**shift)
            self.power += layer.power * 4.0**shift


def tie_seed(key: str, layer: int) -> int:
    """Seed of the order of tied samples of one layer: layers that are compared break their ties independently."""
    return seed_of(f"{key}/{layer}".encode())


def check_same_samples(models: Sequence[Features]) -> None:
    """Refuses models of different samples, or of the same in another order.

    Raises:
        DataError: names two of them.
    """
    for other in models[1:]:
        first = models[0]
        if other.n != first.n:
            raise DataError(
                f"{first.name} has {first.n} samples (rows) and {other.name} has {other.n}; expected the same samples "
                "in the same order. Extract both from the same dataset, or drop the rows that only one has."
            )
        if other.digest != first.digest:
            raise DataError(
                f"{first.name} and {other.name} have different samples, or the same in another order: their {first.n} "
                f"ids have the digests {first.digest[:12]} and {other.digest[:12]}. Extract both from the same dataset."
            )


def feature_bytes(features: Features) -> int:
    """Bytes of all layers in float32."""
    return 4 * features.n * sum(layer.dim for layer in features.layers)


@full_precision()
def neighbour_graphs(
    features: Features,
    k: int,
    *,
    similarity: Similarity = "cosine",
    ties: TieRule = "random",
    clamp: Clamp = EXACT,
    concatenation: bool = True,
    resources: Resources = DEFAULT,
) -> list[torch.Tensor]:
    """The k nearest neighbours of every sample in every layer of a model, as `align` sees them.

    Permutation tests need no more.

    Returns:
        One (n, k) int64 tensor a layer, on the CPU, in depth order; the concatenation last.

    Raises:
        FeatureError: a layer has no neighbours; names it.
    """
    device, graphs = pick_device(resources.device), []
    layers = ModelLayers(features, clamp=clamp, memory=resources.memory, device=device)
    for index, by_similarity in layers.geometries([similarity], concatenation=concatenation):
        geometry = by_similarity[similarity]
        if isinstance(geometry, FeatureError):
            name = "concatenation" if index == CONCATENATION else features.layers[index].name
            raise FeatureError(f"{features.name}, layer {name}: {geometry}") from geometry
        graphs.append(geometry.neighbours(k, ties).cpu())
    return graphs
