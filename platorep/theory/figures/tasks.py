"""Experiment (d) of the theory: agreement against the number of tasks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import style
from platorep.theory.figures.parts import METRIC_LABELS, chance, doubling, lines


@style.styled
def theory_tasks(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel a condition: agreement of two networks against the number of tasks that each solves.

    Args:
        tables: those of `platorep.theory.tasks.tasks`.
    """
    summary = tables["summary"]
    conditions = list(dict.fromkeys(summary.condition))
    figure, axes = style.panels(
        1, len(conditions), panel=(1.85, 1.7), left=0.5, right=0.15, bottom=0.75, top=0.55, gap=(0.22, 0)
    )
    for panel, condition in zip(axes, conditions, strict=True):
        rows = summary[summary.condition == condition]
        lines(panel, rows, "tasks", "score", "metric", METRIC_LABELS)
        level = rows[rows.metric == "mutual_knn"].null_mean.iloc[0]
        chance(
            panel, level, "" if condition == conditions[-1] else "chance, mutual k-NN"
        )  # there the lines themselves are at chance
        panel.set_title(condition, loc="left")
        doubling(panel, sorted(set(rows.tasks)))
        panel.set_xlabel("tasks N of each network")
        panel.set_ylim(-0.08, 1.04)
        panel.tick_params(labelleft=panel is axes[0])
    axes[0].set_ylabel("agreement of x and y")
    axes[-1].legend(loc="upper left")
    width, height = figure.get_size_inches()
    figure.text(0.5 / width, 1 - 0.1 / height, "Networks that solve more tasks of one world", weight="bold", va="top")
    text = f"Means over {int(summary.seeds.iloc[0])} seeds with 95 % t intervals. "
    text += f"Largest mean square error of any cell: {summary.error.max():.3f} (targets have 1)."
    style.note(figure, text, 0.5)
    return figure
