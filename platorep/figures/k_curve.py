"""Alignment over the size of the neighbourhood."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.figures.curves import draw_curves, three_views
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable


@style.styled
def k_curve(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str = "mutual_knn",
    dataset: str | None = None,
) -> Figure:
    """A neighbour metric over k/n: score, corrected for chance, and lift over chance, side by side.

    The three move in different directions as k grows: the score and its chance level rise to 1, the lift falls. A claim
    that holds at one k only is a claim about that k.

    Args:
        alignment: language x vision pairs under one metric at two or more k.
        competence: not used.
        metric: name without parameters.
        dataset: when the table holds several.

    Raises:
        StoreError: fewer than two k.
    """
    ids = [
        m for m in views.find_metrics(alignment.frame.metric.unique(), metric) if "k" in views.metric_parameters(m)[1]
    ]
    if len(ids) < 2:
        raise StoreError(f"a curve over k needs {metric} at two or more k; the table has {', '.join(ids) or 'none'}.")
    table = three_views(
        pd.concat([views.cross_modal(views.best_pairs(alignment, i, dataset)) for i in ids], ignore_index=True)
    )
    k = table.metric.map(lambda i: int(views.metric_parameters(i)[1]["k"]))
    table["position"] = k / table.n
    ticks = 10.0 ** np.arange(np.floor(np.log10(table.position.min())), np.ceil(np.log10(table.position.max())) + 1)
    names = [f"{t:g}" for t in ticks]
    return draw_curves(table, f"k / n, {views.TITLES.get(metric, metric)}", list(ticks), names, chance=True)
