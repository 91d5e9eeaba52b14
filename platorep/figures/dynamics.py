"""Alignment of checkpoints against training step: with each other, with the last ones, with other models."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from platorep.core.errors import SpecError, StoreError
from platorep.figures import layout, marks, style
from platorep.figures.curves import thinned
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Grid, Margins
from platorep.figures.marks import Tag
from platorep.results import views
from platorep.results.checkpoints import SAME, checkpoint_pairs, courses
from platorep.results.labels import capitalised, metric_label, setting


LEFT, HEIGHT = 0.58, 1.6

AXES = ("step", "loss")
"""What the x axis can show."""


@figure("alignment")
def dynamics(
    data: FigureData,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    x: str = "step",
    measure: str = "bits_per_byte",
    unit: str = "step",
) -> Plot:
    """Alignment of the checkpoints of trainings: a panel per comparison, a line per family or pair of families.

    Panels: two trainings at the same step; a checkpoint with the last one of another training; with the last one of its
    own; with each model that has no step (`platorep.results.checkpoints`). Points are means over trainings of the same
    families, such as seeds. Where the scores were tested, bars reach from the lowest to the highest end of their
    intervals, and the dotted line is the mean null of the panel's pairs, which knows how layers were chosen; elsewhere
    it is chance for fixed layers.

    Args:
        data: pairs with at least one checkpoint, a model with a step.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        x: step, on an axis that is linear up to the first step after 0 and logarithmic from there; or loss, a measure
            that falls during training, falling to the right, on a logarithmic axis if it is above 0. Two trainings at
            the same step stand at their mean loss.
        measure: the measure of x=loss in the competence table.
        unit: what a step is, for the label: step or epoch.

    Raises:
        StoreError: no model has a step, or no checkpoint has the measure.
        SpecError: an unknown x.
    """
    if x not in AXES:
        raise SpecError(f"dynamics: x is {x!r}; expected {', '.join(AXES)}.")
    pairs = data.pairs(metric, dataset)
    rows = checkpoint_pairs(pairs)
    rows["x"] = rows.step if x == "step" else _losses(rows, views.measure(data.competence, measure))
    if (rows := rows[rows.x.notna()].reset_index(drop=True)).empty:
        raise StoreError(f"no checkpoint has {measure} in the competence table.")
    rows["null_mean"] = rows.null_mean.fillna(chance if (chance := views.chance(pairs)) is not None else np.nan)
    lines = courses(rows, "x")
    name = f"training {unit}" if x == "step" else measure.replace("_", " ")
    grid = _draw(lines, rows.groupby("comparison", sort=False).null_mean.mean(), pairs, name)
    columns = ["comparison", "series", "trajectory", "step", "x", "model", "other_model", "other_step"]
    return Plot(grid.figure, rows[[*columns, "score", "low", "high", "null_mean"]])


def _losses(rows: pd.DataFrame, values: pd.Series) -> pd.Series:
    """The checkpoint's measure; at the same step, the mean of both."""
    own, other = rows.model.map(values), rows.other_model.map(values)
    return own.where(rows.comparison != SAME, (own + other) / 2)


def _draw(lines: pd.DataFrame, nulls: pd.Series, pairs: pd.DataFrame, name: str) -> Grid:
    titles, looks = list(lines.comparison.unique()), _looks(lines)
    margin = marks.tag_width([*lines.series, "null"]) + 0.1
    label = layout.label(f"alignment, {metric_label(pairs.metric.iloc[0])}", HEIGHT + 0.4)
    left = LEFT + layout.label_room(label)
    columns = {4: 2}.get(len(titles), min(3, len(titles)))
    width = min((style.PAGE - left - columns * margin - (columns - 1) * 0.1) / columns, 3.2)
    margins = Margins(left, margin, 0.45, 0.3, across=margin + 0.1, down=0.72)
    size = (max(width, 1.2), HEIGHT)
    grid = layout.panels(
        len(titles), columns, size, margins, note=_note(lines, pairs), share="xy", least=1.0, wraps=True
    )
    _limits(grid.axes[0], lines, nulls)
    for panel, title in zip(grid.axes, titles, strict=True):
        _panel(panel, lines[lines.comparison == title], float(nulls[title]), looks)
        panel.set_title(title, loc="left")
    grid.label(name, label)
    return grid


def _looks(lines: pd.DataFrame) -> dict[tuple[str, str], style.Look]:
    """Looks by comparison and series: a family has the same everywhere, also where it meets itself."""
    series = lines.drop_duplicates(["comparison", "series"])
    families = [family for family in dict.fromkeys(series.family) if family != ""]
    mixed = series[series.family == ""]
    places = mixed.groupby("comparison").cumcount() + len(families)
    every = style.categorical(len(families) + len(mixed))
    looks = {}
    for row in series.itertuples():
        looks[row.comparison, row.series] = every[families.index(row.family) if row.family else places[row.Index]]
    return looks


def _limits(panel: Axes, lines: pd.DataFrame, nulls: pd.Series) -> None:
    """Limits and scale of the axes, which all panels share."""
    shown = np.concatenate([lines[["score", "low", "high"]].to_numpy().ravel(), nulls.to_numpy()])
    shown = shown[np.isfinite(shown)]
    panel.set_ylim(min(0.0, 1.1 * float(shown.min())), 1.06 * float(shown.max()))
    places = [float(place) for place in np.unique(lines.x)]
    if (lines.x != lines.step).any():
        _falling(panel, places)
        return
    first = min((place for place in places if place > 0), default=1.0)
    panel.set_xscale("symlog", linthresh=first, linscale=0.5)
    span = panel.xaxis.get_transform()
    low, high = span.transform(np.array([places[0], places[-1]]))
    pad = 0.05 * (high - low) or 0.5
    panel.set_xlim(*span.inverted().transform(np.array([low - pad, high + pad])))
    panel.set_xticks(places, thinned(panel, places, [_count(place) for place in places]))
    panel.minorticks_off()


def _falling(panel: Axes, places: list[float]) -> None:
    """An axis that falls to the right; logarithmic for losses, which are above 0."""
    high, low = max(places), min(places)
    if low > 0:
        panel.set_xscale("log")
    scale = panel.xaxis.get_transform()
    left, right = scale.transform(np.array([high, low]))
    pad = 0.05 * (left - right) or 0.02
    panel.set_xlim(*scale.inverted().transform(np.array([left + pad, right - pad])))
    if low > 0:
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        round_ones = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
        ticks = round_ones if high > 3 * low else MaxNLocator(4).tick_values(low, high)
        shown = [float(tick) for tick in sorted(ticks, reverse=True) if low / 1.05 <= tick <= 1.05 * high]
        panel.set_xticks(shown, thinned(panel, shown, [f"{tick:g}" for tick in shown]))
        panel.minorticks_off()


def _count(step: float) -> str:
    """A step in few digits: 500, 4k, 1.91M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:.3g}{unit}"
    return f"{step:g}"


def _panel(panel: Axes, lines: pd.DataFrame, null: float, looks: dict[tuple[str, str], style.Look]) -> None:
    tags = []
    for name, part in lines.groupby("series", sort=False):
        part, look = part.sort_values("step"), looks[str(part.comparison.iloc[0]), str(name)]
        panel.plot(part.x, part.score, label=str(name), zorder=3, **look.line())
        bars = part.dropna(subset=["low", "high"])
        panel.vlines(bars.x, bars.low, bars.high, color=look.color, linewidth=0.7, zorder=2)
        tags.append(Tag(float(part.score.iloc[-1]), str(name), look))
    level = null if np.isfinite(null) else None
    if level is not None:
        panel.axhline(level, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label="null")
        tags.append(Tag(level, "null"))
    marks.tag_right(panel, tags)


def _note(lines: pd.DataFrame, pairs: pd.DataFrame) -> str:
    note = f"{capitalised(setting(pairs))}."
    several = bool((lines.pairs > 1).any())
    if several:
        note += " Points: means over trainings of the same families."
    if lines.low.notna().any():
        note += " Bars: " + ("from the lowest to the highest end of their 95 % intervals." if several else "95 %.")
    how = "knows how layers were chosen" if pairs.tested.all() else "is that of fixed layers"
    return f"{note} Dotted: the mean null of the panel's pairs, which {how}."
