"""What the explorer and the warnings need of each model's layers, in one pass over them: neighbours, hubs, ties, clamping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from platorep.align.layers import Features, ModelLayers, full_precision
from platorep.core.errors import FeatureError
from platorep.core.results import CONCATENATION
from platorep.core.specs import ExtractSpec
from platorep.core.store import Layer
from platorep.metrics.base import Similarity
from platorep.stats.hubness import hubness


@dataclass(frozen=True)
class Anatomy:
    """One model seen layer by layer.

    `graphs` has the (n, k) int64 neighbour indices of the layers asked for. `layers` has a row a layer: `layer`, the columns
    of `stats.hubness`, `ties` (share of samples with a tie at rank k), `clamped` (share of values at the threshold).
    `threshold` is the clamp, None where nothing is clamped.
    """

    graphs: Mapping[int, torch.Tensor]
    layers: pd.DataFrame
    threshold: float | None


@dataclass(frozen=True)
class First:
    """The first `n` samples of a model's features."""

    whole: Features
    n: int

    name: str = ""
    key: str = ""
    digest: str = ""

    @property
    def layers(self) -> Sequence[Layer]:
        """As of the whole."""
        return self.whole.layers

    @property
    def spec(self) -> ExtractSpec:
        """As of the whole."""
        return self.whole.spec

    @property
    def path(self) -> Path:
        """As of the whole."""
        return self.whole.path

    def load(self, layer: int, *, rows: slice | None = None, device: str = "cpu") -> torch.Tensor:
        """The first rows of a layer, or the given rows among them."""
        start, stop, _ = (rows or slice(None)).indices(self.n)
        return self.whole.load(layer, rows=slice(start, stop), device=device)


@full_precision()
def anatomy(
    features: Features,
    k: int,
    wanted: Set[int],
    *,
    similarity: Similarity,
    clip: Any,
    quantile: float,
    memory: int,
    most: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> Anatomy:
    """Neighbours of the wanted layers as `align` sees them, and figures of every layer.

    Args:
        features: of one model.
        k: neighbours, at most n - 1.
        wanted: layers whose graphs are kept; -1 is the concatenation.
        similarity: as the metric's.
        clip: rule of the clamp.
        quantile: of the clamp.
        memory: bytes of layers that may be held.
        most: samples taken, the first ones; the clamp is then of these.
        progress: told of layers done.

    Cost: one similarity matrix and one selection of neighbours a layer.
    """
    if features.n > most:
        features = First(features, most, features.name, features.key, features.digest)
    held = ModelLayers(features, clip=clip, quantile=quantile, memory=memory)
    count, rows, graphs = len(features.layers), [], {}
    for index, made in held.geometries([similarity], concatenation=CONCATENATION in wanted):
        geometry = made[similarity]
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
        if progress is not None:
            progress(index if index >= 0 else count, count, features.name)
    return Anatomy(graphs, pd.DataFrame(rows), held.threshold)
