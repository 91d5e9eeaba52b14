"""Layers of one model as metrics see them: those that take part, and why others do not.

An alignment table says the same of the layers of all models; `remarks` has it in sentences for whoever reads scores.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from platorep.align.layers import ModelLayers
from platorep.align.remarks import ALIKE
from platorep.core.errors import FeatureError, NoVariationError
from platorep.metrics.base import Metric, NeighbourhoodMetric, TieRule
from platorep.metrics.knn import Similarity
from platorep.results.tables import CONCATENATION


@dataclass
class Prepared:
    """One model's layers as one metric sees them.

    Attributes:
        indices: the layers that take part, in depth order; the concatenation, -1, last.
        states: what the metric prepared of each of them.
        left_out: why each of the others takes no part, by index.
    """

    indices: list[int] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)

    def add(self, index: int, prepare: Callable[[], Any]) -> None:
        """Keeps what `prepare` makes of a layer, or why the metric is undefined for it."""
        try:
            state = prepare()
        except FeatureError as error:
            self.left_out[index] = ALIKE if isinstance(error, NoVariationError) else str(error)
        else:
            self.indices.append(index)
            self.states.append(state)


def why(error: FeatureError, layers: ModelLayers) -> str:
    """Why all layers of a model are left out, without its name."""
    return str(error).removeprefix(f"{layers.features.name}, ").removeprefix(f"{layers.features.name}: ")


def prepare(
    layers: ModelLayers,
    metrics: Sequence[Metric],
    *,
    concatenation: bool = True,
    only: Collection[int] | None = None,
    progress: Callable[[str], object] | None = None,
) -> dict[str, Prepared]:
    """Every layer of one model, prepared for each metric; one geometry of a layer and similarity serves all metrics.

    A layer for which a metric is undefined is left out of that metric, and the rest goes on. Where the clamp's
    threshold cannot be found, because a value is not finite, all layers are left out.

    Args:
        layers: of one model.
        metrics: their ids differ.
        concatenation: whether the concatenation of all layers takes part.
        only: indices of the layers that are prepared; None: all.
        progress: called with the model's name after each layer.

    Returns:
        The prepared layers by metric id.
    """
    prepared = {metric.id: Prepared() for metric in metrics}
    widest: dict[tuple[Similarity, TieRule], int] = {}
    for metric in metrics:
        if isinstance(metric, NeighbourhoodMetric):  # the largest k first: the others are its first columns
            kept = (metric.similarity, metric.ties)
            widest[kept] = max(widest.get(kept, 0), metric.neighbourhood + 1)
    name = layers.features.name
    try:
        for index, geometries in layers.geometries(
            sorted({m.similarity for m in metrics}), concatenation=concatenation
        ):
            if only is None or index in only:
                for (similarity, rule), k in widest.items():
                    geometry = geometries[similarity]
                    if not isinstance(geometry, FeatureError) and k < geometry.n:
                        geometry.neighbours(k, rule)
                for metric in metrics:
                    prepared[metric.id].add(index, partial(_prepared, metric, geometries))
            if progress is not None and index != CONCATENATION:
                progress(name)
    except FeatureError as error:  # of the threshold, before any layer
        indices = [*range(len(layers.features.layers)), *([CONCATENATION] if concatenation else [])]
        wanted = [index for index in indices if only is None or index in only]
        return {key: Prepared(left_out=dict.fromkeys(wanted, why(error, layers))) for key in prepared}
    return prepared


def _prepared(metric: Metric, geometries: Mapping[Similarity, Any]) -> Any:
    return metric.prepare(geometry_of(geometries[metric.similarity]))


def geometry_of(geometry: Any) -> Any:
    """A geometry, or the error that stands in its place, raised."""
    if isinstance(geometry, FeatureError):
        raise geometry
    return geometry


def ties_of(prepared: Prepared, metric: Metric) -> dict[int, float]:
    """Share of samples whose last neighbour is tied, by the index of the layer."""
    return {index: metric.tied(state) for index, state in zip(prepared.indices, prepared.states, strict=True)}


def matrix(
    scores: torch.Tensor, x: Prepared, y: Prepared, rows: Collection[int], columns: Collection[int]
) -> torch.Tensor:
    """Scores of the layers that take part, in their places among all layers; NaN elsewhere.

    Args:
        scores: shape (layers of x that take part, layers of y that do).
        x: of one model.
        y: of the other.
        rows: indices of all layers of x, in order.
        columns: of y.
    """
    whole = scores.new_full((len(rows), len(columns)), torch.nan)
    down, across = (
        torch.tensor([list(all_layers).index(index) for index in side.indices], dtype=torch.int64)
        for all_layers, side in ((rows, x), (columns, y))
    )
    whole[down[:, None], across] = scores
    return whole
