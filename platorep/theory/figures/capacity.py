"""Experiment (c) of the theory: agreement and fit against dimension and width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import LEFT, METRIC_LABELS, chance, doubling, legend_below, lines, title


TITLES = {
    "dimension, tables": "dimension d, tables",
    "dimension": "dimension d, networks",
    "width": "hidden units, d = n",
}


@style.styled
def theory_capacity(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """One column per sweep: agreement of the modalities on top, correlation with K_PMI below. A line marks the rank.

    Args:
        tables: result of `platorep.theory.capacity.capacity`.
    """
    summary, world = tables["summary"], tables["world"].iloc[0]
    sweeps = list(dict.fromkeys(summary.sweep))
    note = f"Means over {int(summary.seeds.iloc[0])} seeds with 95 % t intervals; {world.events} events, nce."
    margins = Margins(LEFT, 0.15, 0.7, 0.55, across=0.22, down=0.2)
    grid = layout.panels(2 * len(sweeps), len(sweeps), (1.85, 1.3), margins, note=note)
    for column, sweep in enumerate(sweeps):
        rows = summary[summary.sweep == sweep]
        above, below = grid.axes[column], grid.axes[column + len(sweeps)]
        lines(above, rows, "size", "score", "metric", METRIC_LABELS)
        chance(above, rows[rows.metric == "mutual_knn"].null_mean.iloc[0])
        lines(below, rows[rows.metric == "mutual_knn"], "size", "correlation", "metric")
        above.set_title(TITLES.get(sweep, sweep), loc="left")
        for panel in (above, below):
            doubling(panel, [2, 4, 8, 16, 32, 64, 128][: 7 if rows["size"].max() > 64 else 6])
            panel.axvline(world["rank"] + 1, color=style.MUTED, linewidth=0.7, linestyle="--")
            panel.set_ylim(-0.05, 1.05)
            panel.tick_params(labelleft=column == 0)
        above.tick_params(labelbottom=False)
        below.set_xlabel("hidden units" if sweep == "width" else "embedding dimension d")
        words: dict[str, Any] = {"fontsize": style.small(), "color": style.MUTED}
        rank = world["rank"] + 1
        below.annotate(f"rank + 1 = {rank}", (rank, 0.08), xytext=(3, 0), textcoords="offset points", **words)
    grid.axes[0].set_ylabel("agreement of x and y")
    grid.axes[len(sweeps)].set_ylabel("correlation with $K_{PMI}$")
    legend_below(grid, grid.axes[0], columns=4)
    title(grid.figure, f"Capacity below and above the rank of the {world.world} world's kernel")
    return grid.figure
