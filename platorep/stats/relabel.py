"""Prepared layers under a relabelling of their samples: what preparing the relabelled features would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any

import torch

from platorep.metrics.cca import Components
from platorep.metrics.centred import Centred
from platorep.metrics.cknna import NeighbourValues
from platorep.metrics.distances import Dissimilarities
from platorep.metrics.neighbours import Neighbours


def relabel(layers: Sequence[Any], order: torch.Tensor) -> list[Any]:
    """States of the layers with sample order[i] in place of sample i; nothing is computed again.

    Args:
        layers: what `Metric.prepare` gave for each layer, on one device.
        order: a permutation of the n samples, shape (n,) int64.

    Raises:
        TypeError: a state of a kind that is not registered here.

    Cost: one copy of the states.
    """
    order = order.to(_tensor(layers[0]).device)
    half = _upper_order(order) if any(getattr(layer, "upper", None) is not None for layer in layers) else None
    return [_moved(layer, order, half) for layer in layers]


def samples(layer: Any) -> int:
    """Number of samples of a prepared layer."""
    return layer.n if hasattr(layer, "n") else len(_tensor(layer))


def _upper_order(order: torch.Tensor) -> torch.Tensor:
    """Where the entries above the diagonal of a symmetric matrix stand after relabelling, int32 positions in the same vector."""
    n = len(order)
    index = order.int()
    first, second = index[:, None], index[None, :]
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    position = low * (2 * n - low - 1) // 2 + high - low - 1
    return position[torch.ones(n, n, dtype=torch.bool, device=order.device).triu_(1)]


@singledispatch
def _moved(layer: Any, order: torch.Tensor, half: torch.Tensor | None) -> Any:
    raise TypeError(
        f"no relabelling is known for a prepared layer of type {type(layer).__name__}; register one in platorep.stats.relabel."
    )


@_moved.register
def _(layer: torch.Tensor, order: torch.Tensor, half: torch.Tensor | None) -> torch.Tensor:
    return layer[order]


@_moved.register
def _(layer: Components, order: torch.Tensor, half: torch.Tensor | None) -> Components:
    return replace(layer, directions=layer.directions[order])


@_moved.register
def _(layer: Neighbours, order: torch.Tensor, half: torch.Tensor | None) -> Neighbours:
    return layer._replace(indices=order.argsort().to(layer.indices.dtype)[layer.indices[order].long()])


@_moved.register
def _(layer: NeighbourValues, order: torch.Tensor, half: torch.Tensor | None) -> NeighbourValues:
    columns, ascending = order.argsort()[layer.columns[order].long()].sort(dim=1)
    values, mutual = (
        None if part is None else part[order].gather(1, ascending) for part in (layer.values, layer.mutual)
    )
    return replace(layer, columns=columns.to(layer.columns.dtype), values=values, mutual=mutual)


@_moved.register
def _(layer: Centred, order: torch.Tensor, half: torch.Tensor | None) -> Centred:
    if layer.upper is None:
        return replace(layer, diagonal=layer.diagonal[order], features=layer.features[order])
    return replace(layer, diagonal=layer.diagonal[order], upper=layer.upper.index_select(0, half))


@_moved.register
def _(layer: Dissimilarities, order: torch.Tensor, half: torch.Tensor | None) -> Dissimilarities:
    return replace(layer, upper=layer.upper.index_select(0, half))


def _tensor(layer: Any) -> torch.Tensor:
    for name in ("upper", "features", "indices", "columns", "directions"):
        if isinstance(getattr(layer, name, None), torch.Tensor):
            return getattr(layer, name)
    return layer
