"""Models that hear against models that read: intervals, nulls, and what the mel spectrum and the duration reach."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from platorep.core.errors import StoreError
from platorep.figures import layout, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results import views
from platorep.results.labels import capitalised, metric_label, setting


FLOORS = {"mel": (0, (5, 1.5)), "duration": (0, (1.2, 1))}
"""Families that are drawn as lines, with their dashes."""

LINE = 0.17
"""Inches of a line of the legend."""

ROW = 0.17
"""Height of a row."""

WIDE = 1.45
"""Width of a panel."""

COLUMNS = [
    "language", "sound", "score", "low", "high", "null_mean", "null_low", "null_high", "p_value", "strata"
]  # fmt: skip


@figure("alignment")
def hear(data: FigureData, *, metric: str | None = None, dataset: str | None = None) -> Plot:
    """Score of every pair of a model that hears and one that reads, a panel per model that reads.

    Rows are models that hear, those that agree most with language on top. Lines are the floors: the mel spectrum alone,
    the duration alone, and chance. The grey band is the central 95 % of the null: names permuted among sounds, within
    categories if the statistics have strata.

    Args:
        data: pairs of models of sound and language.
        metric: full id, when the table holds several.
        dataset: when the table holds several.

    Raises:
        StoreError: there is no such pair.
    """
    pairs = _pairs(data.pairs(metric, dataset))
    floors, rows = pairs[pairs.family.isin(FLOORS)], pairs[~pairs.family.isin(FLOORS)]
    if rows.empty:
        raise StoreError("the figure shows models that hear besides mel and duration; the alignment table has none.")
    names = list(rows.groupby("sound").score.mean().sort_values(kind="stable").index)
    panels = list(pairs.groupby("language").score.mean().sort_values(ascending=False, kind="stable").index)
    within = [strata for strata in rows.strata.dropna().unique() if strata]
    note = f"{capitalised(metric_label(pairs.metric.iloc[0]))}, {setting(pairs)}. Bars: 95 % intervals."
    note += f" Null: names permuted within {within[0]}." if within else ""
    left = layout.widest(names) + 0.2
    columns = max(1, min(len(panels), int((style.PAGE - left) // (WIDE + 0.15))))
    floor_names = sorted(floors.family.unique(), reverse=True)
    handles = _handles(floor_names)
    entries = max(
        1, int(_width(left, columns) // (layout.widest([str(handle.get_label()) for handle in handles]) + 0.4))
    )
    margins = Margins(left, 0.2, 0.7 + LINE * (-(-len(handles) // entries) - 1), 0.3, across=0.15, down=0.5)
    size = (WIDE, ROW * (len(names) + 0.5))
    grid = layout.panels(len(panels), columns, size, margins, note=note, share="x", wraps=True)
    high = float(pairs[["score", "high", "null_high"]].max(axis=None))
    grid.axes[0].set_xlim(min(0.0, float(pairs[["score", "low"]].min(axis=None))), 1.05 * high)
    for index, (axes, panel) in enumerate(zip(grid.axes, panels, strict=True)):
        _panel(axes, rows[rows.language == panel], floors[floors.language == panel], names)
        if (chance := views.chance(pairs)) is not None:
            axes.axvline(chance, color=style.INK, linewidth=0.8, linestyle=":", zorder=1)
        axes.set_yticks(range(len(names)), names if grid.is_first(index) else [""] * len(names))
        axes.set_title(panel, loc="left")
        if grid.is_lowest(index):
            axes.set_xlabel("alignment")
    _legend(grid, handles, min(entries, len(handles)))
    return Plot(grid.figure, pairs[COLUMNS].reset_index(drop=True))


def _pairs(chosen: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a model of language and one of sound, with their names and the family of the second."""
    sides = []
    for a, b in (("x", "y"), ("y", "x")):
        part = chosen[(chosen[f"{a}_modality"] == "language") & (chosen[f"{b}_modality"] == "sound")]
        sides.append(part.rename(columns={f"{a}_model": "language", f"{b}_model": "sound", f"{b}_family": "family"}))
    pairs = pd.concat([side for side in sides if len(side)] or sides[:1], ignore_index=True)
    if pairs.empty:
        there = sorted({f"{x} x {y}" for x, y in zip(chosen.x_modality, chosen.y_modality, strict=True)})
        raise StoreError(f"the figure shows language against sound; the alignment table has only {', '.join(there)}.")
    return pairs


def _panel(axes: Axes, rows: pd.DataFrame, floors: pd.DataFrame, names: list[str]) -> None:
    places = rows.sound.map({name: i for i, name in enumerate(names)})
    axes.barh(places, rows.null_high - rows.null_low, left=rows.null_low, height=0.8, color=style.FAINT, zorder=1)
    for row in floors.itertuples():
        axes.axvline(row.score, color=style.INK, linewidth=0.9, linestyle=FLOORS[row.family], zorder=2)
    axes.hlines(places, rows.low, rows.high, color=style.OKABE_ITO[0], linewidth=0.9, zorder=3)
    axes.plot(rows.score, places, linestyle="none", marker="o", markersize=3, color=style.OKABE_ITO[0], zorder=4)
    axes.set_ylim(-0.75, len(names) - 0.25)
    axes.tick_params(axis="y", length=0)


def _width(left: float, columns: int) -> float:
    """Width of the figure in inches at the font size of the layout."""
    asked = style.asked_width()
    return left + 0.2 + columns * (WIDE + 0.15) if asked is None else asked / style.scale()


def _handles(floors: list[str]) -> list[Artist]:
    look: dict[str, Any] = {"color": style.OKABE_ITO[0], "marker": "o", "linewidth": 0.9, "markersize": 3}
    handles: list[Artist] = [Line2D([], [], label="score", **look), Patch(color=style.FAINT, label="null, 95 %")]
    handles += [
        Line2D([], [], color=style.INK, linewidth=0.9, linestyle=FLOORS[floor], label=f"{floor} alone")
        for floor in floors
    ]
    handles.append(Line2D([], [], color=style.INK, linewidth=0.8, linestyle=":", label="chance"))
    return handles


def _legend(grid: layout.Grid, handles: list[Artist], columns: int) -> None:
    total, tall = layout.size(grid.figure)
    rows = -(-len(handles) // columns)
    corner = (0.04 / total, (layout.box(grid.axes[-1])[1] - 0.66 - LINE * (rows - 1)) / tall)
    grid.figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=corner, ncols=columns, borderaxespad=0, borderpad=0.1
    )
