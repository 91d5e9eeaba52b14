"""Experiment (b) of the theory: agreement between modalities against the information that one of them keeps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import LEFT, METRIC_LABELS, chance, intervals, title


NAMES = {"bijection": "random\ncodes", "rendered": "pictures,\nsentences", "other world": "different\nworlds"}


@style.styled
def theory_agreement(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Left and middle: score against bits kept, lossy and noisy views; dashes: exact kernels. Right: ends of the scale.

    Args:
        tables: result of `platorep.theory.agreement.agreement`.
    """
    summary = tables["summary"]
    note = f"Means over {int(summary.seeds.iloc[0])} seeds with 95 % t intervals. "
    note += "Dashed: the exact kernels of the two views in place of learned ones.\n"
    note += "x: bijection, table of vectors. y: network on random codes."
    grid = layout.panels(3, 3, (1.85, 1.7), Margins(LEFT, 0.15, 0.48, 0.55, across=0.22), note=note, share="y")
    metrics = list(dict.fromkeys(summary.metric))
    looks = dict(zip(metrics, style.categorical(len(metrics)), strict=True))
    for panel, kind in zip(grid.axes[:2], ("lossy", "noisy"), strict=True):
        _curves(panel, summary, kind, looks)
    grid.axes[0].set_ylabel("agreement of x and y")
    grid.axes[0].legend(loc="upper left")
    _ends(grid.axes[2], summary, looks)
    level = summary[summary.metric == "mutual_knn"].null_mean.iloc[0]
    for index, panel in enumerate(grid.axes):
        chance(panel, level, "chance, mutual k-NN" if index == 2 else "", end="left")
        panel.set_ylim(-0.08, 1.05)
        panel.tick_params(labelleft=index == 0)
    title(grid.figure, "Agreement is capped by the information that both modalities keep")
    return grid.figure


def _curves(panel: Axes, summary: pd.DataFrame, kind: str, looks: Mapping[str, style.Look]) -> None:
    exact = summary[summary.kind == "bijection"]
    rows = pd.concat([exact, summary[summary.kind == kind]]).sort_values("bits")
    for metric, look in looks.items():
        mine = rows[rows.metric == metric]
        line = look.line() | {"linestyle": "-"}
        panel.plot(mine.bits, mine.score, **line, label=METRIC_LABELS.get(metric, metric))
        panel.fill_between(mine.bits, mine.score_low, mine.score_high, color=look.color, alpha=0.18, linewidth=0)
        panel.plot(mine.bits, mine.ceiling, color=look.color, linestyle="--", linewidth=0.8)
    panel.set_title(f"y is {kind}", loc="left")
    panel.set_xlabel("information that y keeps (bits)")


def _ends(panel: Axes, summary: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    ends = [kind for kind in NAMES if kind in set(summary.kind)]
    for offset, (metric, look) in zip(np.linspace(-0.2, 0.2, len(looks)), looks.items(), strict=True):
        rows = summary[summary.metric == metric].set_index("kind").loc[ends]
        intervals(panel, np.arange(len(ends)) + offset, rows, look)
    panel.set_xticks(range(len(ends)), [NAMES[kind] for kind in ends])
    panel.set_xlim(-0.5, len(ends) - 0.5)
    panel.set_title("bijections; nothing shared", loc="left")
