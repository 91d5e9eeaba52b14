"""Alignment as a growing share of pairs is shuffled: a negative control with a dose."""

from __future__ import annotations

import numpy as np

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.figures.marks import Tag
from platorep.results import views
from platorep.results.labels import capitalised, metric_label, setting


LEFT = 0.62


@figure("alignment")
def controls(data: FigureData, *, metric: str | None = None) -> Plot:
    """Alignment against the share of pairs that were shuffled, from 0 (the data) to 1: one line per language model.

    Each line is the mean over vision models and seeds, its band the range over seeds. A score of
    instance-level alignment falls as more pairs are mismatched, and ends at chance.

    Args:
        data: language x vision pairs, one dataset for each share and seed (columns shuffle_share, shuffle_seed).
        metric: full id, when the table holds several.

    Raises:
        StoreError: no row has a share.
    """
    pairs = views.by_variant(data.chosen, metric, "shuffle_share")
    runs = pairs.groupby(["language", "shuffle_share", "shuffle_seed"], sort=False, dropna=False)
    runs = runs.score.mean().reset_index()
    chance, names = views.chance(pairs), list(pairs.language.unique())
    seeds = int(runs.groupby(["language", "shuffle_share"]).size().max())
    note = f"{capitalised(setting(pairs))}; mean over {pairs.vision.nunique()} vision models."
    note += f" Bands: range of {seeds} seeds." if seeds > 1 else ""
    label = layout.label(f"alignment, {metric_label(pairs.metric.iloc[0])}", 2.1 + 0.4)
    margins = Margins(LEFT + layout.label_room(label), marks.tag_width([*names, "chance"]) + 0.1, 0.45, 0.15)
    grid = layout.panels(1, 1, (2.9, 2.1), margins, note=note)
    (axes,) = grid.axes
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(min(0.0, 1.1 * runs.score.min()), 1.08 * max(runs.score.max(), chance or 0.0))
    tags = []
    for name, look in zip(names, style.categorical(len(names)), strict=True):
        line = runs[runs.language == name].groupby("shuffle_share").score.agg(["mean", "min", "max"])
        x = line.index.to_numpy()
        axes.fill_between(x, line["min"], line["max"], color=look.color, alpha=0.2, linewidth=0)
        axes.plot(x, line["mean"], label=name, zorder=3, **look.line(), markevery=max(1, len(x) // 10))
        tags.append(Tag(line["mean"].iloc[-1], name, look))
    marks.tag_right(axes, [*tags, *marks.chance_line(axes, chance)])
    axes.set_xticks(np.linspace(0, 1, 6), [f"{v:.0%}" for v in np.linspace(0, 1, 6)])
    axes.set_xlabel("shuffled pairs")
    axes.set_ylabel(label)
    return Plot(grid.figure, runs)
