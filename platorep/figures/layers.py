"""Heatmap of all layer pairs of one pair of models, the chosen pair marked."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from platorep.core.errors import SpecError, unknown_name
from platorep.figures import layout, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.heat import bar_room, color_bar, heat
from platorep.results import views
from platorep.results.labels import metric_label, title_of
from platorep.results.protocols import described
from platorep.results.tables import CONCATENATION


GAP = 0.07
"""Between the layers and the strips of the concatenation."""
LEFT = 0.55


class _Sizes(NamedTuple):
    """Lengths of the layout: of a cell across and up, of the strips, and of the block of layers."""

    cell: tuple[float, float]
    strip: float
    wide: float
    high: float


@figure("alignment")
def layers(
    data: FigureData,
    *,
    x: str | None = None,
    y: str | None = None,
    metric: str | None = None,
    dataset: str | None = None,
) -> Plot:
    """Score of every layer of one model (up) with every layer of another (across), depth growing up and to the right.

    Strips above and to the right show the concatenation of all layers of a model, where it was scored. The pair that
    the protocol chooses is framed and named. Its score is the one in the models' matrix. Cells are scores of all
    samples, so that a held-out score differs from its cell.

    Args:
        data: all layer pairs.
        x: x model; by default that of the pair with the highest score, among those with `y` if that is given.
        y: y model; likewise.
        metric: full id, when the table holds several.
        dataset: when the table holds several.

    Raises:
        UnknownNameError: a model that the table does not pair.
    """
    chosen = data.pairs(metric, dataset)
    for side, model in (("x_model", x), ("y_model", y)):
        if model is not None:
            if model not in set(chosen[side]):
                raise unknown_name(f"{side} in the alignment table", model, chosen[side].unique())
            chosen = chosen[chosen[side] == model]
    top = chosen.loc[chosen.score.idxmax()]
    rows = views.rows(data.require("alignment").frame, top.metric, top.dataset)
    pair = rows[(rows.x_model == top.x_model) & (rows.y_model == top.y_model)]
    grid = pair.pivot(index="x_layer", columns="y_layer", values="score")
    columns = ["x_layer", "x_layer_name", "y_layer", "y_layer_name", "score"]
    table = pair[columns].assign(x_model=top.x_model, y_model=top.y_model)
    return Plot(_draw(grid, top), table.reset_index(drop=True))


def _draw(grid: pd.DataFrame, top: pd.Series) -> Figure:
    inner_rows, inner_columns = ([i for i in axis if i != CONCATENATION] for axis in (grid.index, grid.columns))
    across, down = CONCATENATION in grid.columns, CONCATENATION in grid.index
    note, title = f"{_where(top)}\n{_what(top)}", f"{top.x_model} × {top.y_model}"
    sizes, width = _sizes(len(inner_rows), len(inner_columns), across, title)
    bottom = 0.42 + layout.note_height(note, width, LEFT)
    figure_ = layout.new(width, bottom + sizes.high + down * (GAP + sizes.strip) + 0.3)
    right, up = LEFT + sizes.wide + GAP, bottom + sizes.high + GAP
    parts = [((LEFT, bottom, sizes.wide, sizes.high), inner_rows, inner_columns)]
    if across:
        parts.append(((right, bottom, sizes.strip, sizes.high), inner_rows, [CONCATENATION]))
    if down:
        parts.append(((LEFT, up, sizes.wide, sizes.strip), [CONCATENATION], inner_columns))
    if across and down:
        parts.append(((right, up, sizes.strip, sizes.strip), [CONCATENATION], [CONCATENATION]))
    limits = min(0.0, grid.min().min()), grid.max().max()
    printed = style.small() - 1.2 if sizes.cell[0] >= 0.25 and sizes.cell[1] >= 0.12 else None
    panels = []
    for place, rows, columns in parts:
        axes = layout.place(figure_, *place)
        image = heat(axes, grid.loc[rows, columns].to_numpy(), *limits, size=printed)
        axes.set_ylim(-0.5, len(rows) - 0.5)
        beside = (rows == [CONCATENATION]) - (columns == [CONCATENATION])  # 1 on the upper strip, -1 on the right one
        axes.set_xticks([0] if beside < 0 else [], ["all"] if beside < 0 else [])
        axes.set_yticks([0] if beside > 0 else [], ["all"] if beside > 0 else [])
        if top.x_layer in rows and top.y_layer in columns:
            _frame(axes, rows.index(top.x_layer), columns.index(top.y_layer))
        panels.append(axes)
    _name_axes(panels[0], inner_rows, inner_columns, top)
    color_bar(panels[1] if across else panels[0], image)
    layout.write(figure_, LEFT, layout.size(figure_)[1] - 0.08, title, weight="bold", va="top", fontsize=style.base())
    layout.note(figure_, note, LEFT)
    return figure_


def _sizes(rows: int, columns: int, across: bool, title: str) -> tuple[_Sizes, float]:
    """Lengths of the layout, and the figure's width."""
    beside, asked = bar_room() + 0.1, style.asked_width()
    wide = min(0.34, max(3.6 / max(columns, 1), 0.06)) * columns
    high = min(0.34, max(3.6 / max(rows, 1), 0.06), 0.22)
    strip = max(0.12, min(wide / columns, 0.3), min(high, 0.3))
    width = LEFT + max(
        wide + across * (GAP + strip) + beside,
        layout.LEAST_WIDTH - LEFT,
        layout.text_width(title, style.base(), "bold") + layout.EDGE,
    )
    if asked is not None:
        width = asked / style.scale()
        wide = width - LEFT - across * (GAP + strip) - beside
        if wide < 0.04 * columns:
            raise SpecError(
                f"a width of {asked:.1f} inches is too small for {columns} layers: the figure needs "
                f"{math.ceil(10 * (width - wide + 0.04 * columns) * style.scale()) / 10} at this font size."
            )
    return _Sizes((wide / columns, high), strip, wide, high * rows), width


def _name_axes(axes: Axes, rows: list[int], columns: list[int], top: pd.Series) -> None:
    width, height = layout.inches(axes)
    for name, model, room in (
        (axes.set_xlabel, top.y_model, width + 0.8),
        (axes.set_ylabel, top.x_model, height + 0.4),
    ):
        text = f"layer of {model}"
        name(text if layout.text_width(text, style.base()) <= room else "layer")  # the title has both names
    for axis, inner, room in ((axes.xaxis, columns, width), (axes.yaxis, rows, height)):
        bins = max(1, min(8, int(room / 0.2)))
        ticks = MaxNLocator(integer=True, nbins=bins).tick_values(0, len(inner) - 1)
        shown = [int(t) for t in ticks if 0 <= t < len(inner)]
        axis.set_ticks(shown, [str(inner[t]) for t in shown])


def _where(top: pd.Series) -> str:
    chosen = (
        "all layers" if top[f"{s}_layer"] == CONCATENATION else f"{top[f'{s}_layer']} ({top[f'{s}_layer_name']})"
        for s in "xy"
    )
    return (
        f"Framed: {described(top['select'])}, {' × '.join(chosen)}: {top.score:.3f}. all: concatenation of all layers."
    )


def _what(top: pd.Series) -> str:
    return f"{metric_label(top.metric)}, n = {top.n:,}, {title_of(top.dataset)}."


def _frame(axes: Axes, row: int, column: int) -> None:
    """A frame that shows on light and on dark cells: white on black."""
    for color, line in (("black", 2.6), ("white", 1.2)):
        look: dict[str, Any] = {"fill": False, "edgecolor": color, "linewidth": line, "clip_on": False, "zorder": 5}
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))
