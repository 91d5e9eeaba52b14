"""Experiment (j) of the theory: alignment, and what it lacks, against data, parameters and compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import LEFT, METRIC_LABELS, chance, legend_below, title


LABELS = {
    "data": "pairs observed by each",
    "parameters": "parameters of both",
    "compute": "multiply-adds of training",
}
FLOOR = 3e-4
"""Lowest shortfall that is drawn."""


@style.styled
def theory_scale(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """One column per resource: scores on top, with the fitted laws; below, what they lack to 1, on logarithmic axes.

    Args:
        tables: result of `platorep.theory.scale.scale`.
    """
    summary, laws = tables["summary"], tables["laws"]
    sweeps, metrics = list(dict.fromkeys(summary.sweep)), list(dict.fromkeys(summary.metric))
    looks = dict(zip(metrics, style.categorical(len(metrics)), strict=True))
    seeds = int(summary.seeds.iloc[0])
    note = f"Table against network; means over {seeds} seeds with 95 % t intervals. Open markers: different worlds.\n"
    note += "Dashes: S − C scale$^{−α}$. Lines: exact optima of the data. Dots: slopes −1/2 and −1."
    margins = Margins(LEFT, 0.15, 0.72, 0.55, across=0.25, down=0.22)
    grid = layout.panels(2 * len(sweeps), len(sweeps), (1.85, 1.4), margins, note=note)
    for column, sweep in enumerate(sweeps):
        rows, mine = summary[summary.sweep == sweep], laws[laws.sweep == sweep]
        above, below = grid.axes[column], grid.axes[column + len(sweeps)]
        for panel in (above, below):
            panel.set_xscale("log")
            panel.tick_params(labelleft=column == 0)
        _scores(above, rows, mine, looks)
        _shortfalls(below, rows, looks)
        above.set_xlim(below.get_xlim())
        above.set_title(sweep, loc="left")
        below.set_xlabel(LABELS.get(sweep, sweep))
        above.tick_params(labelbottom=False)
    grid.axes[0].set_ylabel("alignment")
    grid.axes[len(sweeps)].set_ylabel("1 − alignment")
    legend_below(grid, grid.axes[0], columns=4)
    title(grid.figure, "Alignment of a table and a network that grow")
    return grid.figure


def _scores(panel: Axes, rows: pd.DataFrame, laws: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    for metric, look in looks.items():
        mine = rows[rows.metric == metric]
        one, other = (mine[mine.pair == pair].sort_values("size") for pair in ("one world", "different worlds"))
        line = look.line() | {"linestyle": "none"}
        panel.plot(one["size"], one.score, **line, label=METRIC_LABELS.get(metric, metric))
        panel.fill_between(one["size"], one.score_low, one.score_high, color=look.color, alpha=0.18, linewidth=0)
        hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": look.color, "linewidth": 0.7}
        panel.plot(other["size"], other.score, look.marker, color=look.color, linestyle=":", **hollow)
        law = laws[(laws.pair == "one world") & (laws.metric == metric)].iloc[0]
        curve = law.limit - law.amplitude * (one["size"] / one["size"].iloc[0]) ** -law.exponent
        panel.plot(one["size"], curve, color=look.color, linestyle="--", linewidth=0.9)
        exact = mine[mine.pair == "optimum"].sort_values("size")
        panel.plot(exact["size"], exact.score, color=look.color, linewidth=0.8)
    chance(panel, rows[rows.metric == "mutual_knn"].null_mean.iloc[0])
    panel.set_ylim(-0.1, 1.05)


def _shortfalls(panel: Axes, rows: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    for (metric, look), slope in zip(looks.items(), (0.5, 1.0), strict=True):
        mine = rows[rows.metric == metric]
        one, exact = (mine[mine.pair == pair].sort_values("size") for pair in ("one world", "optimum"))
        lacking = (1 - one.score).clip(lower=FLOOR / 2)
        panel.plot(one["size"], lacking, **look.line() | {"linestyle": "none"})
        panel.fill_between(
            one["size"],
            (1 - one.score_high).clip(lower=FLOOR / 2),
            (1 - one.score_low).clip(lower=FLOOR / 2),
            color=look.color,
            alpha=0.18,
            linewidth=0,
        )
        if len(exact):
            panel.plot(exact["size"], 1 - exact.score, color=look.color, linewidth=0.8)
            last = exact.iloc[-1]
            guide = (1 - last.score) * (exact["size"] / last["size"]) ** -slope
            panel.plot(exact["size"][-7:], guide[-7:] * 1.35, color=style.MUTED, linestyle=":", linewidth=0.9)
    panel.set_yscale("log")
    panel.set_ylim(FLOOR, 1.3)
