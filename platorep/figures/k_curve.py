"""Alignment over k/n: score, corrected for chance, lift over chance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from platorep.core.errors import StoreError
from platorep.figures.curves import draw_curves, three_views
from platorep.figures.data import FigureData, Plot, figure
from platorep.results import views
from platorep.results.labels import TITLES, find_metrics, metric_parameters


@figure("alignment")
def k_curve(data: FigureData, *, metric: str = "mutual_knn", dataset: str | None = None) -> Plot:
    """A neighbour metric over k/n: score, corrected for chance, and lift over chance, side by side.

    The three move in different directions as k grows: the score and its chance level rise to 1, the lift falls. A
    claim that holds at one k only is a claim about that k.

    Args:
        data: language x vision pairs under one metric at two or more k.
        metric: name without parameters.
        dataset: when the table holds several.

    Raises:
        StoreError: fewer than two k.
    """
    ids = [m for m in find_metrics(data.chosen.metric.unique(), metric) if "k" in metric_parameters(m)[1]]
    if len(ids) < 2:
        raise StoreError(f"a curve over k needs {metric} at two or more k; the table has {', '.join(ids) or 'none'}.")
    pairs = pd.concat([views.cross_modal(data.pairs(i, dataset)) for i in ids], ignore_index=True)
    table = three_views(pairs)
    table["position"] = table.metric.map(lambda i: int(metric_parameters(i)[1]["k"])) / table.n
    low, high = np.floor(np.log10(table.position.min())), np.ceil(np.log10(table.position.max()))
    ticks = list(10.0 ** np.arange(low, high + 1))
    return draw_curves(table, f"k / n, {TITLES.get(metric, metric)}", ticks, [f"{t:g}" for t in ticks])
