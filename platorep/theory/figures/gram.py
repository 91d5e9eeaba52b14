"""Experiment (a) of the theory: learned Gram matrices against K_PMI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Grid, Margins
from platorep.theory.figures.parts import LEFT, title


SHOWN = [("K_PMI", "world"), *((o, m) for o in ("nce", "infonce") for m in ("x", "y"))]
"""Objective and modality of each matrix."""
CURVES = 2.03
"""Height of the block of curves below the matrices."""


@style.styled
def theory_gram(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Top: K_PMI and the Gram matrices that the two modalities learned. Bottom: correlation and offset by step.

    Args:
        tables: result of `platorep.theory.gram.gram`.
    """
    history, summary, matrices, world = (tables[name] for name in ("history", "summary", "matrices", "world"))
    learned = summary[summary.objective.isin(["nce", "infonce"])]
    note = (
        f"nce and infonce at the end: 1 − correlation at most {max(0.0, 1 - learned.correlation.min()):.0e}, "
        f"modalities apart by at most {100 * learned.difference.max():.2g} % of the spread of K_PMI.\n"
        "x: table of vectors over one bijection; y: network on the random codes of another."
    )
    margins = Margins(LEFT, 0.75, 0.45 + CURVES, 0.5, across=0.12)
    grid = layout.panels(5, 5, (1.12, 1.12), margins, note=note)
    _matrices(grid, matrices)
    lowest = layout.box(grid.axes[0])[1] - CURVES
    correlation, offset = (layout.place(grid.figure, x, lowest, 2.35, 1.55) for x in (LEFT, 3.6))
    _curves(correlation, history, "correlation")
    _curves(offset, history, "offset")
    correlation.set_title("correlation with $K_{PMI}$", loc="left")
    correlation.legend(loc="lower right")
    offset.set_title("offset: mean of Gram less $K_{PMI}$ (nats)", loc="left")
    _constants(offset, summary.predicted_offset.dropna().iloc[0], world.offset_needed.iloc[0])
    title(grid.figure, f"Gram matrices of the {world.world.iloc[0]} world, {world.events.iloc[0]} events")
    return grid.figure


def _matrices(grid: Grid, matrices: pd.DataFrame) -> None:
    values = []
    for objective, modality in SHOWN:
        rows = matrices[(matrices.objective == objective) & (matrices.modality == modality)]
        values.append(rows.pivot(index="a", columns="b", values="value").to_numpy())
    centred = [matrix - matrix.mean() for matrix in values]
    limits = {"vmin": min(m.min() for m in centred), "vmax": max(np.abs(m).max() for m in centred)}
    for panel, matrix, (objective, modality) in zip(grid.axes, centred, SHOWN, strict=True):
        image = panel.imshow(matrix, cmap=style.HEAT, interpolation="nearest", **limits)
        panel.set_xticks([])
        panel.set_yticks([])
        name = "true $K_{PMI}$" if modality == "world" else f"{objective}, modality {modality}"
        panel.set_title(name, fontsize=style.small(), pad=3)
    grid.axes[0].set_ylabel("event")
    left, bottom, width, height = layout.box(grid.axes[-1])
    bar = layout.place(grid.figure, left + width + 0.08, bottom, 0.08, height)
    grid.figure.colorbar(image, cax=bar, label="less its mean")
    bar.tick_params(labelsize=style.small())


def _curves(panel: Axes, history: pd.DataFrame, column: str) -> None:
    for look, objective in zip(style.categorical(2), ("nce", "infonce"), strict=True):
        for modality, dash, marker in (("x", "-", "o"), ("y", "--", "s")):
            rows = history[(history.objective == objective) & (history.modality == modality)]
            line = look.line() | {"linestyle": dash, "marker": marker, "markersize": 2.5}
            panel.plot(rows.step + 1, rows[column], **line, label=f"{objective}, {modality}")
    panel.set_xscale("log")
    panel.set_xlabel("training step + 1")


def _constants(panel: Axes, predicted: float, needed: float) -> None:
    """Dotted lines at the offset that nce predicts, and at the smallest offset that makes K_PMI a Gram matrix."""
    for value, color, text in (
        (predicted, style.INK, "nce's prediction,\nlog(p/(1 − p))"),
        (needed, style.MUTED, "smallest constant\nof a Gram matrix"),
    ):
        if np.isfinite(value):
            panel.axhline(value, color=color, linewidth=0.7, linestyle=":")
            place: dict[str, Any] = {"transform": panel.get_yaxis_transform(), "ha": "left", "va": "center"}
            panel.text(1.02, value, text, fontsize=style.small(), color=color, **place)
