"""The models' matrix for the terminal."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from platorep.results import views
from platorep.results.tables import AlignmentTable


def matrix_table(alignment: AlignmentTable, *, metric: str | None = None, dataset: str | None = None) -> Table:
    """Best scores as a rich table: one row an x model, one column a y model, the highest of each row in bold.

    A pair that was not scored is a dash. With more y models than fit in a terminal the shorter side goes across.
    The caption names the metric, n, the dataset and chance, where all pairs share one.

    Args:
        alignment: any pairs.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
    """
    best = views.best_pairs(alignment, metric, dataset)
    scores = AlignmentTable(best).matrix()
    if len(scores.columns) > len(scores.index):
        scores = scores.T
    chance = views.chance(best)
    caption = f"{views.metric_label(best.metric.iloc[0])}, best layer pair, n = {best.n.max():,}, {views.title_of(best.dataset.iloc[0])}"
    table = Table(caption=caption + ("" if chance is None else f", chance {chance:.3f}"), caption_justify="left")
    table.add_column("model", no_wrap=True)
    for name in scores.columns:
        table.add_column(name, justify="right")
    for name, row in scores.iterrows():
        top = row.max()
        cells = [Text("–" if math.isnan(v) else f"{v:.3f}", style="bold" if v == top else "") for v in row]
        table.add_row(name, *cells)
    return table
