"""Spearman correlation between metrics over pairs of models (Figure 12)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError
from platorep.figures import layout, marks
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.heat import bar_room, color_bar, heat, printed_size
from platorep.figures.layout import Margins
from platorep.results import views
from platorep.results.labels import metric_label, metric_parameters
from platorep.results.protocols import described


ORDER = ("mutual_knn", "lcs_knn", "edit_distance_knn", "cknna", "cknna_prh", "cka", "svcca", "cycle_knn")
"""The paper's order of rows; other metrics follow."""

Key = tuple[str, int]
"""A metric and a number of samples."""


@figure("alignment")
def fig12(data: FigureData, *, modality: Literal["vision", "language", "cross"] = "vision") -> Plot:
    """Spearman correlation between metrics over the alignments of all pairs of models (PRH, Fig. 12).

    A row is a metric at a sample size; all rows are ranked over the same pairs, those that every metric has scored.
    The two orders of a pair are averaged. Pairs share models, so no p-value is shown: a p-value that treats
    pairs as independent would be far too small.

    Args:
        data: several metrics, and several n where they were computed, on the same models.
        modality: pairs within vision (the paper), within language, or of a language and a vision model.

    Raises:
        StoreError: fewer than 2 metrics, fewer than 3 common pairs, or two datasets of one size.
    """
    table = _columns(data, modality)
    if table.shape[1] < 2 or len(table) < 3:
        raise StoreError(
            "agreement needs at least 2 metrics and 3 pairs that all of them scored; got "
            f"{table.shape[1]} and {len(table)}."
        )
    keys = sorted(table.columns, key=_place)
    several = len({n for _, n in keys}) > 1
    names = [metric_label(metric) + (f", n = {n:,}" if several else "") for metric, n in keys]
    agreement = table[keys].corr(method="spearman").to_numpy()
    weakest = agreement[~np.eye(len(keys), dtype=bool)].min()
    models = len({model for pair in table.index for model in pair})
    kind = {"cross": "language and vision"}.get(modality, modality)
    note = f"Spearman correlation over {len(table):,} pairs of {models} {kind} models, {described(data.select)}. "
    note += f"Weakest: {weakest:.2f}.".replace("-", "−")

    count, cell = len(keys), min(0.34, max(0.2, 5.0 / len(keys)))
    right = max(bar_room(), layout.text_width(names[-1]) * np.cos(np.radians(60)))
    margins = Margins(layout.widest(names) + 0.15, right, 0.1, marks.names_height(names))
    grid = layout.panels(1, 1, (cell * count, 0.8 * cell * count), margins, note=note, least=0.12 * count)
    _draw(grid.axes[0], agreement, names)
    shown = pd.DataFrame(agreement, columns=names).assign(metric=names)
    return Plot(grid.figure, shown.melt(id_vars="metric", var_name="other", value_name="spearman"))


def _draw(axes: Axes, agreement: np.ndarray, names: list[str]) -> None:
    low, cell = min(0.0, float(np.nanmin(agreement))), layout.inches(axes)[0] / len(names)
    image = heat(axes, agreement, low, 1.0, size=printed_size(cell, digits=2), digits=2)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for position, name in enumerate(names):
        marks.slanted_name(axes, position, -0.65, name)
    color_bar(axes, image)


def _columns(data: FigureData, modality: str) -> pd.DataFrame:
    """Scores by pair of models, one column per metric and number of samples."""
    columns: dict[Key, pd.Series] = {}
    for (dataset, metric), part in data.chosen.groupby(["dataset", "metric"], sort=False):
        pairs = views.pairs(part)
        key = (metric, int(pairs.n.iloc[0]))
        if key in columns:
            raise StoreError(
                f"{metric} at n = {key[1]} is there for two datasets, one of them {dataset}: keep one dataset of each "
                "size."
            )
        columns[key] = _scores(pairs, modality)
    return pd.DataFrame(columns).dropna()


def _scores(pairs: pd.DataFrame, modality: str) -> pd.Series:
    """Scores by pair of models, each pair once."""
    if modality == "cross":
        return views.cross_modal(pairs).set_index(["language", "vision"]).score
    scores = views.within(pairs, modality)
    rows, columns = np.tril_indices(len(scores), -1)
    names = [tuple(sorted((scores.index[i], scores.columns[j]))) for i, j in zip(rows, columns, strict=True)]
    return pd.Series(scores.to_numpy()[rows, columns], index=pd.MultiIndex.from_tuples(names))


def _place(key: Key) -> tuple[int, str, int, str, int]:
    """The paper's order: by metric, then by growing k, CKA before unbiased CKA, larger samples first."""
    name, parameters = metric_parameters(key[0])
    rank = ORDER.index(name) if name in ORDER else len(ORDER)
    return rank, name, int(parameters.get("k", 0)), key[0], -key[1]
