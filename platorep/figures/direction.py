"""Cycle k-NN both ways by pair of models, and its asymmetry against hubs and densities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.labels import title_of


LEFT = 0.55
BACK_X, BACK_Y, ASYMMETRY = "cycle k-NN, back through x", "cycle k-NN, back through y", "asymmetry"
BESIDE = {
    "in-degree skewness, x less y": "hubs: in-degree skewness,",
    "spread of density, x less y": "spread of density,",
}
"""Quantities of the panels beside, with the titles of their axes."""


@figure("study")
def direction(data: FigureData) -> Plot:
    """Left: the two ways against each other. Others: their difference against that of hubs and of densities.

    One point per pair of a language model (x, by colour) and a vision model (y). Bars of the asymmetry are 95 % over
    samples; filled points differ from 0 (p < .05, signs of the samples' differences drawn at random).

    Args:
        data: the table of `reproduce direction`.
    """
    study = data.require("study")
    rows, totals = study.pairs(), study.totals()
    pairs = ["x_model", "y_model"]
    wide = rows.pivot_table(index=pairs, columns="quantity", values="value", sort=False)
    tested = rows[rows.quantity == ASYMMETRY].set_index(pairs)
    table = wide.assign(low=tested.low, high=tested.high, p_value=tested.p_value).reset_index()
    models = list(table.x_model.unique())
    looks = dict(zip(models, style.categorical(len(models)), strict=True))
    note = f"{title_of(rows.dataset.iloc[0])}, {totals.note.iloc[0]}; x language, y vision. Bars: 95 % over samples. "
    note += "Filled: p < .05, signs drawn at random."
    margins = Margins(LEFT, marks.tag_width(models) + 0.05, 0.6, 0.15, across=0.6)
    grid = layout.panels(3, 3, (1.75, 1.75), margins, note=note, least=1.1, wraps=True)
    _ways(grid.axes[0], table, looks)
    for panel, (column, title) in zip(grid.axes[1:], BESIDE.items(), strict=True):
        _beside(panel, table, column, looks)
        panel.set_xlabel(f"{title}\nlanguage less vision")
        panel.set_ylabel("asymmetry")
    marks.key_right(grid.axes[grid.columns - 1], list(looks.items()))
    return Plot(grid.figure, table)


def _points(panel: Axes, x: pd.Series, y: pd.Series, table: pd.DataFrame, look: style.Look) -> None:
    for filled in (True, False):
        part = (table.p_value < 0.05) == filled
        more: dict[str, Any] = look.line() | {"linestyle": "", "markersize": 3.2}
        if not filled:
            more |= {"markerfacecolor": "white", "markeredgecolor": look.color}
        panel.plot(x[part], y[part], zorder=3, **more)


def _ways(panel: Axes, table: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    both = table[[BACK_X, BACK_Y]].to_numpy()
    room = 0.06 * float(np.ptp(both) or 0.1)
    ends = both.min() - room, both.max() + room
    panel.plot(ends, ends, color=style.INK, linewidth=0.8, linestyle=":", label="equal")
    for model, look in looks.items():
        part = table[table.x_model == model]
        _points(panel, part[BACK_Y], part[BACK_X], part, look)
    panel.set_xlim(*ends)
    panel.set_ylim(*ends)
    panel.set_xlabel("back through vision,\nshare of samples")
    panel.set_ylabel("back through language")


def _beside(panel: Axes, table: pd.DataFrame, column: str, looks: dict[str, style.Look]) -> None:
    for model, look in looks.items():
        part = table[table.x_model == model]
        panel.vlines(part[column], part.low, part.high, color=look.color, linewidth=0.6, zorder=2)
        _points(panel, part[column], part[ASYMMETRY], part, look)
    panel.axhline(0, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label="equal")
    room = 0.08 * float(np.ptp(table[column]) or 1.0)
    panel.set_xlim(table[column].min() - room, table[column].max() + room)
    reach = 1.1 * float(np.nanmax(np.abs(table[["low", "high"]].to_numpy())))
    panel.set_ylim(-reach, reach)
