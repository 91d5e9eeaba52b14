"""From features to scores: every layer of every model against every layer of every other."""

from __future__ import annotations

from platorep.align.engine import align


__all__ = ["align"]
