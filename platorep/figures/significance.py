"""Every score with its interval, beside what chance reaches."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable


ROW = 0.135  # inches
TOGETHER = 40
"""Up to this many pairs stand in one panel; more get a panel an x model, with the y models in one order."""
TITLE = 1.3  # a panel's title is bold and larger than the names that `style.widest` measures
PAIR = ["x_model", "y_model"]


@style.styled
def significance(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    intervals: pd.DataFrame | None = None,
    bands: pd.DataFrame | None = None,
) -> Figure:
    """Score of every pair of models with its interval, and the band of its null: highest score on top.

    Without `bands` the band is null mean ± 1.96 null sd of the best layer pair as if that pair had been fixed in
    advance. The score is a maximum over layers, whose null lies higher: pass the null of the maximum where it was
    computed. The note below the figure says which one it is.

    Args:
        alignment: any pairs, with null_mean and null_sd unless `bands` is given.
        competence: not used.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        intervals: x_model, y_model, low, high: an interval for each score; pairs without one have none.
        bands: x_model, y_model, low, high: the central 95 % of the null of the maximum over layers.

    Raises:
        StoreError: there is no null for some pair, or a column is missing.
    """
    best = views.best_pairs(alignment, metric, dataset)
    if bands is None:
        table = best.assign(
            null_low=best.null_mean - 1.96 * best.null_sd, null_high=best.null_mean + 1.96 * best.null_sd
        )
    else:
        table = best.merge(_bounds(bands, "bands", "null"), on=PAIR, how="left")
    if (missing := table[table.null_low.isna()]).size:
        row = missing.iloc[0]
        raise StoreError(
            f"no null for {row.x_model} x {row.y_model}: this metric has none in closed form; pass bands=... from permutations."
        )
    if intervals is None:
        table = table.assign(low=np.nan, high=np.nan)
    else:
        table = table.merge(_bounds(intervals, "intervals", ""), on=PAIR, how="left")
    table = table.sort_values(["score", "x_model", "y_model"], ascending=[True, False, False], kind="stable")

    if len(table) <= TOGETHER:
        table = table.assign(row=range(len(table)), panel="")
        names = [f"{x} × {y}" for x, y in zip(table.x_model, table.y_model, strict=True)]
    else:
        names = list(table.groupby("y_model").score.mean().sort_values(kind="stable").index)
        table = table.assign(row=table.y_model.map({name: i for i, name in enumerate(names)}), panel=table.x_model)
    titles = [""] if len(table) <= TOGETHER else list(best.x_model.unique())
    left = style.widest(names) + 0.2
    wide = 2.8 if len(titles) == 1 else max(1.1, TITLE * style.widest(titles))
    columns = max(1, min(len(titles), int((style.PAGE - left) // (wide + 0.15))))
    rows = -(-len(titles) // columns)
    figure, axes = style.panels(
        rows,
        columns,
        panel=(wide, ROW * (len(names) + 0.5)),
        left=left,
        right=0.2,
        bottom=0.95,
        top=0.3 if titles[0] else 0.1,
        gap=(0.15, 0.45),
        count=len(titles),
        sharex=True,
    )
    ends = table[["score", "low", "high", "null_low", "null_high"]]
    low, high = min(0.0, float(ends.min(axis=None))), float(ends.max(axis=None))
    axes[0].set_xlim(low, high + 0.04 * (high - low))
    for index, (panel, title) in enumerate(zip(axes, titles, strict=True)):
        _forest(panel, table[table.panel == title])
        panel.set_ylim(-0.75, len(names) - 0.25)
        panel.set_yticks(range(len(names)), names if index % columns == 0 else [""] * len(names))
        panel.tick_params(axis="y", length=0)
        panel.set_title(title, loc="left")
        if index + columns >= len(titles):
            panel.set_xlabel("alignment" if title else f"alignment, {views.metric_label(best.metric.iloc[0])}")
    handles = [
        Line2D(
            [],
            [],
            color=style.INK,
            marker="o",
            linewidth=0.9,
            label="score" + (", interval" if intervals is not None else ""),
        )
    ]
    handles.append(Patch(color=style.FAINT, label="null, 95 %"))
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.04 / width, 0.2 / height),
        ncols=2,
        borderaxespad=0,
        borderpad=0.1,
    )
    kind = "the maximum over layers" if bands is not None else "fixed layers (the maximum's lies higher)"
    data = f"{views.metric_label(best.metric.iloc[0])}, n = {best.n.max():,}, {views.title_of(best.dataset.iloc[0])}"
    style.note(figure, f"{data}. Null of {kind}.")
    return figure


def _bounds(frame: pd.DataFrame, name: str, prefix: str) -> pd.DataFrame:
    if missing := sorted({*PAIR, "low", "high"} - set(frame.columns)):
        raise StoreError(f"{name} lacks {', '.join(missing)}; it has {', '.join(frame.columns)}.")
    return frame[[*PAIR, "low", "high"]].rename(
        columns={"low": f"{prefix}_low".strip("_"), "high": f"{prefix}_high".strip("_")}
    )


def _forest(axes: Axes, part: pd.DataFrame) -> None:
    axes.barh(
        part.row,
        part.null_high - part.null_low,
        left=part.null_low,
        height=0.8,
        color=style.FAINT,
        zorder=1,
        label="null",
    )
    axes.hlines(part.row, part.low, part.high, color=style.INK, linewidth=0.9, zorder=2, label="interval")
    axes.plot(
        part.score, part.row, linestyle="none", marker="o", markersize=3, color=style.INK, zorder=3, label="score"
    )
