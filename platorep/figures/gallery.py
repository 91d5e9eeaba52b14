"""The same queries in growing galleries: score at fixed k and at k proportional to the gallery."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.curves import thinned
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Grid, Margins
from platorep.results.labels import title_of


LEFT = 0.6

LINES = 10
"""Largest number of pairs with one line each; with more, there is one line per x model, the mean over its y models."""


class _Rule(NamedTuple):
    """One panel: fixed k, or k that grows with the gallery."""

    title: str
    rows: pd.DataFrame


@figure("galleries")
def gallery(data: FigureData) -> Plot:
    """mutual_knn of fixed queries over the size of the gallery: one panel per rule for k, one line per pair of models.

    A pair's layers are the same at every size: those that score best on average (`GalleryTable.best`). With a fixed
    k, neighbours become nearer as the gallery grows, so scores of different sizes must not be compared. With k
    proportional to the gallery they can be, and the chance level is constant. Both panels have the same
    logarithmic axes.

    Args:
        data: the table of `platorep gallery`.

    Raises:
        StoreError: the table is of a single gallery.
    """
    best = data.require("galleries").best()
    sizes = sorted(best.n.unique())
    if len(sizes) < 2:
        raise StoreError(f"a curve over galleries needs two or more sizes; the table has {sizes[0]}.")
    alone = (best.x_model + best.y_model).nunique() <= LINES
    best["line"] = best.x_model + " × " + best.y_model if alone else best.x_model
    rules = [
        _Rule(f"k = {rule:g}" if not grows else f"k = {100 * rule:g} % of the gallery", part)
        for (grows, rule), part in best.groupby([best.share.notna(), best.share.fillna(best.k)], sort=True)
    ]
    grid = _draw(rules, _note(best, alone), alone)
    columns = ["dataset", "n", "queries", "k", "share", "x_model", "x_layer", "y_model", "y_layer"]
    return Plot(grid.figure, best[[*columns, "score", "low", "high", "chance"]].reset_index(drop=True))


def _note(best: pd.DataFrame, alone: bool) -> str:
    data = ", ".join(dict.fromkeys(title_of(d) for d in best.dataset))
    lines = "one line per pair of models" if alone else f"mean over {best.y_model.nunique()} y models"
    note = f"{best.queries.iloc[0]:,} queries, {data}, {lines}, layers chosen over all galleries. "
    note += "Bars: 95 % over queries in the same gallery. Dotted: chance." if alone else "Dotted: chance."
    searched = sorted({backend.partition(", ")[2] for backend in best.backend} - {""})
    if searched:
        note += f" {searched[0]}, recall {best[['x_recall', 'y_recall']].to_numpy().min():.3f} or more."
    return note


def _draw(rules: list[_Rule], note: str, alone: bool) -> Grid:
    first, sizes = rules[0].rows, sorted(rules[0].rows.n.unique())
    names = list(pd.concat([rule.rows for rule in rules]).line.unique())
    looks = dict(zip(names, style.categorical(len(names)), strict=True))
    margins = Margins(LEFT, marks.tag_width(names) + 0.05, 0.45, 0.3, across=0.22)
    grid = layout.panels(len(rules), len(rules), (2.2, 1.9), margins, note=note, share="xy", least=1.2, wraps=True)
    pad = (sizes[-1] / sizes[0]) ** 0.06
    grid.axes[0].set_xscale("log")
    grid.axes[0].set_xlim(sizes[0] / pad, sizes[-1] * pad)
    for number, (panel, rule) in enumerate(zip(grid.axes, rules, strict=True)):
        _lines(panel, rule.rows, looks, alone, pad)
        panel.set_title(rule.title, loc="left")
        panel.set_xticks(sizes, thinned(panel, sizes, [_short(n) for n in sizes]))
        panel.xaxis.minorticks_off()
        panel.set_xlabel("samples in the gallery")
        panel.tick_params(labelleft=grid.is_first(number))
        if grid.is_first(number):
            panel.set_ylabel("score, mutual k-NN")
    _limits(grid.axes[0], [rule.rows for rule in rules], alone)
    order = first[first.n == sizes[-1]].groupby("line").score.mean().sort_values(ascending=False).index
    marks.key_right(grid.axes[grid.columns - 1], [(name, looks[name]) for name in order])
    return grid


def _lines(panel: Axes, part: pd.DataFrame, looks: dict[str, style.Look], alone: bool, pad: float) -> None:
    """Lines, intervals where a line is one pair, and chance."""
    for place, (name, look) in enumerate(looks.items()):
        # bars of several lines do not hide each other
        aside = pad ** (0.15 * (place - (len(looks) - 1) / 2)) if alone else 1.0
        line = part[part.line == name].groupby("n")[["score", "low", "high"]].mean()
        panel.plot(line.index * aside, line.score, label=name, zorder=3, **look.line())
        if alone:
            ends = line.low.clip(lower=0), line.high
            panel.vlines(line.index * aside, *ends, color=look.color, linewidth=0.8, zorder=2)
    chance = part.groupby("n").chance.first()
    panel.plot(chance.index, chance, color=style.INK, linewidth=0.8, linestyle=":", label="chance")


def _limits(panel: Axes, parts: list[pd.DataFrame], alone: bool) -> None:
    """One logarithmic axis for all panels."""
    rows = pd.concat(parts)
    tops = rows.high if alone else rows.groupby(["line", "n", "k"]).score.mean()
    lowest = min(rows.score[rows.score > 0].min(), rows.chance.min())
    top = max(tops.max(), rows.chance.max())
    panel.set_yscale("log")
    panel.set_ylim(lowest / 1.5, top * 1.3)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 300 * lowest else (1,)))
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.yaxis.set_minor_formatter(lambda value, _: "")


def _short(n: int) -> str:
    """A size on an axis: 700, 16k, 1M."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if n >= 10 * size or (n >= size and n % size == 0):
            return f"{n / size:.3g}{unit}"
    return str(n)
