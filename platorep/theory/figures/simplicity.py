"""Experiment (e) of the theory: agreement under small weights, at the same loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import LEFT, METRIC_LABELS, chance, intervals, legend_below, title


ARMS = ("large", "large, decay", "small", "small, decay")


@style.styled
def theory_simplicity(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel per number of tasks: agreement by arm, one marker per metric, with intervals.

    Args:
        tables: result of `platorep.theory.simplicity.simplicity`.
    """
    summary = tables["summary"]
    counts, metrics = (list(dict.fromkeys(summary[column])) for column in ("tasks", "metric"))
    arms = [arm for arm in ARMS if arm in set(summary.arm)]
    note = f"Means over {int(summary.seeds.iloc[0])} seeds with 95 % t intervals."
    margins = Margins(LEFT, 0.15, 0.85, 0.55, across=0.22)
    grid = layout.panels(len(counts), len(counts), (2.9, 1.7), margins, note=note)
    for index, (panel, count) in enumerate(zip(grid.axes, counts, strict=True)):
        rows = summary[summary.tasks == count]
        offsets, looks = np.linspace(-0.24, 0.24, len(metrics)), style.categorical(len(metrics))
        for offset, metric, look in zip(offsets, metrics, looks, strict=True):
            mine = rows[rows.metric == metric].set_index("arm").loc[arms]
            intervals(panel, np.arange(len(arms)) + offset, mine, look, METRIC_LABELS.get(metric, metric))
        errors = rows.drop_duplicates("arm").set_index("arm").error.loc[arms]
        names = [f"{arm.replace(', ', ',' + chr(10))}\nerror {errors[arm]:.4f}" for arm in arms]
        panel.set_xticks(range(len(arms)), names)
        panel.set_xlim(-0.5, len(arms) - 0.5)
        chance(panel, rows[rows.metric == "mutual_knn"].null_mean.iloc[0], "chance, k-NN")
        panel.set_title(f"{count} tasks", loc="left")
        panel.set_ylim(-0.08, 1.04)
        panel.tick_params(labelleft=index == 0)
    grid.axes[0].set_ylabel("agreement of x and y")
    legend_below(grid, grid.axes[0], columns=len(metrics))
    title(grid.figure, "Initial weights large or small, with or without decay; same tasks, same loss")
    return grid.figure
