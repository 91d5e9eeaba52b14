"""From a protocol to one score per pair of models: the only place where layers are chosen.

Figures, the terminal table, the report and the comparison with published values all read `chosen`.
"""

from __future__ import annotations

import re

import pandas as pd

from platorep.core.errors import SpecError, StoreError
from platorep.results.tables import CONCATENATION, AlignmentTable, SelectionTable


PAIR = ["dataset", "metric", "clip", "x_model", "x_key", "y_model", "y_key"]
"""Columns that name one pair of models under one metric."""

SHUFFLE = ["shuffle_share", "shuffle_seed"]
"""Columns that distinguish shuffled versions of one dataset, which no selection table tests."""

VARIANT = ["words", *SHUFFLE]
"""Columns that distinguish variants of the data."""

TESTED = [
    "low",
    "high",
    "interval",
    "null_mean",
    "null_sd",
    "null_low",
    "null_high",
    "p_value",
    "p_family",
    "q_value",
    "p_floor",
    "corrected",
    "calibrated",
    "permutations",
    "seed",
    "strata",
]
"""Columns of the selection table that are added to a chosen score."""

OF_FIXED_LAYERS = ["null_mean", "null_sd", "p_value", "corrected"]
"""Columns of both tables: of the fixed layer pair in one, of the choice of layers in the other."""


def check(select: str) -> str:
    """The word for a choice of layers, if it is one.

    Raises:
        SpecError: it is not max, heldout, last or depth:FRACTION.
    """
    depth = re.fullmatch(r"depth:([0-9.]+)", select)
    try:
        known = select in ("max", "heldout", "last") or (depth is not None and 0 <= float(depth[1]) <= 1)
    except ValueError:
        known = False
    if not known:
        raise SpecError(
            f"protocol.select is {select!r}; expected max, heldout, last, or depth:FRACTION with a fraction in [0, 1]."
        )
    return select


def described(select: str) -> str:
    """A choice of layers for readers, as the captions of figures and tables say it."""
    descriptions = {
        "max": "best layer pair",
        "heldout": "layers chosen on half of the samples, scored on the other half",
        "last": "last layers",
    }
    return descriptions.get(check(select), f"layers at relative depth {select.removeprefix('depth:')}")


def chosen(alignment: AlignmentTable, select: str = "max", selection: SelectionTable | None = None) -> pd.DataFrame:
    """One row per pair of models, metric and variant of the data: the chosen layers and their score.

    Tested scores of the selection table are preferred. Pairs that it lacks are chosen from the alignment table, except
    under "heldout", whose scores belong to halves of the samples.

    Args:
        alignment: scores of all layer pairs.
        select: "max", the highest score over all layer pairs and concatenations (the paper's); "heldout", chosen on
            one half of the samples and scored on the other; "last", the last layer of each; "depth:0.5", the layer
            nearest to that relative depth on each side.
        selection: tested scores; rows of another choice are ignored.

    Returns:
        The columns of the alignment table, `TESTED`, select and tested. Where `tested` is True, null_mean, null_sd,
        p_value and corrected account for the choice of layers; elsewhere they are those of the fixed layer pair, which
        are also in null_mean_fixed and so on. Of held-out scores the fixed pair's are not known.

    Raises:
        SpecError: an unknown choice.
        StoreError: "heldout" without any held-out score of these models.
    """
    check(select)
    tests = None if selection is None else selection.frame[selection.frame["select"] == select]
    rows = _tested(alignment.frame, tests) if tests is not None else alignment.frame.iloc[:0].assign(tested=True)
    if select == "heldout":
        if rows.empty and len(alignment.frame):
            raise StoreError(
                "held-out scores are of halves of the samples, which the table of all layer pairs does not hold. "
                "Run `platorep align` with the same settings first."
            )
    else:
        untested = _choose(alignment, select).assign(tested=False)
        untested = untested.assign(**{f"{name}_fixed": untested[name] for name in OF_FIXED_LAYERS})
        done = pd.MultiIndex.from_frame(rows[PAIR])
        free = untested[SHUFFLE].notna().any(axis=1) | ~pd.MultiIndex.from_frame(untested[PAIR]).isin(done)
        untested = untested[free]
        rows = untested if rows.empty else pd.concat([rows, untested]) if len(untested) else rows
    more = [name for name in TESTED if name not in AlignmentTable.columns]
    columns = [*AlignmentTable.columns, "tested", *more, *(f"{name}_fixed" for name in OF_FIXED_LAYERS)]
    return _in_order(rows.reindex(columns=columns), alignment).assign(select=select)


def _tested(frame: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """The alignment rows of the tested layer pairs, with the scores and tests of the selection table in their place."""
    layers = [*PAIR, "x_layer", "y_layer"]
    if (again := tests[tests.duplicated(PAIR)]).size:
        row = again.iloc[0]
        raise StoreError(f"the selection table tests {row.x_model} x {row.y_model} under {row.metric} more than once.")
    there = [name for name in TESTED if name in tests]
    fixed = frame[frame[SHUFFLE].isna().all(axis=1)].drop(columns=["score", "z"])
    rows = fixed.merge(tests[[*layers, "select", "score", *there]], on=layers, suffixes=("_fixed", ""))
    held_out, rows["tested"] = rows["select"] == "heldout", rows.permutations > 0
    for name in OF_FIXED_LAYERS:  # a held-out score is of other samples than these
        fixed_value = rows[f"{name}_fixed"].mask(held_out)
        rows[name], rows[f"{name}_fixed"] = rows[name].where(rows.tested | held_out, fixed_value), fixed_value
    return rows


def _choose(alignment: AlignmentTable, select: str) -> pd.DataFrame:
    if select == "max":
        return alignment.best()
    depth = 1.0 if select == "last" else float(select.removeprefix("depth:"))
    frame = alignment.frame
    layers = frame[(frame.x_layer != CONCATENATION) & (frame.y_layer != CONCATENATION) & frame.score.notna()]
    # rounded, so that two layers that are equally near stay so in floating point
    order = layers.assign(_x=(layers.x_depth - depth).abs().round(9), _y=(layers.y_depth - depth).abs().round(9))
    order = order.sort_values(["_x", "_y", "x_layer", "y_layer"], kind="stable")
    return order.drop_duplicates([*PAIR, *VARIANT]).drop(columns=["_x", "_y"])


def _in_order(rows: pd.DataFrame, alignment: AlignmentTable) -> pd.DataFrame:
    """Pairs in the order in which the alignment table first names them."""
    keys = [*PAIR, *VARIANT]
    first = alignment.frame[keys].drop_duplicates(ignore_index=True).reset_index(names="_place")
    return rows.merge(first, on=keys).sort_values("_place").drop(columns="_place").reset_index(drop=True)
