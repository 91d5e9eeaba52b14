"""Inputs of the experiments: the chosen layers of every pair of models, one geometry at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from platorep.align.layers import ModelLayers, check_same_samples, full_precision
from platorep.align.prepared import geometry_of
from platorep.core.clamp import EXACT, Clamp
from platorep.core.errors import DataError
from platorep.core.features import Features
from platorep.core.resources import DEFAULT, Resources, pick_device
from platorep.metrics.base import Geometry
from platorep.metrics.knn import Similarity
from platorep.stats.items import Bounds


Made = TypeVar("Made")

Layer = tuple[str, int]
"""A model's name and the index of a layer, -1 for the concatenation of all."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs that every experiment has.

    Args:
        models: features of the same samples.
        pairs: one row per pair of models, with the layers that the protocol chose (`results.views.cross_modal` keeps
            language and vision; x is language): columns dataset, metric, x_model, x_layer, y_model, y_layer, score.
        categories: one label per sample, if the dataset has categories.
        variants: features of other versions of the dataset, by the variant's name and the model's.
        rows: the sample of every row, by the variant's name, where a variant has several rows per sample.
        ids: ids of the samples by the name of the dataset, for versions whose samples differ from the experiment's.
        similarity: similarity of the metric that chose the layers.
        clamp: clamp of the features.
        resources: device and memory.
        seed: seed of all draws.
    """

    models: Sequence[Features]
    pairs: pd.DataFrame
    categories: Sequence[str] | None = None
    variants: Mapping[str, Mapping[str, Features]] = field(default_factory=dict)
    rows: Mapping[str, Sequence[int]] = field(default_factory=dict)
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    similarity: Similarity = "cosine"
    clamp: Clamp = EXACT
    resources: Resources = DEFAULT
    seed: int = 0

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.models[0].n

    @property
    def labels(self) -> Sequence[str]:
        """The categories.

        Raises:
            DataError: the dataset has none.
        """
        if self.categories is None:
            raise DataError("the experiment needs a dataset with categories; this one has none.")
        return self.categories

    def common(self) -> dict[str, Any]:
        """Columns that all rows of the experiment's table share."""
        row = self.pairs.iloc[0]
        return {"dataset": row.dataset, "n": self.n, "metric": row.metric, "seed": self.seed}

    def of_pairs(self) -> str:
        """The number of pairs of models, in words."""
        return "1 pair of models" if len(self.pairs) == 1 else f"{len(self.pairs)} pairs of models"

    @full_precision()
    def layers(self, make: Callable[[Geometry], Made], models: Sequence[Features] | None = None) -> dict[Layer, Made]:
        """The result of `make` for each chosen layer. The geometry of a layer is freed before the next one is built.

        Args:
            make: function of one geometry.
            models: other features of the chosen layers, such as those of other captions; None: the experiment's.

        Raises:
            FeatureError: a chosen layer has no geometry.
            DataError: the models have different samples.
        """
        models = self.models if models is None else models
        check_same_samples(models)
        wanted = {(row[f"{side}_model"], row[f"{side}_layer"]) for _, row in self.pairs.iterrows() for side in "xy"}
        made: dict[Layer, Made] = {}
        for model in models:
            indices = {layer for name, layer in wanted if name == model.name}
            if not indices:
                continue
            layers = ModelLayers(
                model,
                clamp=self.clamp,
                memory=self.resources.memory,
                device=pick_device(self.resources.device),
            )
            for index, geometries in layers.geometries([self.similarity], concatenation=-1 in indices):
                if index in indices:
                    made[model.name, index] = make(geometry_of(geometries[self.similarity]))
        return made


def columns_of(row: pd.Series) -> dict[str, Any]:
    """The columns of a table of results that name a pair and its layers."""
    return {name: row[name] for name in ("x_model", "x_layer", "y_model", "y_layer")}


def bounded(quantity: str, bounds: Bounds) -> dict[str, Any]:
    """The columns of a table of results that hold a number and its interval."""
    return {"quantity": quantity, "value": bounds.score, "low": bounds.low, "high": bounds.high}


def common_shares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Share of the k neighbours of each sample in one graph that it also has in the other, both (n, k); shape (n,)."""
    return (x[:, :, None] == y[:, None, :]).any(axis=2).mean(axis=1)


def geometry_of_rows(geometry: Geometry, places: Any) -> Geometry:
    """The geometry of some of the samples: their similarities and neighbours among each other."""
    return Geometry(geometry.x[places], geometry.similarity, seed=geometry.seed)
