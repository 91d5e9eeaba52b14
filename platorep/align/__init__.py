"""From features to scores: every layer of every model against every layer of every other."""

from __future__ import annotations

from platorep.align.engine import align
from platorep.align.layers import neighbour_graphs
from platorep.align.significance import significance


__all__ = ["align", "neighbour_graphs", "significance"]
