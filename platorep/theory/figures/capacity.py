"""Experiment (c) of the theory: agreement and fit against dimension and width."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import style
from platorep.theory.figures.parts import METRIC_LABELS, chance, doubling, lines


TITLES = {
    "dimension, tables": "dimension d, tables",
    "dimension": "dimension d, networks",
    "width": "hidden units, d = n",
}


@style.styled
def theory_capacity(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """A column a sweep. Above: agreement of the modalities. Below: correlation of each with K_PMI. The rank is marked.

    Args:
        tables: those of `platorep.theory.capacity.capacity`.
    """
    summary, world = tables["summary"], tables["world"].iloc[0]
    sweeps = list(dict.fromkeys(summary.sweep))
    figure, axes = style.panels(
        2, len(sweeps), panel=(1.85, 1.3), left=0.5, right=0.15, bottom=0.85, top=0.55, gap=(0.22, 0.2), sharey=False
    )
    for column, sweep in enumerate(sweeps):
        rows = summary[summary.sweep == sweep]
        above, below = axes[column], axes[column + len(sweeps)]
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
        below.annotate(
            f"rank + 1 = {world['rank'] + 1}",
            (world["rank"] + 1, 0.08),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=style.SMALL,
            color=style.MUTED,
        )
    axes[0].set_ylabel("agreement of x and y")
    axes[len(sweeps)].set_ylabel("correlation with $K_{PMI}$")
    width, height = figure.get_size_inches()
    names = axes[0].get_legend_handles_labels()
    figure.legend(*names, loc="lower left", bbox_to_anchor=(0.4 / width, 0.2 / height), ncols=len(names[0]))
    figure.text(
        0.5 / width,
        1 - 0.1 / height,
        f"Capacity below and above the rank of the {world.world} world's kernel",
        weight="bold",
        va="top",
    )
    style.note(
        figure, f"Means over {int(summary.seeds.iloc[0])} seeds with 95 % t intervals; {world.events} events, nce.", 0.5
    )
    return figure
