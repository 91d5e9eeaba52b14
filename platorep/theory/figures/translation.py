"""Experiment (i) of the theory: pairs that it takes to match two modalities, and matching without pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import LEFT, known_pairs, title


DIALS = ("own structure", "few observations", "lossy")
WORDS = {"own structure": "structure of its own", "few observations": "few observations", "lossy": "merged events"}
SHOWN = (0.3, 0.5, 0.6, 0.7, 1.0)
"""Shares of structure of its own whose curves are drawn."""


@style.styled
def theory_translation(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy against pairs, by world and by alignment; pairs needed, and exact matching, against alignment.

    Args:
        tables: result of `platorep.theory.translation.translation`.
    """
    curves = tables["curves"]
    note = (
        f"Means over {int(curves.seeds.iloc[0])} seeds with 95 % t intervals; only events that are in no pair count. "
    )
    note += "Alignment: mutual k-NN (k = 10).\n"
    note += "Bottom right: every matching of 7 random events is tried; chance is 1/7, and 1/5,040 for all of them."
    margins = Margins(LEFT, 0.15, 0.45, 0.55, across=0.6, down=0.65)
    grid = layout.panels(4, 2, (2.75, 1.75), margins, note=note)
    _worlds(grid.axes[0], curves)
    _curves(grid.axes[1], curves)
    _needed(grid.axes[2], tables["thresholds"])
    _exact(grid.axes[3], tables["exact"])
    title(grid.figure, "Pairs that it takes to translate, down to none")
    return grid.figure


def _worlds(panel: Axes, curves: pd.DataFrame) -> None:
    symmetric = [kind for kind in dict.fromkeys(curves.kind) if kind not in DIALS]
    same = curves[(curves.kind == "own structure") & (curves.dial == 0)]
    sets = {"no symmetry": same} | {kind: curves[curves.kind == kind] for kind in symmetric}
    for (name, rows), look in zip(sets.items(), style.categorical(len(sets)), strict=True):
        _line(panel, rows, look, name)
    _pairs(panel, curves)
    panel.set_title("the same kernel, by world", loc="left")
    panel.legend(loc="center right", bbox_to_anchor=(0.95, 0.6))


def _curves(panel: Axes, curves: pd.DataFrame) -> None:
    mine = curves[curves.kind == "own structure"]
    shares = [share for share in sorted(set(mine.dial)) if share in SHOWN]
    for share, look in zip(shares, style.ordinal(len(shares))[::-1], strict=True):
        rows = mine[mine.dial == share]
        _line(panel, rows, look, "")
        level = f"{rows.alignment.iloc[0]:.2f}".lstrip("0")
        reached = np.maximum.accumulate(rows.accuracy.to_numpy())
        half = float(np.interp(0.5, reached, rows.pairs)) if reached[-1] > 0.5 else 0.0
        place: dict[str, Any] = {"textcoords": "offset points", "xytext": (4, -2), "fontsize": style.small()}
        text, height = (level, 0.5) if half else (f"different worlds, {level}", 0.09)
        panel.annotate(text, (half, height), **place)
    _pairs(panel, curves)
    panel.set_title("y has structure of its own, by alignment", loc="left")


def _line(panel: Axes, rows: pd.DataFrame, look: style.Look, label: str) -> None:
    panel.plot(rows.pairs, rows.accuracy, **look.line(), label=label)
    panel.fill_between(rows.pairs, rows.accuracy_low, rows.accuracy_high, color=look.color, alpha=0.18, linewidth=0)


def _pairs(panel: Axes, curves: pd.DataFrame) -> None:
    known_pairs(panel, curves.pairs.max())
    panel.set_ylim(-0.04, 1.05)
    panel.set_ylabel("events matched rightly")


def _needed(panel: Axes, thresholds: pd.DataFrame) -> None:
    for kind, look in zip(DIALS, style.categorical(len(DIALS)), strict=True):
        for level in sorted(set(thresholds.level)):
            rows = thresholds[(thresholds.kind == kind) & (thresholds.level == level)].sort_values("alignment")
            half = level == 0.5
            error = np.maximum([rows.pairs - rows.pairs_low, rows.pairs_high - rows.pairs], 0)
            face: dict[str, Any] = {"markerfacecolor": look.color if half else "white", "markeredgecolor": look.color}
            line: dict[str, Any] = {"color": look.color, "linestyle": "-" if half else ":", "capsize": 1.5}
            label = f"{WORDS[kind]}" if half else None
            panel.errorbar(rows.alignment, rows.pairs, error, fmt=look.marker, label=label, **face, **line)
    panel.set_yscale("symlog", base=2, linthresh=1)
    ticks = [0, 1, 2, 4, 8, 16, 32, 64]
    panel.set_yticks(ticks, [*map(str, ticks[:-1]), "all"])
    panel.set_ylim(-0.15, 80)
    panel.set_xlabel("alignment of x and y")
    panel.set_ylabel("pairs needed")
    panel.set_title("for 50 % (full) and 90 % (open)", loc="left")
    panel.legend(loc="upper right")


def _exact(panel: Axes, exact: pd.DataFrame) -> None:
    edge: dict[str, Any] = {"markeredgecolor": style.INK, "markeredgewidth": 0.4, "capsize": 1.5}
    for kind, look in zip((*DIALS[:2], "ring"), style.categorical(4)[:2] + style.categorical(4)[3:], strict=True):
        rows = exact[exact.kind == kind].sort_values("correlation")
        error = np.maximum([rows.accuracy - rows.accuracy_low, rows.accuracy_high - rows.accuracy], 0)
        name = "ring of 7, with itself" if kind == "ring" else WORDS[kind]
        line: dict[str, Any] = {"fmt": look.marker, "color": look.color, "linestyle": look.dash}
        panel.errorbar(rows.correlation, rows.accuracy, error, label=name, **line, **edge)
        if kind == "own structure":
            line = {"color": look.color, "linestyle": ":", "marker": look.marker, "markerfacecolor": "white"}
            panel.plot(rows.correlation, rows.complete, **line, label=f"{name}, all 7 right")
    panel.axhline(1 / 7, color=style.MUTED, linestyle=":", linewidth=0.8)
    words: dict[str, Any] = {"fontsize": style.small(), "color": style.MUTED}
    panel.annotate("chance", (0.62, 1 / 7), xytext=(0, 2), textcoords="offset points", **words)
    panel.set_ylim(-0.04, 1.05)
    panel.set_xlabel("correlation of the two kernels")
    panel.set_ylabel("events matched rightly")
    panel.set_title("without pairs, exactly", loc="left")
    panel.legend(loc="upper left")
