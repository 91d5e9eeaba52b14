"""The paper's Figure 8: colours placed by CIELAB, by pictures, and by text models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.theory.figures.parts import title


SIDE, FOOT, TOP, HEAD = 2.2, 0.9, 0.25, 0.3
"""Side of a panel, and the space below it for its numbers, above all panels, and for its name."""
TITLES = {"CIELAB": "CIELAB of the pictures' colours", "pictures": "co-occurrence in pictures"}


@style.styled
def theory_colour(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """One panel per source, in a side view after alignment to CIELAB; each point has the colour that it represents.

    Across and in depth: a* and b*, upright: L*. Numbers against CIELAB stand under each panel.

    Args:
        tables: result of `platorep.theory.colour.colour`.
    """
    points, numbers = tables["points"], tables["numbers"].set_index("panel")
    names = list(dict.fromkeys(points.panel))
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    height = TOP + rows * (SIDE + FOOT)
    figure = layout.new(0.1 + columns * SIDE, height)
    for index, name in enumerate(names):
        row, column = divmod(index, columns)
        x, y = 0.05 + column * SIDE, height - TOP - (row + 1) * SIDE - row * FOOT
        _solid(figure, points[points.panel == name], x, y)
        words = {"ha": "center", "weight": "bold", "fontsize": style.base()}
        layout.write(figure, x + SIDE / 2, y + SIDE - HEAD + 0.06, TITLES.get(name, name), **words)
        if name in numbers.index:
            layout.write(figure, x + 0.25, y - 0.12, _numbers(numbers.loc[name]), va="top", linespacing=1.35)
    title(figure, "The shape of colour, aligned to CIELAB (three-dimensional scaling)", left=0.1)
    return figure


def _solid(figure: Figure, points: pd.DataFrame, x: float, y: float) -> None:
    """The colours of one source in three dimensions."""
    axes: Any = layout.place(figure, x, y, SIDE, SIDE - HEAD, projection="3d", computed_zorder=True)  # an Axes3D
    colours = points[["red", "green", "blue"]].to_numpy().clip(0, 1)
    edge: dict[str, Any] = {"edgecolors": style.INK, "linewidths": 0.25}
    axes.scatter(points.y, points.z, points.x, c=colours, s=26, depthshade=False, **edge)
    for axis, label in ((axes.xaxis, "a*"), (axes.yaxis, "b*"), (axes.zaxis, "L*")):
        axis.set_ticklabels([])
        axis.set_pane_color((0.96, 0.96, 0.96, 1))
        axis.line.set_color(style.MUTED)
        axis.labelpad = -15
        getattr(axes, f"set_{axis.axis_name}label")(label, fontsize=style.small(), color=style.MUTED)
    axes.grid(color=style.FAINT)
    axes.set_box_aspect((1, 1, 0.9), zoom=1.15)
    axes.view_init(elev=28, azim=-70)


def _numbers(row: pd.Series) -> str:
    def p(value: float) -> str:
        return f"p = {value:.3g}" if np.isfinite(value) else ""

    return (
        f"{row.colours:.0f} colours, stress {row.stress:.2f}\n"
        f"Procrustes residual {row.procrustes_residual:.2f}, {p(row.procrustes_p)}\n"
        f"RSA Kendall τ {row.rsa_tau:.2f}, {p(row.rsa_p)}\n"
        f"mutual {row.k:.0f}-NN {row.mutual_knn:.2f} (chance {row.chance:.2f})\n"
        f"order of {row.hued:.0f} hues {row.hue_order:.2f}, {p(row.hue_p)}"
    )
