"""Units that models share: their number and share against the size of the model, and by depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.labels import label_points
from platorep.figures.layout import Margins
from platorep.figures.marks import Tag
from platorep.results.labels import count_label, title_of
from platorep.results.units import ALL_LAYERS, MEASURES, PRETRAINED, SELF, ZOO, ShareTable
from platorep.stats.exponents import Exponent, exponent


LEFT, PANEL = 0.55, (1.9, 1.75)

NAMED = 14
"""Models up to which points have names."""

NULLS = {"null_mean": ("permuted", ":"), "rotated": ("rotated", (0, (4, 2)))}
"""Columns of chance with their names and line styles."""


@figure("units")
def units(data: FigureData, *, measure: str = "shared") -> Plot:
    """Left: number and share of a model's units that a measure counts, against parameters. Right: the share by depth.

    A line or point is one model, as the mean over the pretrained models that it was compared with; the model itself is
    none of them. Against parameters both axes are logarithmic, and the line is the least-squares power law; controls
    and models without any such unit have no point. By depth, the dotted line is the same share with permuted samples
    and the dashed one with rotated bases, as means over the pretrained models.

    Args:
        data: the table of `platorep units`.
        measure: matched, significant, shared, excess or universal.

    Raises:
        UnknownNameError: the table has no such measure.
        StoreError: no two models were compared.
    """
    shares: ShareTable = data.require("units")
    models = shares.by_model(measure)
    depths = _by_depth(shares, measure)
    if depths.empty:
        raise StoreError("the table compares no two models with each other.")
    sized = models[(models.parameters > 0) & (models["count"] > 0)]
    fits = _fits(sized)
    families = [family or "no family" for family in sized.family.unique()] if len(sized) > NAMED else []
    margin = marks.tag_width([*depths.model.unique(), "permuted", "rotated"]) + 0.05
    margins = Margins(LEFT, margin, 0.45, 0.3, across=marks.tag_width(families) + 0.55)
    note = _note(shares, measure, fits)
    grid = layout.panels(1 + len(fits), 1 + len(fits), PANEL, margins, note=note, least=1.0, wraps=True)
    for panel, (column, fit) in zip(grid.axes, fits.items(), strict=False):
        _draw_sizes(panel, sized, column, fit)
    _draw_depths(grid.axes[-1], depths)
    return Plot(grid.figure, depths.merge(models[["model", "count", "parameters"]], on="model", how="left"))


def _by_depth(shares: ShareTable, measure: str) -> pd.DataFrame:
    """Share by layer of each model, as the mean over its pretrained partners, and the same under both nulls."""
    rows = shares.frame
    rows = rows[(rows.measure == measure) & (rows.x_layer != ALL_LAYERS) & (rows.y_layer == ALL_LAYERS)]
    rows = rows[~rows.y_model.isin([SELF, ZOO]) & (rows.y_weights == PRETRAINED)]
    by = ["x_model", "x_weights", "x_layer", "x_depth"]
    means = rows.groupby(by, sort=False, dropna=False)[["score", "null_mean", "rotated"]].mean().reset_index()
    return means.rename(columns={f"x_{name}": name for name in ("model", "weights", "layer", "depth")})


def _fits(sized: pd.DataFrame) -> dict[str, Exponent]:
    """Power laws of the count and of the share; none where there are no two sizes."""
    if sized.parameters.nunique() < 2:
        return {}
    families = sized.family.where(sized.family != "", sized.model).to_numpy(str)
    return {
        column: exponent(sized.parameters.to_numpy(), sized[column].to_numpy(), families)
        for column in ("count", "score")
    }


def _note(shares: ShareTable, measure: str, fits: dict[str, Exponent]) -> str:
    row = shares.frame.iloc[0]
    rule = str(row.rule).replace("_", " ")
    note = f"Units that {MEASURES[measure]} (rule: {rule}); {title_of(row.dataset)}, n = {row.n_test:,}; "
    note += "means over the other pretrained models."
    note += f" Removed from every unit: {str(row.partial).replace('_', ' ')}." if row.partial else ""
    for column, title in (("count", "Number"), ("score", "Share")):
        if column in fits:
            note += f" {title}: {fits[column].sentence}."
    return note


def _draw_depths(panel: Axes, depths: pd.DataFrame) -> None:
    names = list(depths.model.unique())
    tags = []
    for name, look in zip(names, style.categorical(len(names)), strict=True):
        line = depths[depths.model == name].sort_values("layer")
        panel.plot(line.depth, line.score, label=name, zorder=3, **look.line())
        tags.append(Tag(float(line.score.iloc[-1]), name, look))
    for column, (name, dashes) in NULLS.items():
        line = depths[depths.weights == PRETRAINED].dropna(subset=[column]).groupby("depth")[column].mean()
        if len(line):
            panel.plot(line.index, line, color=style.MUTED, linewidth=0.8, linestyle=dashes, zorder=1, label=name)
            tags.append(Tag(float(line.iloc[-1]), name, color=style.MUTED))
    top = depths[["score", "null_mean", "rotated"]].max().max()
    panel.set_xlim(-0.04, 1.04)
    panel.set_ylim(0, min(1.03, 1.1 * top) if top > 0 else 1)
    panel.set_xlabel("relative depth")
    panel.set_title("Share of units, by depth", loc="left")
    marks.tag_right(panel, tags)


def _draw_sizes(panel: Axes, sized: pd.DataFrame, column: str, fit: Exponent) -> None:
    """Points in log-log coordinates with the power law."""
    families = list(sized.family.unique())
    looks = dict(zip(families, style.categorical(len(families)), strict=True))
    x, y = np.log10(sized.parameters.to_numpy()), np.log10(sized[column].to_numpy())
    for family, look in looks.items():
        members = (sized.family == family).to_numpy()
        more: dict[str, Any] = look.line() | {"linestyle": ""}
        panel.plot(x[members], y[members], label=family or "no family", zorder=3, **more)
    ends = np.array([x.min(), x.max()])
    panel.plot(ends, fit.intercept + fit.value * ends, color=style.INK, linewidth=0.8, zorder=2, label="power law")
    pad = 0.12 * (ends[1] - ends[0])
    panel.set_xlim(ends[0] - pad, ends[1] + pad)
    room = max(0.15, 0.2 * (y.max() - y.min()))
    panel.set_ylim(y.min() - room, y.max() + room)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(FixedLocator(_round_numbers(*axis.get_view_interval())))
    panel.xaxis.set_major_formatter(lambda value, _: count_label(10**value))
    panel.yaxis.set_major_formatter(lambda value, _: f"{10**value:.3g}")
    panel.set_xlabel("parameters")
    panel.set_title("Number of units" if column == "count" else "Share of units", loc="left")
    if len(sized) > NAMED:
        marks.key_right(panel, [(family or "no family", look) for family, look in looks.items()])
    else:
        label_points(panel, x, y, list(sized.model))


def _round_numbers(low: float, high: float) -> list[float]:
    """Logarithms of a few round numbers between two logarithms: powers of ten, or evenly spaced round numbers."""
    powers = [float(power) for power in range(int(np.ceil(low)), int(np.floor(high)) + 1)]
    if len(powers) >= 3:
        return powers[:: -(-len(powers) // 4)]
    values = MaxNLocator(nbins=3).tick_values(10**low, 10**high)
    return [float(np.log10(value)) for value in values if value > 0 and low <= np.log10(value) <= high]
