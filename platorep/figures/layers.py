"""All layer pairs of one pair of models as a heatmap."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from platorep.core.errors import unknown_name
from platorep.figures import style
from platorep.figures.matrix import color_bar, heat
from platorep.results import views
from platorep.results.tables import CONCATENATION, AlignmentTable, CompetenceTable


GAP = 0.07  # inches between the layers and the strips of the concatenation


@style.styled
def layers(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
    metric: str | None = None,
    dataset: str | None = None,
) -> Figure:
    """Score of every layer of one model (up) with every layer of another (across), depth growing up and to the right.

    Strips above and to the right show the concatenation of all layers of a model, where it was scored. The best pair
    is framed and named; this is the pair whose score the models' matrix shows.

    Args:
        alignment: all layer pairs.
        competence: not used.
        x: x model; by default that of the pair with the highest score, among those with `y` if that is given.
        y: y model; likewise.
        metric: full id, when the table holds several.
        dataset: when the table holds several.

    Raises:
        UnknownNameError: a model that the table does not pair.
    """
    table = views.rows(alignment, metric, dataset)
    for side, model in (("x_model", x), ("y_model", y)):
        if model is not None:
            if model not in set(table.frame[side]):
                raise unknown_name(f"{side} in the alignment table", model, table.frame[side].unique())
            table = AlignmentTable(table.frame[table.frame[side] == model])
    best = views.best_pairs(table)
    top = best.loc[best.score.idxmax()]
    pair = table.frame[(table.frame.x_model == top.x_model) & (table.frame.y_model == top.y_model)]
    grid = pair.pivot(index="x_layer", columns="y_layer", values="score")
    inner_rows, inner_columns = ([i for i in axis if i != CONCATENATION] for axis in (grid.index, grid.columns))

    cell = [min(0.34, max(3.6 / max(len(inner), 1), 0.06)) for inner in (inner_columns, inner_rows)]
    cell[1] = min(cell[1], 0.22)
    wide, high = cell[0] * len(inner_columns), cell[1] * len(inner_rows)
    strip = max(0.12, *(min(c, 0.3) for c in cell))
    across, down = CONCATENATION in grid.columns, CONCATENATION in grid.index
    left, bottom = 0.55, 0.74
    texts = [_where(top), _what(top)]
    needed = max(style.widest(texts), style.text_width(_title(top), style.BASE, "bold")) + 0.1
    width = left + max(wide + across * (GAP + strip) + 0.95, needed)
    height = bottom + high + down * (GAP + strip) + 0.3
    figure = Figure(figsize=(width, height))

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, y / height, w / width, h / height))

    limits = min(0.0, grid.min().min()), grid.max().max()
    size = style.SMALL - 1.2 if cell[0] >= 0.25 and cell[1] >= 0.12 else None
    parts = [(place(left, bottom, wide, high), inner_rows, inner_columns)]
    if across:
        parts.append((place(left + wide + GAP, bottom, strip, high), inner_rows, [CONCATENATION]))
    if down:
        parts.append((place(left, bottom + high + GAP, wide, strip), [CONCATENATION], inner_columns))
    if across and down:
        parts.append((place(left + wide + GAP, bottom + high + GAP, strip, strip), [CONCATENATION], [CONCATENATION]))
    for axes, rows_, columns in parts:
        values = grid.loc[rows_, columns].to_numpy()
        image = heat(axes, values, *limits, size=size)
        axes.set_ylim(-0.5, len(rows_) - 0.5)
        axes.set_xticks([])
        axes.set_yticks([])
        if top.x_layer in rows_ and top.y_layer in columns:
            _frame(axes, rows_.index(top.x_layer), columns.index(top.y_layer))
    main = parts[0][0]
    main.set_xlabel(f"layer of {top.y_model}")
    main.set_ylabel(f"layer of {top.x_model}")
    for axis, inner in ((main.xaxis, inner_columns), (main.yaxis, inner_rows)):
        shown = [
            int(t) for t in MaxNLocator(integer=True, nbins=8).tick_values(0, len(inner) - 1) if 0 <= t < len(inner)
        ]
        axis.set_ticks(shown, [str(inner[t]) for t in shown])
    for axes, rows_, columns in parts[1:]:
        if rows_ == [CONCATENATION] and columns != [CONCATENATION]:
            axes.set_yticks([0], ["all"])
        if columns == [CONCATENATION] and rows_ != [CONCATENATION]:
            axes.set_xticks([0], ["all"])
    color_bar(figure, parts[1][0] if across else main, image)
    figure.text(left / width, 1 - 0.08 / height, _title(top), weight="bold", va="top")
    style.note(figure, "\n".join(texts), left)
    return figure


def _title(top: pd.Series) -> str:
    return f"{top.x_model} × {top.y_model}"


def _where(top: pd.Series) -> str:
    layers_ = (
        "all layers" if top[f"{s}_layer"] == CONCATENATION else f"{top[f'{s}_layer']} ({top[f'{s}_layer_name']})"
        for s in "xy"
    )
    return f"Framed: the best pair, {' × '.join(layers_)}: {top.score:.3f}. all: concatenation of all layers."


def _what(top: pd.Series) -> str:
    return f"{views.metric_label(top.metric)}, n = {top.n:,}, {views.title_of(top.dataset)}."


def _frame(axes: Axes, row: int, column: int) -> None:
    """A frame that shows on light and on dark cells: white on black."""
    for color, line in (("black", 2.6), ("white", 1.2)):
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=color, linewidth=line, clip_on=False, zorder=5
            )
        )
