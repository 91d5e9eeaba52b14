"""Parts that the theory's figures share: lines over a dial, points with intervals, the title, the line of chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Grid


METRIC_LABELS = {
    "mutual_knn": "mutual k-NN (k = 10)",
    "cka": "CKA, unbiased",
    "cknna": "CKNNA (k = 10)",
    "rsa": "RSA, Spearman",
}
LEFT = 0.5


def title(figure: Figure, text: str, left: float = LEFT) -> None:
    """The title at the top of a figure."""
    height = layout.size(figure)[1]
    layout.write(figure, left, height - 0.1, text, weight="bold", va="top", fontsize=style.base())


def legend_below(grid: Grid, labelled: Axes, columns: int) -> None:
    """A legend for all panels below them, above the note."""
    width, height = layout.size(grid.figure)
    lowest = layout.box(grid.axes[-1])[1]
    corner = (0.4 / width, (lowest - 0.7) / height)
    handles, labels = labelled.get_legend_handles_labels()
    grid.figure.legend(handles, labels, loc="lower left", bbox_to_anchor=corner, ncols=columns)


def lines(
    axes: Axes, table: pd.DataFrame, x: str, value: str, series: str, labels: dict[str, str] | None = None
) -> None:
    """One line per value of `series` with its 95 % interval as a band (columns value, value_low, value_high)."""
    names = list(dict.fromkeys(table[series]))
    for name, look in zip(names, style.categorical(len(names)), strict=True):
        rows = table[table[series] == name].sort_values(x)
        axes.plot(rows[x], rows[value], **look.line(), label=(labels or {}).get(name, name))
        axes.fill_between(
            rows[x], rows[f"{value}_low"], rows[f"{value}_high"], color=look.color, alpha=0.18, linewidth=0
        )


def intervals(axes: Axes, x: np.ndarray, rows: pd.DataFrame, look: style.Look, label: str | None = None) -> None:
    """Points with their 95 % intervals (columns score, score_low, score_high)."""
    # rounding may make a length of zero negative
    error = np.maximum([rows.score - rows.score_low, rows.score_high - rows.score], 0)
    edge: dict[str, Any] = {"markeredgecolor": style.INK, "markeredgewidth": 0.4}
    axes.errorbar(x, rows.score, error, fmt=look.marker, color=look.color, capsize=1.5, label=label, **edge)


def chance(
    axes: Axes, value: float, text: str = "chance, mutual k-NN", *, end: Literal["left", "right"] = "right"
) -> None:
    """A dotted line at chance, labelled at the end where there is free space; an empty text leaves out the label."""
    axes.axhline(value, color=style.MUTED, linestyle=":", linewidth=0.8)
    place: dict[str, Any] = {"xytext": (0, 2), "textcoords": "offset points", "xycoords": axes.get_yaxis_transform()}
    words: dict[str, Any] = {"fontsize": style.small(), "color": style.MUTED, "ha": end}
    axes.annotate(text, (0.99 if end == "right" else 0.01, value), **place, **words)


def doubling(axes: Axes, ticks: Sequence[float]) -> None:
    """A base-2 logarithmic x axis with plain numbers at `ticks`."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ticks), [f"{t:g}" for t in ticks])
    axes.minorticks_off()


def known_pairs(axes: Axes, largest: float) -> None:
    """An x axis of numbers of known pairs: logarithmic to base 2, with none at its start."""
    axes.set_xscale("symlog", base=2, linthresh=1)
    ticks = [0, *(2**power for power in range(int(np.log2(largest)) + 1))]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(-0.15, largest * 1.2)
    axes.set_xlabel("known pairs K")
