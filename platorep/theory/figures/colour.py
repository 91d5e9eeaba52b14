"""The paper's Figure 8: colours placed by CIELAB, by pictures, and by text models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import style


SHORT = 2.2  # inches a panel


@style.styled
def theory_colour(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """One panel a source, seen from one side after alignment to CIELAB; each point has the colour that it stands for.

    Across and in depth: a* and b*, upright: L*. Numbers against CIELAB stand under each panel.

    Args:
        tables: those of `platorep.theory.colour.colour`.
    """
    points, numbers = tables["points"], tables["numbers"].set_index("panel")
    names = list(dict.fromkeys(points.panel))
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    foot, top, head = 0.9, 0.25, 0.3
    width, height = 0.1 + columns * SHORT, top + rows * (SHORT + foot)
    figure = Figure(figsize=(width, height))
    titles = {"CIELAB": "CIELAB of the pictures' colours", "pictures": "co-occurrence in pictures"}
    for index, name in enumerate(names):
        row, column = divmod(index, columns)
        x, y = 0.05 + column * SHORT, height - top - (row + 1) * SHORT - row * foot
        axes = figure.add_axes(
            (x / width, y / height, SHORT / width, (SHORT - head) / height), projection="3d", computed_zorder=True
        )
        mine = points[points.panel == name]
        colours = mine[["red", "green", "blue"]].to_numpy().clip(0, 1)
        axes.scatter(mine.y, mine.z, mine.x, c=colours, s=26, edgecolors=style.INK, linewidths=0.25, depthshade=False)
        for axis, label in ((axes.xaxis, "a*"), (axes.yaxis, "b*"), (axes.zaxis, "L*")):
            axis.set_ticklabels([])
            axis.set_pane_color((0.96, 0.96, 0.96, 1))
            axis.line.set_color(style.MUTED)
            axis.labelpad = -15
            getattr(axes, f"set_{axis.axis_name}label")(label, fontsize=style.SMALL, color=style.MUTED)
        axes.grid(color=style.FAINT)
        axes.set_box_aspect((1, 1, 0.9), zoom=1.15)
        axes.view_init(elev=28, azim=-70)
        figure.text(
            (x + SHORT / 2) / width,
            (y + SHORT - head + 0.06) / height,
            titles.get(name, name),
            ha="center",
            weight="bold",
            fontsize=style.BASE,
        )
        if name in numbers.index:
            text = _numbers(numbers.loc[name])
            figure.text((x + 0.25) / width, (y - 0.12) / height, text, fontsize=style.SMALL, va="top", linespacing=1.35)
    figure.text(
        0.1 / width,
        1 - 0.1 / height,
        "The shape of colour, aligned to CIELAB (three-dimensional scaling)",
        weight="bold",
        va="top",
    )
    return figure


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
