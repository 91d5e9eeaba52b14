"""Which layer pair speaks for a pair of models: views of the table that holds them all."""

from __future__ import annotations

import re

import pandas as pd

from platorep.core.errors import SpecError
from platorep.core.results import CONCATENATION, AlignmentTable


PAIR = ["dataset", "metric", "clip", "x_model", "x_key", "y_model", "y_key"]
"""What names one pair of models under one metric."""


def select(table: AlignmentTable, protocol: str = "prh") -> pd.DataFrame:
    """One row a pair of models and metric.

    Args:
        table: scores of all layer pairs.
        protocol: "prh", the highest score over all layer pairs and concatenations: what the paper reports, above chance
            for the choice alone. "last_layer": the last layer of each. "depth:0.5": on each side the layer nearest to that
            relative depth (the shallower of two equally near). The last two choose without looking at scores, among the layers
            that take part.

    Raises:
        SpecError: another word, or a depth outside [0, 1].
    """
    if protocol == "prh":
        return table.best()
    if protocol == "last_layer":
        return _at_depth(table.frame, 1.0)
    if match := re.fullmatch(r"depth:([0-9.]+)", protocol):
        depth = float(match[1])
        if not 0 <= depth <= 1:
            raise SpecError(f"protocol {protocol!r}: relative depth must lie in [0, 1].")
        return _at_depth(table.frame, depth)
    raise SpecError(f"protocol {protocol!r} chooses no layers; expected prh, last_layer or depth:FRACTION.")


def _at_depth(frame: pd.DataFrame, depth: float) -> pd.DataFrame:
    layers = frame[(frame.x_layer != CONCATENATION) & (frame.y_layer != CONCATENATION) & frame.score.notna()]
    # rounded, so that two layers that are equally near stay so in floating point
    order = layers.assign(_x=(layers.x_depth - depth).abs().round(9), _y=(layers.y_depth - depth).abs().round(9))
    order = order.sort_values(["_x", "_y", "x_layer", "y_layer"], kind="stable")
    return order.drop_duplicates(PAIR).sort_index().drop(columns=["_x", "_y"]).reset_index(drop=True)
