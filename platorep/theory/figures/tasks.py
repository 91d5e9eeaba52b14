"""Experiment (d) of the theory: agreement against the number of tasks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import LEFT, METRIC_LABELS, chance, doubling, lines, title


@style.styled
def theory_tasks(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel per condition: agreement of two networks against the number of tasks that each solves.

    Args:
        tables: result of `platorep.theory.tasks.tasks`.
    """
    summary = tables["summary"]
    conditions = list(dict.fromkeys(summary.condition))
    note = f"Means over {int(summary.seeds.iloc[0])} seeds with 95 % t intervals. "
    note += f"Largest mean square error of any cell: {summary.error.max():.3f} (targets have 1)."
    margins = Margins(LEFT, 0.15, 0.45, 0.55, across=0.22)
    grid = layout.panels(len(conditions), len(conditions), (1.85, 1.7), margins, note=note)
    for index, (panel, condition) in enumerate(zip(grid.axes, conditions, strict=True)):
        rows = summary[summary.condition == condition]
        lines(panel, rows, "tasks", "score", "metric", METRIC_LABELS)
        level = rows[rows.metric == "mutual_knn"].null_mean.iloc[0]
        # in the last panel the lines themselves are at chance
        chance(panel, level, "" if condition == conditions[-1] else "chance, mutual k-NN")
        panel.set_title(condition, loc="left")
        doubling(panel, sorted(set(rows.tasks)))
        panel.set_xlabel("tasks N of each network")
        panel.set_ylim(-0.08, 1.04)
        panel.tick_params(labelleft=index == 0)
    grid.axes[0].set_ylabel("agreement of x and y")
    grid.axes[-1].legend(loc="upper left")
    title(grid.figure, "Networks that solve more tasks of one world")
    return grid.figure
