"""Prepared layers under a relabelling of their samples, without preparing the features again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from platorep.metrics.relabelling import Relabelling


def relabel(layers: Sequence[Any], order: torch.Tensor) -> list[Any]:
    """Prepared layers with sample order[i] in place of sample i; nothing is recomputed.

    Args:
        layers: result of `Metric.prepare` for each layer, for a metric that declares `relabels`.
        order: a permutation of the n samples, shape (n,) int64.

    Cost: one copy of the states.
    """
    moved = Relabelling(order)
    return [layer.relabelled(moved) for layer in layers]
