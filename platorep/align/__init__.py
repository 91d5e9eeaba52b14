"""From features to scores: every layer of every model against every layer of every other."""

from __future__ import annotations

from platorep.align.engine import align
from platorep.align.layers import neighbour_graphs
from platorep.align.remarks import left_out, remarks
from platorep.align.significance import Null, significance


__all__ = ["Null", "align", "left_out", "neighbour_graphs", "remarks", "significance"]
