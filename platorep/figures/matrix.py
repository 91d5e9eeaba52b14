"""Heatmap of the models' matrix of scores, values printed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.heat import bar_room, color_bar, heat, printed_size
from platorep.figures.layout import Margins
from platorep.results import views
from platorep.results.labels import metric_label, setting


@figure("alignment")
def matrix(data: FigureData, *, metric: str | None = None, dataset: str | None = None) -> Plot:
    """Score of every pair of models, as the protocol chooses layers: x models down, y models across, values printed.

    Models stand in the table's order. A pair that was not scored is an empty cell. The bar's dotted mark is chance,
    where all pairs share one.

    Args:
        data: any pairs.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
    """
    pairs = data.pairs(metric, dataset)
    table = views.matrix(pairs)
    cell = min(0.36, max(0.25, 4.6 / max(len(table.columns), 1)))
    overhang = layout.text_width(str(table.columns[-1])) * np.cos(np.radians(60))
    above = marks.names_height(list(table.columns)) + 0.05
    margins = Margins(layout.widest(list(table.index)) + 0.15, max(bar_room(), overhang), 0.1, above)
    size, note = (cell * len(table.columns), 0.72 * cell * len(table.index)), f"{metric_label(pairs.metric.iloc[0])}, "
    grid = layout.panels(1, 1, size, margins, note=note + setting(pairs), least=0.12 * len(table.columns))
    _draw(grid.axes[0], table, views.chance(pairs))
    columns = ["dataset", "n", "metric", "select", "x_model", "x_layer", "y_model", "y_layer", "score", "low", "high"]
    return Plot(grid.figure, pairs[columns].reset_index(drop=True))


def _draw(axes: Axes, table: pd.DataFrame, chance: float | None) -> None:
    values, cell = table.to_numpy(), layout.inches(axes)[0] / len(table.columns)
    low, high = min(0.0, np.nanmin(values)), np.nanmax(values)
    image = heat(axes, values, low, high, printed_size(cell))
    axes.set_yticks(range(len(table.index)), table.index)
    axes.tick_params(length=0)
    axes.set_xticks([])
    for position, name in enumerate(table.columns):
        marks.slanted_name(axes, position, -0.65, name)
    bar = color_bar(axes, image)
    if chance is not None and low <= chance <= high:
        bar.axhline(
            chance,
            color=style.contrast(image.cmap(np.asarray(image.norm(np.asarray(chance))).item())),
            linewidth=1,
            linestyle=":",
        )
        place: dict[str, Any] = {
            "transform": bar.get_yaxis_transform(),
            "fontsize": style.small() - 1,
            "ha": "right",
            "va": "center",
        }
        bar.text(-0.15, chance, "chance", **place)
