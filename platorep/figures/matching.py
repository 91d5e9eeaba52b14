"""Categories matched without pairs, against their number and against the kernels' agreement."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.curves import thinned
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.labels import title_of


LEFT = 0.55
KERNELS = "correlation of the kernels"


@figure("study")
def matching(data: FigureData) -> Plot:
    """Left: share of categories that are matched to themselves, over their number. Right: against the kernels.

    Left: one line per language model, the mean over vision models; the black line is the mean over all pairs with its
    95 % interval over sets of categories; dotted, chance 1/n; grey, 95 % of the mean under renamed categories. Right:
    one point per pair, its share at the largest n, against the correlation of the two kernels.

    Args:
        data: the table of `reproduce matching`.

    Raises:
        StoreError: no matchings in the table.
    """
    study = data.require("study")
    rows, totals = study.pairs(), study.totals()
    shares = totals[totals.quantity != KERNELS].set_index("position").sort_index()
    if shares.empty:
        raise StoreError("the table has no matchings.")
    note = f"{title_of(rows.dataset.iloc[0])}, {shares.note.iloc[0]}. Bars: 95 % over sets of categories. "
    note += "Grey: 95 % of the mean with renamed categories. Dotted: chance, 1/n."
    models = list(rows.x_model.unique())
    looks = dict(zip(models, style.categorical(len(models)), strict=True))
    margins = Margins(LEFT, marks.tag_width([*models, "mean"]) + 0.05, 0.45, 0.15, across=0.55)
    grid = layout.panels(2, 2, (2.0, 1.9), margins, note=note, least=1.2, wraps=True)
    _sizes(grid.axes[0], rows[rows.quantity != KERNELS], shares, looks)
    size = int(shares.index[-1])
    points = _points(rows, size)
    _kernels(grid.axes[1], points, looks, size)
    marks.key_right(grid.axes[grid.columns - 1], [*looks.items(), ("mean", style.Look(style.INK, "o", "-"))])
    columns = ["x_model", "y_model", "position", "quantity", "value", "low", "high", "null_mean", "null_low"]
    return Plot(grid.figure, rows[[*columns, "null_high", "p_value", "items"]].reset_index(drop=True))


def _sizes(panel: Axes, rows: pd.DataFrame, shares: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    sizes = shares.index.to_numpy()
    panel.set_xscale("log")
    panel.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)
    panel.set_ylim(0, 1.03)
    panel.fill_between(sizes, shares.null_low, shares.null_high, color=style.FAINT, linewidth=0)
    panel.plot(sizes, 1 / sizes, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
    for model, look in looks.items():
        line = rows[rows.x_model == model].groupby("position").value.mean()
        panel.plot(line.index, line, label=model, zorder=3, **(look.line() | {"linewidth": 0.6, "markersize": 2.8}))
    ends = [shares.value - shares.low.fillna(shares.value), shares.high.fillna(shares.value) - shares.value]
    panel.errorbar(sizes, shares.value, yerr=ends, color=style.INK, marker="o", linewidth=1.6, zorder=4, label="mean")
    panel.set_xticks(sizes, thinned(panel, list(sizes), [f"{n:g}" for n in sizes]))
    panel.minorticks_off()
    panel.set_xlabel("categories to match")
    panel.set_ylabel("matched to themselves (share)")


def _points(rows: pd.DataFrame, size: int) -> pd.DataFrame:
    pairs = ["x_model", "y_model"]
    share = rows[(rows.quantity != KERNELS) & (rows.position == size)].set_index(pairs).value
    kernel = rows[rows.quantity == KERNELS].set_index(pairs).value
    return pd.DataFrame({"kernel": kernel, "share": share}).reset_index()


def _kernels(panel: Axes, points: pd.DataFrame, looks: dict[str, style.Look], size: int) -> None:
    for model, look in looks.items():
        part = points[points.x_model == model]
        panel.plot(part.kernel, part.share, label=model, zorder=3, **(look.line() | {"linestyle": ""}))
    room = 0.1 * (float(np.ptp(points.kernel)) or 0.1)
    panel.set_xlim(points.kernel.min() - room, points.kernel.max() + room)
    top = max(float(points.share.max()), 1 / size)
    panel.set_ylim(-0.05 * top, 1.1 * top)
    marks.chance_line(panel, 1 / size)
    panel.set_xlabel("correlation of the kernels")
    panel.set_ylabel(f"share matched at n = {size}")
