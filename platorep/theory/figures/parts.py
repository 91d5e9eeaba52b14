"""What the theory's figures share: lines over a dial with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import style


METRIC_LABELS = {
    "mutual_knn": "mutual k-NN (k = 10)",
    "cka": "CKA, unbiased",
    "cknna": "CKNNA (k = 10)",
    "rsa": "RSA, Spearman",
}


def lines(
    axes: Axes, table: pd.DataFrame, x: str, value: str, series: str, labels: dict[str, str] | None = None
) -> None:
    """One line a value of `series` with its 95 % interval as a band (columns value, value_low, value_high)."""
    names = list(dict.fromkeys(table[series]))
    for name, look in zip(names, style.categorical(len(names)), strict=True):
        rows = table[table[series] == name].sort_values(x)
        axes.plot(rows[x], rows[value], **look.line(), label=(labels or {}).get(name, name))
        axes.fill_between(
            rows[x], rows[f"{value}_low"], rows[f"{value}_high"], color=look.color, alpha=0.18, linewidth=0
        )


def chance(
    axes: Axes, value: float, text: str = "chance, mutual k-NN", *, end: Literal["left", "right"] = "right"
) -> None:
    """A dotted line at chance, named at one of its ends: where nothing else lies; not at all with text ""."""
    axes.axhline(value, color=style.MUTED, linestyle=":", linewidth=0.8)
    axes.annotate(
        text,
        (0.99 if end == "right" else 0.01, value),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=style.SMALL,
        color=style.MUTED,
        ha=end,
    )


def doubling(axes: Axes, ticks: Sequence[float]) -> None:
    """A base-2 logarithmic x axis with plain numbers at `ticks`."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ticks), [f"{t:g}" for t in ticks])
    axes.minorticks_off()
