"""Alignment over the number of samples."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.figures.curves import draw_curves, three_views
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable


@style.styled
def n_curve(
    alignment: AlignmentTable, competence: CompetenceTable | None = None, *, metric: str | None = None
) -> Figure:
    """One metric over nested galleries of growing n: score, corrected for chance, and lift over chance, side by side.

    At fixed k the score falls with n and the lift rises: scores at different n are not comparable.

    Args:
        alignment: language x vision pairs, one dataset a size.
        competence: not used.
        metric: full id, when the table holds several.

    Raises:
        StoreError: fewer than two sizes, or two datasets of one size.
    """
    parts = [
        views.cross_modal(views.best_pairs(alignment, metric, dataset)) for dataset in alignment.frame.dataset.unique()
    ]
    sizes = sorted(int(part.n.iloc[0]) for part in parts)
    if len(set(sizes)) < 2 or len(set(sizes)) < len(sizes):
        raise StoreError(
            f"a curve over n needs two or more datasets that differ in size; the table has n = {', '.join(map(str, sizes))}."
        )
    table = three_views(pd.concat(parts, ignore_index=True))
    table["position"] = table.n
    label = f"samples, {views.metric_label(table.metric.iloc[0])}"
    return draw_curves(table, label, sizes, [f"{n / 1000:.3g}k" if n >= 10_000 else f"{n}" for n in sizes], chance=True)
