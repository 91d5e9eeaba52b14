"""Neighbours, hubs, ties and clamping of each model's layers, computed in one pass for the explorer and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from platorep.align.layers import ModelLayers, full_precision
from platorep.core.clamp import Clamp
from platorep.core.errors import FeatureError
from platorep.core.features import Features, Subset
from platorep.metrics.base import Similarity
from platorep.results.tables import CONCATENATION
from platorep.stats.hubness import hubness


@dataclass(frozen=True)
class Anatomy:
    """Neighbours and figures of the layers of one model.

    Attributes:
        graphs: neighbour indices of the wanted layers, shape (n, k) int64.
        layers: one row per layer: `layer`, the columns of `stats.hubness`, `ties` (share of samples with a tie at rank
            k), `clamped` (share of values at the threshold).
        threshold: threshold of the clamp, None if nothing is clamped.
    """

    graphs: Mapping[int, torch.Tensor]
    layers: pd.DataFrame
    threshold: float | None


@full_precision()
def anatomy(
    features: Features,
    k: int,
    wanted: Set[int],
    *,
    similarity: Similarity,
    clamp: Clamp,
    memory: int,
    most: int,
) -> Anatomy:
    """Neighbours of the wanted layers as `align` sees them, and figures of every layer.

    Args:
        features: features of one model.
        k: neighbours, at most n - 1.
        wanted: layers whose graphs are returned; -1 is the concatenation.
        similarity: similarity of the metric.
        clamp: clamp of the features.
        memory: memory budget for layers in bytes.
        most: largest number of samples; the first ones are used, also for the threshold of the clamp.

    Cost: one similarity matrix and one selection of neighbours per layer.
    """
    if features.n > most:
        features = Subset(features, np.arange(most), f"first {most}")
    held = ModelLayers(features, clamp=clamp, memory=memory)
    rows, graphs = [], {}
    for index, geometries in held.geometries([similarity], concatenation=CONCATENATION in wanted):
        geometry = geometries[similarity]
        if isinstance(geometry, FeatureError):
            continue  # left out of the scores as well
        graph = geometry.neighbours(k).cpu()
        if index in wanted:
            graphs[index] = graph
        if index != CONCATENATION:
            clamped = (
                0.0 if held.threshold is None else (held.clipped(index).abs() == held.threshold).double().mean().item()
            )
            row = hubness(graph[None]).iloc[0].to_dict()
            rows.append({**row, "layer": index, "ties": geometry.tied(k), "clamped": clamped})
    return Anatomy(graphs, pd.DataFrame(rows), held.threshold)
