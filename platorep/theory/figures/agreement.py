"""Experiment (b) of the theory: agreement between modalities against the information that one of them keeps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import style
from platorep.theory.figures.parts import METRIC_LABELS, chance


@style.styled
def theory_agreement(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Left and middle: score against bits kept, lossy and noisy views; dashes: exact kernels. Right: the ends of the scale.

    Args:
        tables: those of `platorep.theory.agreement.agreement`.
    """
    summary = tables["summary"]
    figure, axes = style.panels(
        1, 3, panel=(1.85, 1.7), left=0.5, right=0.15, bottom=0.85, top=0.55, gap=(0.22, 0), sharey=True
    )
    metrics = list(dict.fromkeys(summary.metric))
    looks = dict(zip(metrics, style.categorical(len(metrics)), strict=True))
    exact = summary[summary.kind == "bijection"]
    for panel, kind in zip(axes[:2], ("lossy", "noisy"), strict=True):
        rows = pd.concat([exact, summary[summary.kind == kind]]).sort_values("bits")
        for metric, look in looks.items():
            mine = rows[rows.metric == metric]
            panel.plot(
                mine.bits, mine.score, **look.line() | {"linestyle": "-"}, label=METRIC_LABELS.get(metric, metric)
            )
            panel.fill_between(mine.bits, mine.score_low, mine.score_high, color=look.color, alpha=0.18, linewidth=0)
            panel.plot(mine.bits, mine.ceiling, color=look.color, linestyle="--", linewidth=0.8)
        panel.set_title(f"y is {kind}", loc="left")
        panel.set_xlabel("information that y keeps (bits)")
    axes[0].set_ylabel("agreement of x and y")
    axes[0].legend(loc="upper left")
    ends = [kind for kind in ("bijection", "rendered", "other world") if kind in set(summary.kind)]
    names = {"bijection": "random\ncodes", "rendered": "pictures,\nsentences", "other world": "different\nworlds"}
    for offset, (metric, look) in zip(np.linspace(-0.2, 0.2, len(metrics)), looks.items(), strict=True):
        mine = summary[summary.metric == metric].set_index("kind").loc[ends]
        at = np.arange(len(ends)) + offset
        error = np.array([mine.score - mine.score_low, mine.score_high - mine.score])
        axes[2].errorbar(
            at,
            mine.score,
            yerror(error),
            fmt=look.marker,
            color=look.color,
            markeredgecolor=style.INK,
            markeredgewidth=0.4,
            capsize=1.5,
        )
    axes[2].set_xticks(range(len(ends)), [names[kind] for kind in ends])
    axes[2].set_xlim(-0.5, len(ends) - 0.5)
    axes[2].set_title("bijections; nothing shared", loc="left")
    level = summary[summary.metric == "mutual_knn"].null_mean.iloc[0]
    for panel in axes:
        chance(panel, level, "chance, mutual k-NN" if panel is axes[2] else "", end="left")
        panel.set_ylim(-0.08, 1.05)
        panel.tick_params(labelleft=panel is axes[0])
    width, height = figure.get_size_inches()
    figure.text(
        0.5 / width,
        1 - 0.1 / height,
        "Agreement is capped by the information that both modalities keep",
        weight="bold",
        va="top",
    )
    seeds = int(summary.seeds.iloc[0])
    text = f"Means over {seeds} seeds with 95 % t intervals. Dashed: the exact kernels of the two views in place of learned ones.\n"
    text += "x: bijection, table of vectors. y: network on random codes."
    style.note(figure, text, 0.5)
    return figure


def yerror(error: np.ndarray) -> np.ndarray:
    """Lengths of the bars; rounding may make a zero length negative."""
    return np.maximum(error, 0)
