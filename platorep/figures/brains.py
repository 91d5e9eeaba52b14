"""Models against brains: similarity by layer between the noise ceilings, and the matrix of models with the brains."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import SpecError, StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.heat import bar_room, color_bar, heat, printed_size
from platorep.figures.marks import Tag
from platorep.results import views
from platorep.results.labels import metric_label, title_of


SHOWN = [
    "x_model",
    "x_layer",
    "x_depth",
    "y_model",
    "metric",
    "score",
    "low",
    "high",
    "lower",
    "upper",
    "people",
    "n_test",
]
"""Columns of the figure's data."""

PANEL = (2.3, 2.1)
LEFT = 0.62
LEAST = 1.3
"""Width below which panels do not stand side by side."""
GAP = 0.035
"""Between the whiskers beside a panel's last depth."""


@figure("brains", "alignment")
def brains(data: FigureData, *, metric: str | None = None) -> Plot:
    """Similarity to each brain against relative depth, and below the matrix of all models and brains.

    Lines are models with several layers. At the right are the last layers, models of one layer and controls, with their
    95 % intervals for other samples and other people. The grey band lies between the noise ceilings; a
    brain of which only a mean is known has none. The matrix shows `align`'s scores, which see the mean over people.

    Args:
        data: similarity to brains, and scores of all pairs of models.
        metric: full id, when the tables hold several.

    Raises:
        StoreError: no row of that metric.
    """
    frame = data.require("brains").frame
    frame = frame[frame.experiment == "similarity"]
    metric = views.pick_metric(list(frame.metric.unique()), metric)
    rows = frame[frame.metric == metric]
    if rows.empty:
        raise StoreError(f"no similarity to brains by {metric}: run `platorep reproduce brains` with it.")
    table = _square(data.pairs(metric))
    targets = list(dict.fromkeys(zip(rows.y_model, rows.y_layer, strict=True)))
    looks = dict(zip(rows.x_model.unique(), style.categorical(rows.x_model.nunique()), strict=True))
    room = _room(len(targets), marks.tag_width([*looks]), table)
    note = _note(rows, metric)
    bottom = layout.note_height(note, room.width, 0.0) + 0.1
    top = bottom + room.high + marks.names_height(list(table.columns)) + 0.1
    lines = -(-len(targets) // room.columns)
    drawn = layout.new(room.width, top + lines * room.step[1] + 0.05)
    label = layout.label(f"similarity, {metric_label(metric)}", PANEL[1])
    for number, (brain, layer) in enumerate(targets):
        row, column = divmod(number, room.columns)
        place = LEFT + layout.label_room(label) + column * room.step[0], top + 0.42 + (lines - 1 - row) * room.step[1]
        axes = layout.place(drawn, *place, room.panel - layout.label_room(label), PANEL[1])
        _lines(axes, rows[(rows.y_model == brain) & (rows.y_layer == layer)], looks)
        axes.set_ylabel(label if column == 0 else "")
    _matrix(layout.place(drawn, room.side, bottom, room.wide, room.high), table)
    layout.note(drawn, note)
    return Plot(drawn, rows[SHOWN].reset_index(drop=True))


class _Room(NamedTuple):
    """Lengths of the layout: of the figure, of a panel and from one to the next, and of the matrix."""

    width: float
    columns: int
    panel: float
    step: tuple[float, float]
    side: float
    wide: float
    high: float


def _room(targets: int, tags: float, table: pd.DataFrame) -> _Room:
    """The layout: panels side by side where they fit into the width of the style, and else one below another."""
    side = layout.widest(list(table.index)) + 0.15
    beside = max(bar_room(), layout.text_width(str(table.columns[-1])) * np.cos(np.radians(60))) + 0.1
    asked = style.asked_width()
    fixed, wide = LEFT + tags + 0.15, min(0.36, max(0.25, 4.6 / len(table))) * len(table)
    width = max(targets * (fixed + PANEL[0]), side + wide + beside) if asked is None else asked / style.scale()
    columns = targets
    while columns > 1 and width / columns - fixed < LEAST:
        columns -= 1
    if asked is not None:
        wide = min(0.5 * len(table), width - side - beside)
    needed = max(fixed + layout.NARROWEST, side + beside + 0.12 * len(table))
    if width < needed:
        raise SpecError(
            f"a width of {width * style.scale():.1f} inches is too small for this figure: it needs "
            f"{math.ceil(10 * needed * style.scale()) / 10} at this font size."
        )
    panel = width / columns - fixed
    return _Room(width, columns, panel, (fixed + panel, PANEL[1] + 0.75), side, wide, 0.72 * wide)


def _lines(axes: Axes, rows: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    tags = []
    lower, upper = rows.lower.iloc[0], rows.upper.iloc[0]
    ends = [0.0, rows.score.min(), rows.score.max(), *rows[["low", "high"]].min(), *rows[["low", "high"]].max(), upper]
    low, high = np.nanmin(ends), np.nanmax(ends)
    axes.set_xlim(-0.03, 1.08 + GAP * len(looks))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_ylim(low - 0.04 * (high - low), high + 0.06 * (high - low))
    if np.isfinite(lower):
        axes.axhspan(lower, upper, color=style.FAINT, alpha=0.6, zorder=0)
    axes.axhline(0, color=style.INK, linewidth=0.8, linestyle=":", zorder=1)
    for number, (name, look) in enumerate(looks.items()):
        line = rows[rows.x_model == name].sort_values("x_layer")
        if line.empty:
            continue
        last = line.iloc[-1]
        alone = len(line) == 1
        if not alone:
            axes.plot(line.x_depth, line.score, zorder=3, **(look.line() | {"markersize": 2.5, "linewidth": 0.9}))
        bar = {"elinewidth": 0.7, "capsize": 1.5, "zorder": 4, "color": look.color, "linestyle": "none"}
        error = None if np.isnan(last.low) else [[last.score - last.low], [last.high - last.score]]
        axes.errorbar([1.04 + GAP * number], [last.score], yerr=error, marker=look.marker, markersize=3, **bar)
        tags.append(Tag(float(last.score), name, look))
    people = f"{rows.people.iloc[0]} people" if rows.people.iloc[0] > 1 else "mean only"
    axes.set_title(f"{rows.y_model.iloc[0]} ({people})", fontsize=style.base(), loc="left")
    axes.set_xlabel("relative depth")
    marks.tag_right(axes, tags)


def _square(pairs: pd.DataFrame) -> pd.DataFrame:
    """Scores of all models with all others, NaN on the diagonal."""
    names = list(dict.fromkeys([*pairs.x_model, *pairs.y_model]))
    table = pd.DataFrame(np.nan, index=names, columns=names)
    for row in pairs.itertuples():
        table.loc[row.x_model, row.y_model] = table.loc[row.y_model, row.x_model] = row.score
    return table


def _matrix(axes: Axes, table: pd.DataFrame) -> None:
    values = table.to_numpy()
    image = heat(
        axes, values, min(0.0, np.nanmin(values)), np.nanmax(values), printed_size(layout.inches(axes)[0] / len(table))
    )
    axes.set_yticks(range(len(table)), table.index)
    axes.tick_params(length=0)
    axes.set_xticks([])
    for position, name in enumerate(table.columns):
        marks.slanted_name(axes, position, -0.65, name)
    color_bar(axes, image)


def _note(rows: pd.DataFrame, metric: str) -> str:
    first = rows.iloc[0]
    where = f"{metric_label(metric)}, n = {first.n_test:,}, {title_of(first.dataset)}."
    return (
        f"{where} Above: mean over people, last layers at the right with 95 % intervals for other samples and people; "
        "grey: noise ceilings. Below: best layer pair, brains as the mean over people."
    )
