"""One world in many languages: captions and voices against pictures, and against each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError
from platorep.figures import heat, layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.figures.style import Look
from platorep.results.labels import capitalised, metric_label, title_of


LAST, EVERY = "last layer", "every layer"
"""Settings of the table: last layers of both models, and every layer of what hears against the last of what sees."""

READ, TOGETHER = "captions and pictures", "captions and captions"
SEEN, TOLD, HEARD = "speech and pictures", "speech and captions", "speech and speech"
"""Quantities of the table."""

COLUMNS = [
    "quantity", "setting", "position", "x_model", "x_language", "y_model", "y_language",
    "value", "low", "high", "null_mean", "null_low", "null_high", "p_value", "items",
]  # fmt: skip

PANEL = (1.5, 1.75)
PICTURES, SPOKEN = "pictures", ", spoken"


@figure("study")
def languages(data: FigureData) -> Plot:
    """Mutual k-NN of last layers, on the samples that both sides have.

    First row: the captions' languages among each other (below the diagonal for the model that agrees most with
    pictures, above it for the best of the others), the layers of models that hear against pictures, where thin lines
    are single languages and thick ones their mean, and captions against pictures. Then a panel per spoken language:
    its voices against pictures, captions and other voices. Bars are 95 % for other samples, grey bands the central
    95 % of the null, samples permuted.

    Args:
        data: the table of `reproduce languages`.

    Raises:
        StoreError: the table has no captions, or no voices.
    """
    table = data.require("study").pairs()
    last = table[table.setting == LAST]
    spoken = list(dict.fromkeys(last[last.quantity == SEEN].x_language))
    if not spoken or last[last.quantity == READ].empty:
        raise StoreError("the figure shows captions and voices against pictures; the table lacks one of them.")
    eye = _strongest(last[last.quantity == READ], "y_model")
    reader = _strongest(last[(last.quantity == READ) & (last.y_model == eye)], "x_model", several="x_language")
    heard = last[(last.quantity == SEEN) & (last.y_model == eye)].groupby("x_model").value.mean()
    hearers = list(heard.sort_values(ascending=False, kind="stable").index)
    looks = dict(zip(hearers, style.categorical(len(hearers)), strict=True))
    series = _series(last[last.quantity == READ], reader, eye)
    keys = [f"{x}, {y}" for x, y in series]
    shown = {key: look for key, look in zip(keys, style.categorical(len(keys)), strict=True)}
    note = f"{capitalised(metric_label(table.metric.iloc[0]))}, last layers, {title_of(table.dataset.iloc[0])}, n = "
    note += f"{last['items'].min():.0f} to {last['items'].max():.0f}; speech and captions: {reader} reads; pictures: "
    note += f"{eye} sees. Bars: 95 %. Grey: null, samples permuted."
    left = layout.widest([PICTURES, *(f"{language}{SPOKEN}" for language in spoken)]) + 0.15
    right = marks.tag_width([*keys, *hearers]) + 0.05
    margins = Margins(left, right, 0.45, 0.3, across=left + 0.1, down=0.75)
    grid = layout.panels(3 + len(spoken), 3, PANEL, margins, note=note, least=1.1, wraps=True)
    together, depth, read, *others = grid.axes
    _together(together, last[last.quantity == TOGETHER], reader)
    _depth(depth, table[table.y_model == eye], looks)
    _read(read, last[last.quantity == READ], series, list(shown.values()))
    high = 1.05 * last[last.quantity.isin([SEEN, TOLD, HEARD])].high.max()
    for panel, language in zip(others, spoken, strict=True):
        _spoken(panel, _partners(last, language, reader, eye), looks, high)
        panel.set_title(f"speech: {language}", loc="left")
    marks.key_right(grid.axes[1 if grid.columns == 2 else 2], list(shown.items()))
    beside = min(3 // grid.columns * grid.columns + grid.columns, len(grid.axes)) - 1
    marks.key_right(grid.axes[beside], list(looks.items()))
    return Plot(grid.figure, table[COLUMNS].reset_index(drop=True))


def _strongest(rows: pd.DataFrame, column: str, several: str = "") -> str:
    """The model with the highest mean; where `several` is given, of those with the most values of that column."""
    means = rows.groupby(column, sort=False)
    if several:
        counts = means[several].nunique()
        rows = rows[rows[column].isin(counts.index[counts == counts.max()])]
        means = rows.groupby(column, sort=False)
    return str(means.value.mean().idxmax())


def _series(rows: pd.DataFrame, reader: str, eye: str) -> list[tuple[str, str]]:
    """The pairs of models that panels show: the two that agree most, then each with the others."""
    pairs = rows[["x_model", "y_model"]].drop_duplicates().itertuples(index=False)
    known = [(str(x), str(y)) for x, y in pairs if x == reader or y == eye]
    return sorted(known, key=lambda pair: (pair != (reader, eye), pair[1] != eye))


def _points(panel: Axes, rows: pd.DataFrame, places: Sequence[float], look: Look, *, bars: bool) -> None:
    if bars:
        panel.hlines(places, rows.low, rows.high, color=look.color, linewidth=0.9, zorder=3)
    drawn: dict[str, Any] = look.line() | {"linestyle": "", "markersize": 3.4}
    if not bars:
        drawn |= {"markerfacecolor": "white", "markeredgecolor": look.color, "markersize": 2.8}
    panel.plot(rows.value, places, zorder=4, **drawn)


def _null(panel: Axes, rows: pd.DataFrame, places: Sequence[float]) -> None:
    panel.barh(places, rows.null_high - rows.null_low, left=rows.null_low, height=0.8, color=style.FAINT, zorder=1)


def _read(panel: Axes, rows: pd.DataFrame, series: list[tuple[str, str]], looks: list[Look]) -> None:
    """Rows are languages, the one that agrees most with pictures on top."""
    strongest = rows[(rows.x_model == series[0][0]) & (rows.y_model == series[0][1])].sort_values("value")
    names = list(strongest.x_language)
    _null(panel, strongest, range(len(names)))
    for number, ((x, y), look) in enumerate(zip(series, looks, strict=True)):
        part = rows[(rows.x_model == x) & (rows.y_model == y) & rows.x_language.isin(names)]
        _points(panel, part, [names.index(language) for language in part.x_language], look, bars=number == 0)
    panel.set_yticks(range(len(names)), names)
    panel.set_title("captions, pictures", loc="left")
    panel.set_xlim(0, 1.05 * rows.high.max())
    panel.set_xlabel("alignment")


def _together(panel: Axes, rows: pd.DataFrame, reader: str) -> None:
    names = list(dict.fromkeys([*rows.x_language, *rows.y_language]))
    means = rows[rows.x_model != reader].groupby("x_model").value.mean()
    other = "" if means.empty else str(means.idxmax())
    values = np.full((len(names), len(names)), np.nan)
    for row in rows.itertuples():
        low, high = sorted((names.index(row.x_language), names.index(row.y_language)))
        if row.x_model == reader:
            values[high, low] = row.value
        elif row.x_model == other:
            values[low, high] = row.value
    cell = layout.inches(panel)[0] / max(len(names), 1)
    known = values[np.isfinite(values)]
    heat.heat(panel, values, float(known.min()), float(known.max()), heat.printed_size(cell, 2), digits=2)
    panel.set_xticks(range(len(names)), names)
    panel.set_yticks(range(len(names)), names)
    panel.set_title("captions, captions", loc="left")
    panel.set_xlabel(f"below: {reader}" + (f",\nabove: {other}" if other else ""))


def _depth(panel: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Layers of models that hear, and those of one layer as lines."""
    layers = rows[(rows.quantity == SEEN) & (rows.setting == EVERY)]
    flat = rows[(rows.quantity == SEEN) & (rows.setting == LAST) & ~rows.x_model.isin(layers.x_model)]
    for model, look in looks.items():
        part = layers[layers.x_model == model]
        for _, single in part.groupby("x_language"):
            panel.plot(single.position, single.value, color=look.color, linewidth=0.4, zorder=2)
        if len(part):
            mean = part.groupby("position").value.mean()
            panel.plot(mean.index, mean, zorder=3, **(look.line() | {"markersize": 3}))
        elif len(part := flat[flat.x_model == model]):
            panel.axhline(part.value.mean(), color=look.color, linestyle=look.dash, linewidth=0.9, zorder=2)
    chance = (flat if len(flat) else layers).null_mean.mean()
    panel.axhline(chance, color=style.INK, linewidth=0.8, linestyle=":")
    panel.set_ylim(0, None)
    panel.set_title("speech, pictures", loc="left")
    panel.set_xlabel("depth")


def _partners(last: pd.DataFrame, language: str, reader: str, eye: str) -> pd.DataFrame:
    """What voices of a language are compared with, and its name in the column `partner`."""
    seen = last[(last.quantity == SEEN) & (last.x_language == language) & (last.y_model == eye)]
    told = last[(last.quantity == TOLD) & (last.x_language == language) & (last.y_model == reader)]
    heard = last[(last.quantity == HEARD) & ((last.x_language == language) | (last.y_language == language))]
    other = heard.x_language.where(heard.x_language != language, heard.y_language)
    parts = (
        seen.assign(partner=PICTURES),
        told.assign(partner=told.y_language),
        heard.assign(partner=[f"{name}{SPOKEN}" for name in other]),
    )
    return pd.concat(parts, ignore_index=True)


def _spoken(panel: Axes, rows: pd.DataFrame, looks: dict[str, Look], high: float) -> None:
    names = list(dict.fromkeys(rows.partner))[::-1]
    best = rows[rows.x_model == next(iter(looks))]
    _null(panel, best, [names.index(partner) for partner in best.partner])
    for number, (model, look) in enumerate(looks.items()):
        part = rows[rows.x_model == model]
        _points(panel, part, [names.index(partner) for partner in part.partner], look, bars=number == 0)
    for low, upper in pairwise(range(len(names))):
        if names[low].endswith(SPOKEN) != names[upper].endswith(SPOKEN) or (names[upper] == PICTURES):
            panel.axhline((low + upper) / 2, color=style.FAINT, linewidth=0.6, zorder=0)
    panel.set_yticks(range(len(names)), names)
    panel.set_xlim(0, high)
    panel.set_xlabel("alignment")
