"""Experiment (e) of the theory: agreement under small weights, at the same loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import style
from platorep.theory.figures.parts import METRIC_LABELS, chance


@style.styled
def theory_simplicity(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel a number of tasks: agreement by arm, one marker a metric, with intervals.

    Args:
        tables: those of `platorep.theory.simplicity.simplicity`.
    """
    summary = tables["summary"]
    counts, arms, metrics = (list(dict.fromkeys(summary[c])) for c in ("tasks", "arm", "metric"))
    arms = [a for a in ("large", "large, decay", "small", "small, decay") if a in arms]
    figure, axes = style.panels(
        1, len(counts), panel=(2.9, 1.7), left=0.5, right=0.15, bottom=1.1, top=0.55, gap=(0.22, 0)
    )
    for panel, count in zip(axes, counts, strict=True):
        rows = summary[summary.tasks == count]
        for offset, metric, look in zip(
            np.linspace(-0.24, 0.24, len(metrics)), metrics, style.categorical(len(metrics)), strict=True
        ):
            mine = rows[rows.metric == metric].set_index("arm").loc[arms]
            error = np.maximum([mine.score - mine.score_low, mine.score_high - mine.score], 0)
            at = np.arange(len(arms)) + offset
            label = METRIC_LABELS.get(metric, metric)
            panel.errorbar(
                at,
                mine.score,
                error,
                fmt=look.marker,
                color=look.color,
                markeredgecolor=style.INK,
                markeredgewidth=0.4,
                capsize=1.5,
                label=label,
            )
        errors = rows.drop_duplicates("arm").set_index("arm").error.loc[arms]
        panel.set_xticks(
            range(len(arms)), [f"{arm.replace(', ', ',' + chr(10))}\nerror {errors[arm]:.4f}" for arm in arms]
        )
        panel.set_xlim(-0.5, len(arms) - 0.5)
        chance(panel, rows[rows.metric == "mutual_knn"].null_mean.iloc[0], "chance, k-NN")
        panel.set_title(f"{count} tasks", loc="left")
        panel.set_ylim(-0.08, 1.04)
        panel.tick_params(labelleft=panel is axes[0])
    axes[0].set_ylabel("agreement of x and y")
    width, height = figure.get_size_inches()
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="lower left",
        bbox_to_anchor=(0.4 / width, 0.2 / height),
        ncols=len(metrics),
    )
    figure.text(
        0.5 / width,
        1 - 0.1 / height,
        "Initial weights large or small, with or without decay; same tasks, same loss",
        weight="bold",
        va="top",
    )
    style.note(figure, f"Means over {int(summary.seeds.iloc[0])} seeds with 95 % t intervals.", 0.5)
    return figure
