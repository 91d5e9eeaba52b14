"""Every score with its interval and the band that chance reaches."""

from __future__ import annotations

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from platorep.figures import layout, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Grid, Margins
from platorep.results.labels import capitalised, metric_label, setting


ROW = 0.135
TOGETHER = 40
"""Up to this many pairs stand in one panel; more get a panel an x model, with the y models in one order."""


@figure("alignment")
def significance(data: FigureData, *, metric: str | None = None, dataset: str | None = None) -> Plot:
    """Score of every pair of models with its interval, and the band of its null: highest score on top.

    The band is the central 95 % of the null of the protocol's choice of layers where the scores were tested. Elsewhere
    it is null mean ± 1.96 null sd of the chosen layers as if they had been fixed in advance, and the note says so: the
    null of a maximum lies higher. A score without a null has no band, and the note says so.

    Args:
        data: any pairs, tested or with the null of fixed layers.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
    """
    pairs = data.pairs(metric, dataset)
    tested = pairs.null_low.notna()
    low, high = pairs.null_mean - 1.96 * pairs.null_sd, pairs.null_mean + 1.96 * pairs.null_sd
    table = pairs.assign(null_low=pairs.null_low.where(tested, low), null_high=pairs.null_high.where(tested, high))
    table = table.sort_values(["score", "x_model", "y_model"], ascending=[True, False, False], kind="stable")
    label = metric_label(pairs.metric.iloc[0])
    note = f"{capitalised(label)}, {setting(pairs)}. {_band(tested, table)}"
    grid = _draw(table, list(pairs.x_model.unique()), note)
    columns = ["x_model", "x_layer", "y_model", "y_layer", "score", "low", "high", "null_low", "null_high"]
    tests = ["p_value", "p_family", "q_value", "permutations"]
    return Plot(grid.figure, table[[*columns, *tests]].iloc[::-1].reset_index(drop=True))


def _band(tested: pd.Series, table: pd.DataFrame) -> str:
    if tested.all():
        return "Null of the choice of layers."
    if table.null_low.isna().all():
        return "No null was computed."
    fixed = "fixed layers (that of a chosen maximum lies higher)"
    text = f"Null of {fixed}." if not tested.any() else f"Null of the choice of layers where tested, else of {fixed}."
    return text + (" Scores without a band have no null." if table.null_low.isna().any() else "")


def _draw(table: pd.DataFrame, x_models: list[str], note: str) -> Grid:
    if len(table) <= TOGETHER:
        table = table.assign(row=range(len(table)), panel="")
        names, titles = [f"{x} × {y}" for x, y in zip(table.x_model, table.y_model, strict=True)], [""]
    else:
        names = list(table.groupby("y_model").score.mean().sort_values(kind="stable").index)
        place = {name: i for i, name in enumerate(names)}
        table, titles = table.assign(row=table.y_model.map(place), panel=table.x_model), x_models
    left = layout.widest(names) + 0.2
    wide = 2.8 if len(titles) == 1 else max(1.1, max(layout.text_width(t, style.base(), "bold") for t in titles))
    columns = max(1, min(len(titles), int((style.PAGE - left) // (wide + 0.15))))
    margins = Margins(left, 0.2, 0.65, 0.3 if titles[0] else 0.1, across=0.15, down=0.45)
    size = (wide, ROW * (len(names) + 0.5))
    grid = layout.panels(len(titles), columns, size, margins, note=note, share="x", wraps=True)
    ends = table[["score", "low", "high", "null_low", "null_high"]]
    low, high = min(0.0, float(ends.min(axis=None))), float(ends.max(axis=None))
    grid.axes[0].set_xlim(low, high + 0.04 * (high - low))
    for index, (panel, title) in enumerate(zip(grid.axes, titles, strict=True)):
        _forest(panel, table[table.panel == title])
        panel.set_ylim(-0.75, len(names) - 0.25)
        panel.set_yticks(range(len(names)), names if grid.is_first(index) else [""] * len(names))
        panel.tick_params(axis="y", length=0)
        panel.set_title(title, loc="left")
        if grid.is_lowest(index):
            panel.set_xlabel("alignment")
    _legend(grid.figure, grid.axes[-1], table)
    return grid


def _legend(figure_: Figure, lowest: Axes, table: pd.DataFrame) -> None:
    interval = ", 95 % interval" if table.low.notna().any() else ""
    handles: list[Artist] = [Line2D([], [], color=style.INK, marker="o", linewidth=0.9, label=f"score{interval}")]
    if table.null_low.notna().any():
        handles.append(Patch(color=style.FAINT, label="null, 95 %"))
    total, tall = layout.size(figure_)
    corner = (0.04 / total, (layout.box(lowest)[1] - 0.62) / tall)
    figure_.legend(handles=handles, loc="lower left", bbox_to_anchor=corner, ncols=2, borderaxespad=0, borderpad=0.1)


def _forest(axes: Axes, part: pd.DataFrame) -> None:
    known = part[part.null_low.notna()]
    axes.barh(
        known.row,
        known.null_high - known.null_low,
        left=known.null_low,
        height=0.8,
        color=style.FAINT,
        zorder=1,
        label="null",
    )
    axes.hlines(part.row, part.low, part.high, color=style.INK, linewidth=0.9, zorder=2, label="interval")
    axes.plot(
        part.score, part.row, linestyle="none", marker="o", markersize=3, color=style.INK, zorder=3, label="score"
    )
