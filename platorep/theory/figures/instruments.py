"""Experiment (g) of the theory: size, power and coverage of the instruments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import title


@style.styled
def theory_instruments(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Left: size and power of every metric by relabelling. Middle: the same for exact-moment tests. Right: coverage.

    Args:
        tables: result of `platorep.theory.instruments.instruments`.
    """
    tests, coverage = tables["tests"], tables["coverage"]
    moments = tests[(tests.test == "moments") & (tests.varied == "signal")]
    cell = moments.iloc[0]
    note = f"n = {cell.n}, k = {cell.k}, d = {cell.d}; {cell.repetitions} repetitions a cell; bars: 95 %. "
    note += "Other n, k, d: tests.csv."
    margins = Margins(1.35, 0.15, 1.2, 0.55, across=0.55)
    grid = layout.panels(3, 3, (1.6, 2.2), margins, note=note)
    left, middle, right = grid.axes
    _relabelling(left, tests[tests.test == "relabelling"])
    _by_signal(middle, moments, "metric", "rejected")
    middle.set_ylabel("share rejected")
    middle.set_ylim(0, 1.03)
    middle.set_title("exact null moments", loc="left")
    _by_signal(right, coverage, "interval", "covered")
    right.set_ylabel("coverage")
    right.set_ylim(min(0.7, coverage.covered.min() - 0.02), 1.01)
    right.set_title("95 % intervals", loc="left")
    level: dict[str, Any] = {"color": style.MUTED, "linestyle": ":", "linewidth": 0.8}
    left.axvline(0.05, **level)
    middle.axhline(0.05, **level)
    right.axhline(0.95, **level)
    title(grid.figure, "Instruments at known truth", left=0.1)
    return grid.figure


def _relabelling(panel: Axes, tests: pd.DataFrame) -> None:
    signals, metrics = sorted(tests.signal.unique()), list(dict.fromkeys(tests.metric))
    rows = np.arange(len(metrics))[::-1]
    looks = style.ordinal(len(signals))
    for above, (signal, look) in enumerate(zip(signals[::-1], looks[::-1], strict=True)):  # the size on top
        mine = tests[tests.signal == signal].set_index("metric").loc[metrics]
        edge: dict[str, Any] = {"markeredgecolor": style.INK, "markeredgewidth": 0.4, "zorder": 3 + above}
        name = "0 (size)" if signal == 0 else f"{signal:g}"
        error = 1.96 * mine.standard_error
        panel.errorbar(mine.rejected, rows, xerr=error, fmt=look.marker, color=look.color, label=name, **edge)
    panel.set_yticks(rows, metrics)
    panel.set_xlim(-0.03, 1.03)
    panel.set_xlabel("share rejected")
    words = {"title": "share of variance in common", "title_fontsize": style.small()}
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, **words)
    panel.set_title("against 19 relabellings", loc="left")


def _by_signal(panel: Axes, table: pd.DataFrame, series: str, value: str) -> None:
    names = list(dict.fromkeys(table[series]))
    for name, look in zip(names, style.categorical(len(names)), strict=True):
        rows = table[table[series] == name].sort_values("signal")
        panel.plot(rows.signal, rows[value], **look.line(), label=name)
    panel.set_xlabel("share of variance in common")
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
