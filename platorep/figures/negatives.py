"""How often an item's own caption is nearer to its picture than a wrong one, by model and kind of wrong caption."""

from __future__ import annotations

import numpy as np

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.labels import title_of


@figure("study")
def negatives(data: FigureData) -> Plot:
    """Share of items whose own caption has more neighbours in common with the picture than a wrong caption.

    One row per language model, one marker per kind of wrong caption with the vision model for which the share is
    highest, and its 95 % interval over items. The band around 1/2 is 95 % of the null, pictures given to other items;
    at 1/2 a wrong caption is as near as the true one.

    Args:
        data: the table of `reproduce negatives`.
    """
    rows = data.require("study").pairs()
    best = rows.sort_values("value", ascending=False, kind="stable").drop_duplicates(["x_model", "setting"])
    kinds = list(rows.setting.unique())
    models = list(best.groupby("x_model").value.mean().sort_values().index)
    looks = dict(zip(kinds, style.categorical(len(kinds)), strict=True))
    note = f"{title_of(rows.dataset.iloc[0])}; each with the vision model of the highest share. Bars: 95 % over items. "
    note += "Grey: 95 % of the null, pictures given to other items."
    left = layout.widest(models) + 0.15
    margins = Margins(left, marks.tag_width([kind.replace("_", " ") for kind in kinds]) + 0.05, 0.45, 0.15)
    grid = layout.panels(1, 1, (2.5, 0.24 * len(models) + 0.3), margins, note=note, least=1.2)
    (axes,) = grid.axes
    for place, kind in enumerate(kinds):
        part = best[best.setting == kind].set_index("x_model").reindex(models)
        at = np.arange(len(models)) + 0.22 * (place - (len(kinds) - 1) / 2)
        look = looks[kind]
        axes.hlines(at, part.null_low, part.null_high, color=style.FAINT, linewidth=4, zorder=1)
        axes.hlines(at, part.low, part.high, color=look.color, linewidth=0.9, zorder=2)
        axes.plot(part.value, at, label=kind, zorder=3, **(look.line() | {"linestyle": ""}))
    axes.axvline(0.5, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label="as near")
    axes.set_ylim(-0.6, len(models) - 0.4)
    axes.set_yticks(np.arange(len(models)), models)
    span = rows[["low", "high", "null_low"]].to_numpy()
    axes.set_xlim(float(np.nanmin(span)) - 0.02, float(np.nanmax(span)) + 0.02)
    axes.set_xlabel("own caption nearer, share of items")
    marks.key_right(axes, [(kind.replace("_", " "), look) for kind, look in looks.items()])
    columns = ["x_model", "y_model", "setting", "value", "low", "high", "null_mean", "null_low", "null_high", "p_value"]
    return Plot(grid.figure, rows[columns].reset_index(drop=True))
