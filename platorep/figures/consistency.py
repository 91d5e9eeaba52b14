"""Whether models that are alike on one dataset are alike on another: scores of the same pairs on both."""

from __future__ import annotations

import math

import pandas as pd

from platorep.figures import layout, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results import views
from platorep.results.consistency import Consistency, consistencies
from platorep.results.labels import metric_label
from platorep.results.protocols import described


@figure("alignment")
def consistency(data: FigureData, *, metric: str | None = None) -> Plot:
    """One panel for every two datasets, one point per pair of models: its score on either (Ciernik et al. 2025).

    The title of a panel is Spearman's rank correlation with its 95 % interval over models and its p, one-sided, from
    permuting the models of one dataset (`platorep.stats.mantel`): points share models and are not independent.

    Args:
        data: the same models on two or more datasets.
        metric: full id, when the table holds several.

    Raises:
        StoreError: a single dataset.
        DataError: too few models.
    """
    metric = views.pick_metric(list(data.chosen.metric.unique()), metric)
    compared = list(consistencies(data.chosen, metric))
    models = sorted({pair.models for pair in compared})
    note = f"{metric_label(metric)}, {described(data.select)}, {' or '.join(map(str, models))} models. "
    note += "Brackets: 95 % over models. p and null: models of one dataset permuted."
    columns = min(3, len(compared))
    margins = Margins(0.6, 0.15, 0.45, 0.45, across=0.6, down=0.9)
    grid = layout.panels(len(compared), columns, (2.1, 2.0), margins, note=note, least=1.5, wraps=True)
    for panel, pair in zip(grid.axes, compared, strict=True):
        panel.plot(pair.scores.a, pair.scores.b, "o", color=style.OKABE_ITO[0], markersize=3.0, markeredgewidth=0)
        for side, values in (("x", pair.scores.a), ("y", pair.scores.b)):
            room = 0.06 * float(values.max() - values.min() or 0.1)
            getattr(panel, f"set_{side}lim")(values.min() - room, values.max() + room)
        panel.set_xlabel(f"score, {pair.a}")
        panel.set_ylabel(f"score, {pair.b}")
        panel.set_title(_title(pair), loc="left", fontsize=style.small())
    frames = [
        pair.scores.assign(
            dataset_a=pair.a,
            dataset_b=pair.b,
            correlation=pair.value,
            low=pair.low,
            high=pair.high,
            null_low=pair.null_low,
            null_high=pair.null_high,
            p_value=pair.p,
        )
        for pair in compared
    ]
    return Plot(grid.figure, pd.concat(frames, ignore_index=True))


def _title(pair: Consistency) -> str:
    interval = f" [{pair.low:.2f}, {pair.high:.2f}]" if math.isfinite(pair.low) else ""
    text = f"ρ = {pair.value:.2f}{interval}, p = {pair.p:.2g}\nnull {pair.null_low:.2f} to {pair.null_high:.2f}"
    return text.replace("-", "−")
