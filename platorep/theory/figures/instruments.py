"""Experiment (g) of the theory: size, power and coverage of the instruments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import style


@style.styled
def theory_instruments(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Left: size and power of every metric by relabelling. Middle: the same of the exact-moment tests. Right: coverage.

    Args:
        tables: those of `platorep.theory.instruments.instruments`.
    """
    tests, coverage = tables["tests"], tables["coverage"]
    base = tests[tests.test == "relabelling"]
    signals = sorted(base.signal.unique())
    metrics = list(dict.fromkeys(base.metric))
    figure, (left, middle, right) = style.panels(
        1, 3, panel=(1.6, 2.2), left=1.35, right=0.15, bottom=1.35, top=0.55, gap=(0.55, 0)
    )
    rows = np.arange(len(metrics))[::-1]
    for above, (signal, look) in enumerate(
        zip(signals[::-1], style.ordinal(len(signals))[::-1], strict=True)
    ):  # the size on top
        mine = base[base.signal == signal].set_index("metric").loc[metrics]
        name = "0 (size)" if signal == 0 else f"{signal:g}"
        bars = 1.96 * mine.standard_error
        left.errorbar(
            mine.rejected,
            rows,
            xerr=bars,
            fmt=look.marker,
            color=look.color,
            markeredgecolor=style.INK,
            markeredgewidth=0.4,
            label=name,
            zorder=3 + above,
        )
    left.set_yticks(rows, metrics)
    left.set_xlim(-0.03, 1.03)
    left.set_xlabel("share rejected")
    left.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=2,
        title="share of variance in common",
        title_fontsize=style.SMALL,
    )
    left.set_title("against 19 relabellings", loc="left")
    moments = tests[(tests.test == "moments") & (tests.varied == "signal")]
    names = list(dict.fromkeys(moments.metric))
    for metric, look in zip(names, style.categorical(len(names)), strict=True):
        mine = moments[moments.metric == metric].sort_values("signal")
        middle.plot(mine.signal, mine.rejected, **look.line(), label=metric)
    middle.set_xlabel("share of variance in common")
    middle.set_ylabel("share rejected")
    middle.set_ylim(0, 1.03)
    middle.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    middle.set_title("exact null moments", loc="left")
    kinds = list(dict.fromkeys(coverage.interval))
    for kind, look in zip(kinds, style.categorical(len(kinds)), strict=True):
        mine = coverage[coverage.interval == kind].sort_values("signal")
        right.plot(mine.signal, mine.covered, **look.line(), label=kind)
    right.set_xlabel("share of variance in common")
    right.set_ylabel("coverage")
    right.set_ylim(min(0.7, coverage.covered.min() - 0.02), 1.01)
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    right.set_title("95 % intervals", loc="left")
    left.axvline(0.05, color=style.MUTED, linestyle=":", linewidth=0.8)
    middle.axhline(0.05, color=style.MUTED, linestyle=":", linewidth=0.8)
    right.axhline(0.95, color=style.MUTED, linestyle=":", linewidth=0.8)
    width, height = figure.get_size_inches()
    figure.text(0.1 / width, 1 - 0.1 / height, "Instruments at known truth", weight="bold", va="top")
    cell = moments.iloc[0]
    style.note(
        figure,
        f"n = {cell.n}, k = {cell.k}, d = {cell.d}; {cell.repetitions} repetitions a cell; bars: 95 %. Other n, k, d: tests.csv.",
        0.1,
    )
    return figure
