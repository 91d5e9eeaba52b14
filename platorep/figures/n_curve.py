"""Alignment over samples of growing n: score, corrected for chance, lift over chance."""

from __future__ import annotations

import pandas as pd

from platorep.core.errors import StoreError
from platorep.figures.curves import draw_curves, three_views
from platorep.figures.data import FigureData, Plot, figure
from platorep.results import views
from platorep.results.labels import metric_label


@figure("alignment")
def n_curve(data: FigureData, *, metric: str | None = None) -> Plot:
    """One metric over nested samples of growing n: score, corrected for chance, and lift over chance, side by side.

    At fixed k the score falls with n and the lift rises: scores at different n are not comparable.

    Args:
        data: language x vision pairs, one dataset a size.
        metric: full id, when the table holds several.

    Raises:
        StoreError: fewer than two sizes, or two datasets of one size.
    """
    parts = [views.cross_modal(data.pairs(metric, dataset)) for dataset in data.chosen.dataset.unique()]
    sizes = sorted(int(part.n.iloc[0]) for part in parts)
    if len(set(sizes)) < 2 or len(set(sizes)) < len(sizes):
        raise StoreError(
            "a curve over n needs two or more datasets that differ in size; the table has n = "
            f"{', '.join(map(str, sizes))}."
        )
    table = three_views(pd.concat(parts, ignore_index=True))
    table["position"] = table.n
    names = [f"{n / 1000:.3g}k" if n >= 10_000 else f"{n}" for n in sizes]
    return draw_curves(table, f"samples, {metric_label(table.metric.iloc[0])}", sizes, names)
