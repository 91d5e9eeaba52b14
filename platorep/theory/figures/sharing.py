"""Experiment (h) of the theory: error of the kernel from one modality and from both, and what y's data are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import LEFT, known_pairs, legend_below, title


@style.styled
def theory_sharing(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Left: error against x's data, alone and with y's. Middle: rate against pairs. Right: rate of the contrasts.

    Args:
        tables: result of `platorep.theory.sharing.sharing`.
    """
    summary, curve = tables["summary"], tables["curve"]
    contrasts = summary[~summary.kind.isin(["pairs", "matched"])]
    second = int(contrasts.second.iloc[0])
    note = f"Means over {int(summary.seeds.iloc[0])} seeds with 95 % t intervals. "
    note += f"Left and right: M = {second:,} observations of y.\n"
    note += "Middle: M = N = the number in the legend; matched: other symbols by the kernels. "
    note += "Dashes: only observations of paired symbols help."
    grid = layout.panels(3, 3, (1.9, 1.75), Margins(LEFT, 0.15, 0.86, 0.55, across=0.62), note=note)
    kinds = list(dict.fromkeys(contrasts.kind))
    looks = dict(zip(kinds, style.categorical(len(kinds)), strict=True))
    _errors(grid.axes[0], curve, contrasts, looks)
    _pairs(grid.axes[1], summary)
    _rates(grid.axes[2], contrasts[contrasts["first"] == second], looks)
    legend_below(grid, grid.axes[0], columns=3)
    title(grid.figure, "What data of another modality are worth for one kernel")
    return grid.figure


def _errors(panel: Axes, curve: pd.DataFrame, contrasts: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    alone = curve[curve.observations.between(contrasts["first"].min(), contrasts["first"].max())]
    panel.plot(alone.observations, alone.error, color=style.INK, linewidth=1.4, label="x alone")
    for kind, look in looks.items():
        rows = contrasts[contrasts.kind == kind]
        panel.plot(rows["first"], rows.error, **look.line(), label=kind.replace("bijection", "bijection, all pairs"))
        panel.fill_between(rows["first"], rows.error_low, rows.error_high, color=look.color, alpha=0.18, linewidth=0)
    panel.set_xscale("log")
    panel.set_yscale("log")
    ticks = [0.1, 0.2, 0.5, 1]
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_xlabel("observations N of x", labelpad=1)
    panel.set_ylabel("error of x's kernel")
    panel.set_title("with y's data added", loc="left")


def _pairs(panel: Axes, summary: pd.DataFrame) -> None:
    counts = sorted(summary[summary.kind == "pairs"].second.unique())
    for kind, words in (("matched", "matched"), ("pairs", "pairs alone")):
        for count, look in zip(counts, style.ordinal(len(counts) + 1)[1:], strict=True):
            rows = summary[(summary.kind == kind) & (summary.second == count)]
            line = look.line() | {"linestyle": "-", "marker": "o" if kind == "matched" else "s", "markersize": 3.2}
            panel.plot(rows.pairs, rows.rate, **line, label=f"{words}, {count:,}")
            panel.fill_between(rows.pairs, rows.rate_low, rows.rate_high, color=look.color, alpha=0.18, linewidth=0)
    panel.plot(rows.pairs, rows.predicted, color=style.INK, linestyle="--", linewidth=0.8)
    _level(panel)
    known_pairs(panel, summary.pairs.max())
    panel.set_ylabel("observations of x\nthat one of y is worth")
    panel.set_title("ever more pairs", loc="left")
    panel.legend(loc="lower right", handlelength=1.2, borderaxespad=0)


def _rates(panel: Axes, rows: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    edge: dict[str, Any] = {"markeredgecolor": style.INK, "markeredgewidth": 0.4}
    words: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": style.small()}
    for place, (kind, look) in enumerate(looks.items()):
        row = rows[rows.kind == kind].iloc[0]
        error = np.array([[row.rate - row.rate_low], [row.rate_high - row.rate]])
        panel.errorbar([place], [row.rate], error, fmt=look.marker, color=look.color, capsize=1.5, **edge)
        panel.annotate(f"{row.rate:.2f}".replace("-", "−"), (place, row.rate), xytext=(0, 6), **words)
    panel.set_xticks(range(len(looks)), [kind.replace(" symbols", "").replace(" ", "\n") for kind in looks])
    panel.set_xlim(-0.6, len(looks) - 0.4)
    _level(panel)
    panel.set_title("all pairs, N = M", loc="left")


def _level(panel: Axes) -> None:
    panel.axhline(0, color=style.MUTED, linestyle=":", linewidth=0.8)
    panel.set_ylim(-1.25, 1.3)
