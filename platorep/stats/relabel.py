"""Prepared layers under a relabelling of their samples: what preparing the relabelled features would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from platorep.metrics.relabelling import Relabelling


def relabel(layers: Sequence[Any], order: torch.Tensor) -> list[Any]:
    """Prepared layers with sample order[i] in place of sample i; nothing is computed again.

    Args:
        layers: what `Metric.prepare` gave for each layer, of a metric that declares `relabels`.
        order: a permutation of the n samples, shape (n,) int64.

    Cost: one copy of the states.
    """
    moved = Relabelling(order)
    return [layer.relabelled(moved) for layer in layers]
