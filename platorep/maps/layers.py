"""The layers to translate between, each read once, with the clamp's threshold in every split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from platorep.align.layers import feature_bytes, tie_seed
from platorep.core.clamp import Clamp
from platorep.core.errors import FeatureError
from platorep.core.features import Features
from platorep.maps.splits import Split
from platorep.metrics.base import Metric
from platorep.metrics.geometry import Geometry
from platorep.metrics.preprocess import clip, clip_threshold
from platorep.results.tables import CONCATENATION
from platorep.results.translation import RANDOM, SELF, TRIVIAL


TRIVIAL_SOURCES = ("pixels", "tfidf")
"""Sources of models that only see pixels or count words."""


@dataclass(frozen=True)
class LayerOf:
    """One layer of a model, by its index in depth order; -1 is the concatenation of all of them."""

    model: Features
    index: int

    @property
    def key(self) -> tuple[str, int]:
        """Equal keys mean equal features."""
        return self.model.key, self.index

    @property
    def name(self) -> str:
        """Name of the layer."""
        return "concatenation" if self.index == CONCATENATION else self.model.layers[self.index].name


@dataclass(frozen=True)
class Pair:
    """Two layers to translate between."""

    x: LayerOf
    y: LayerOf

    @property
    def control(self) -> str:
        """The kind of control that the pair is; empty for two trained models."""
        if self.x.key == self.y.key:
            return SELF
        models = [layer.model.spec.model for layer in (self.x, self.y)]
        if any(model.weights == "random" for model in models):
            return RANDOM
        return TRIVIAL if any(model.source in TRIVIAL_SOURCES for model in models) else ""


@dataclass(frozen=True)
class Loaded:
    """The features of a layer.

    Attributes:
        layer: the layer.
        values: shape (n, d) float32, not clamped.
        thresholds: the clamp's threshold in each split, from the samples of fit over all layers of the model; None if
            nothing is clamped.
    """

    layer: LayerOf
    values: torch.Tensor
    thresholds: list[float | None]

    def clamped(self, split: int) -> torch.Tensor:
        """Features clamped for one split, shape (n, d) float32."""
        return clip(self.values, self.thresholds[split])

    def geometry(self, split: int, places: np.ndarray) -> Geometry:
        """The geometry of some of the samples, as metrics see them.

        Raises:
            FeatureError: they have no geometry, for example because of a row of zeros under cosine similarity.
        """
        return Geometry(self.clamped(split)[places], seed=tie_seed(*self.layer.key))


def load(layers: Sequence[LayerOf], splits: Sequence[Split], clamp: Clamp, memory: int) -> list[Loaded]:
    """The features of the layers, in order. Memory holds the layers of one model at a time.

    Args:
        layers: layers of models on the same samples.
        splits: splits of the samples.
        clamp: rule of the thresholds.
        memory: bytes that the layers of one model may take; larger models are read several times.

    Raises:
        FeatureError: a value is not finite; the message names model and layer.
    """
    thresholds: dict[str, list[float | None]] = {}
    loaded = []
    for layer in layers:
        model = layer.model
        if model.key not in thresholds:
            thresholds[model.key] = _thresholds(model, splits, clamp, memory)
        if layer.index == CONCATENATION:
            values = torch.cat([model.load(index) for index in range(len(model.layers))], dim=1)
        else:
            values = model.load(layer.index)
        if not torch.isfinite(values).all():
            raise FeatureError(
                f"{model.name}, layer {layer.name}: a value is NaN or infinite. Find the sample, or drop it everywhere."
            )
        loaded.append(Loaded(layer, values, thresholds[model.key]))
    return loaded


def _thresholds(model: Features, splits: Sequence[Split], clamp: Clamp, memory: int) -> list[float | None]:
    """The clamp's threshold in each split; None without a clamp, and for word counts, which are mostly 0."""
    indices = range(len(model.layers))
    held = [model.load(index) for index in indices] if feature_bytes(model) <= memory else None
    thresholds = []
    for split in splits:
        loads = [partial(_rows, model, index, split.fit, None if held is None else held[index]) for index in indices]
        try:
            value = clip_threshold(loads, len(split.fit), clamp)
        except FeatureError as error:
            raise FeatureError(f"{model.name}: {error}") from error
        thresholds.append(value or None)
    return thresholds


def _rows(model: Features, index: int, fit: np.ndarray, held: torch.Tensor | None, rows: slice) -> torch.Tensor:
    """Some of the samples of fit in a layer."""
    return (model.load(index) if held is None else held)[fit[rows]]


def kernel_score(a: Geometry, b: Geometry, metric: Metric) -> tuple[float, float]:
    """Score of two geometries, and its mean under relabelling; NaN if the metric is undefined or has no known mean."""
    try:
        x, y = metric.prepare(a), metric.prepare(b)
    except FeatureError:
        return float("nan"), float("nan")
    null = metric.null([x], [y])
    return metric.score(x, y), float("nan") if null is None else float(null.mean)
