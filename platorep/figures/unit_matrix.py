"""Heatmap of the share of each model's units that have a counterpart in each other model."""

from __future__ import annotations

import numpy as np

from platorep.figures import layout, marks
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.heat import bar_room, color_bar, heat, printed_size
from platorep.figures.layout import Margins
from platorep.results.labels import title_of
from platorep.results.units import MEASURES, SELF, ZOO, ShareTable


@figure("units")
def unit_matrix(data: FigureData, *, measure: str = "shared") -> Plot:
    """Share of the units of one model (down) that a measure counts among the units of another (across), printed.

    The matrix is not symmetric: the share is of the units of the model that is named on the left. The diagonal is a
    model against itself, which is the ceiling. A pair that was not compared is an empty cell.

    Args:
        data: the table of `platorep units`.
        measure: matched, significant, shared, excess or universal.

    Raises:
        UnknownNameError: the table has no such measure.
    """
    shares: ShareTable = data.require("units")
    table = shares.matrix(measure)
    rows = shares.whole(measure)
    rows = rows[~rows.y_model.isin([SELF, ZOO])]
    note = f"Units that {MEASURES[measure]}; {title_of(rows.dataset.iloc[0])}, n = {rows.n_test.iloc[0]:,}."
    for column, name in (("null_mean", "permuted samples"), ("rotated", "rotated bases")):
        if rows[column].notna().any():
            note += f" With {name} {rows[column].min():.3f} to {rows[column].max():.3f}."
    cell = min(0.42, max(0.25, 4.6 / len(table)))
    names = [str(name) for name in table.columns]
    overhang = layout.text_width(names[-1]) * np.cos(np.radians(60))
    margins = Margins(layout.widest(names) + 0.15, max(bar_room(), overhang), 0.1, marks.names_height(names) + 0.05)
    size = (cell * len(table), 0.72 * cell * len(table))
    grid = layout.panels(1, 1, size, margins, note=note, least=0.12 * len(table))
    axes = grid.axes[0]
    image = heat(
        axes,
        table.to_numpy(),
        0.0,
        float(np.nanmax(table.to_numpy())),
        printed_size(layout.inches(axes)[0] / len(table)),
    )
    axes.set_yticks(range(len(table)), names)
    axes.tick_params(length=0)
    axes.set_xticks([])
    for position, name in enumerate(names):
        marks.slanted_name(axes, position, -0.65, name)
    color_bar(axes, image)
    columns = ["x_model", "y_model", "units", "count", "score", "low", "high", "null_mean", "rotated"]
    return Plot(grid.figure, rows[columns].dropna(axis=1, how="all").reset_index(drop=True))
