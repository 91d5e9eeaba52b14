"""What two models share of a query's nearest neighbours: the item, the category, or nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.figures.marks import Tag
from platorep.results.labels import title_of
from platorep.stats.categories import PARTS


LEFT = 0.55
NAMES = dict(
    zip(PARTS, ("same item", "category, both", "category, x only", "category, y only", "neither"), strict=True)
)


@figure("study")
def coarse(data: FigureData, *, x: str | None = None, y: str | None = None) -> Plot:
    """Stacked parts of the queries' neighbours over the gallery's size and over the samples a category.

    Same item: both sides have the same neighbour. Then other neighbours that are of the query's category on both
    sides, on one, on none. The bar in the lowest part is the share of common items when y's samples are relabelled
    within their category, 95 %: what agreement by category alone gives. x are language models.

    Args:
        data: the table of `reproduce coarse`.
        x: a language model; None, with y, is the mean over all pairs.
        y: a vision model.

    Raises:
        StoreError: no such pair.
    """
    study = data.require("study")
    rows = study.totals() if x is None and y is None else study.pairs()
    if x is not None or y is not None:
        rows = rows[(rows.x_model == x) & (rows.y_model == y)]
    if rows.empty:
        raise StoreError(
            f"no numbers of {x} and {y} in the table; it has {', '.join(sorted(set(study.frame.x_model)))}."
        )
    settings = list(dict.fromkeys(rows.setting))
    note = f"{title_of(rows.dataset.iloc[0])}, {rows.note.iloc[0] or f'{x} and {y}'}. "
    note += "Bars in the lowest part: samples relabelled within their category, 95 %."
    margins = Margins(LEFT, marks.tag_width([*NAMES.values(), "by category"]) + 0.05, 0.45, 0.15, across=0.3)
    grid = layout.panels(len(settings), len(settings), (1.9, 1.9), margins, note=note, least=1.0, wraps=True)
    for number, (panel, setting) in enumerate(zip(grid.axes, settings, strict=True)):
        _stack(panel, rows[rows.setting == setting])
        panel.set_xlabel(setting)
        if grid.is_first(number):
            panel.set_ylabel("share of neighbours")
    _tags(grid.axes[grid.columns - 1], rows[rows.setting == settings[grid.columns - 1]])
    columns = ["setting", "position", "quantity", "value", "low", "high", "null_mean", "null_low", "null_high"]
    columns += ["p_value", "items"]
    return Plot(grid.figure, rows[columns].reset_index(drop=True))


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.pivot(index="position", columns="quantity", values="value").sort_index()[list(PARTS)]


def _stack(panel: Axes, rows: pd.DataFrame) -> None:
    table, item = _table(rows), rows[rows.quantity == PARTS[0]].set_index("position").sort_index()
    x, floor = np.arange(len(table)), np.zeros(len(table))
    for part, color in zip(PARTS, _colors(), strict=True):
        panel.bar(x, table[part], 0.8, floor, color=color, edgecolor="white", linewidth=0.3, label=NAMES[part])
        floor = floor + table[part].to_numpy()
    panel.errorbar(
        x,
        item.null_mean,
        yerr=[item.null_mean - item.null_low, item.null_high - item.null_mean],
        color=style.INK,
        linestyle="",
        marker="_",
        markersize=7,
        elinewidth=0.9,
        label="by category",
    )
    panel.set_xlim(-0.6, len(table) - 0.4)
    panel.set_ylim(0, 1)
    panel.set_xticks(x, [f"{position:g}" for position in table.index])


def _colors() -> list[str]:
    return [style.OKABE_ITO[0], style.OKABE_ITO[1], style.OKABE_ITO[4], style.OKABE_ITO[2], style.FAINT]


def _tags(panel: Axes, rows: pd.DataFrame) -> None:
    last = _table(rows).iloc[-1]
    middles = last.cumsum() - last / 2
    looks = [style.Look(color, "s", "") for color in _colors()]
    tags = [Tag(float(middles[part]), NAMES[part], look) for part, look in zip(PARTS, looks, strict=True)]
    marks.tag_right(panel, tags)
