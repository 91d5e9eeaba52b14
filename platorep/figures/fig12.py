"""Figure 12: how far metrics agree on which models are alike."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.figures.matrix import color_bar, heat
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable


ORDER = ("mutual_knn", "lcs_knn", "edit_distance_knn", "cknna", "cknna_prh", "cka", "svcca", "cycle_knn")
"""The paper's order of rows; metrics that it does not have come after."""


@style.styled
def fig12(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    modality: Literal["vision", "language", "cross"] = "vision",
) -> Figure:
    """Spearman correlation between metrics over the alignments of all pairs of models (PRH, Fig. 12).

    A row is a metric at a sample size; all rows are ranked over the same pairs, those that every metric has scored. The
    two orders of a pair are averaged. Pairs share models, so no p-value is shown: one that took pairs for independent
    would be far too small.

    Args:
        alignment: several metrics, and several n where they were computed, on the same models.
        competence: not used.
        modality: pairs within vision (the paper), within language, or of a language and a vision model.

    Raises:
        StoreError: fewer than 2 metrics, fewer than 3 common pairs, or two datasets of one size.
    """
    columns: dict[tuple[str, int], pd.Series] = {}
    for dataset in alignment.frame.dataset.unique():
        for metric in alignment.frame.metric[alignment.frame.dataset == dataset].unique():
            best = views.best_pairs(alignment, metric, dataset)
            key = (metric, int(best.n.iloc[0]))
            if key in columns:
                raise StoreError(
                    f"{metric} at n = {key[1]} is there for two datasets, one of them {dataset}: keep one dataset of each size."
                )
            columns[key] = _pairs(best, modality)
    table = pd.DataFrame(columns).dropna()
    if table.shape[1] < 2 or len(table) < 3:
        raise StoreError(
            f"agreement needs at least 2 metrics and 3 pairs that all of them scored; got {table.shape[1]} and {len(table)}."
        )
    keys = sorted(table.columns, key=_place)
    names = [f"{views.metric_label(m)}{f', n = {n:,}' if len({k[1] for k in keys}) > 1 else ''}" for m, n in keys]
    agreement = table[keys].corr(method="spearman").to_numpy()

    count = len(keys)
    cell = min(0.34, max(0.2, 5.0 / count))
    left, above = style.widest(names) + 0.15, style.names_height(names)
    right = max(0.75, style.text_width(names[-1]) * np.cos(np.radians(60)))
    figure, (axes,) = style.panels(
        1, 1, panel=(cell * count, 0.8 * cell * count), left=left, right=right, bottom=0.42, top=above
    )
    low = min(0.0, float(np.nanmin(agreement)))
    image = heat(axes, agreement, low, 1.0, size=min(style.SMALL, cell * 72 / 2.9), digits=2)
    axes.set_yticks(range(count), names)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for position, name in enumerate(names):
        axes.text(
            position,
            -0.65,
            name,
            fontsize=style.SMALL,
            rotation=60,
            rotation_mode="anchor",
            ha="left",
            va="center_baseline",
        )
    color_bar(figure, axes, image)
    weakest = agreement[~np.eye(count, dtype=bool)].min()
    models = len({m for pair in table.index for m in pair})
    kind = {"cross": "language and vision"}.get(modality, modality)
    text = (
        f"Spearman correlation over {len(table):,} pairs of {models} {kind} models.\nWeakest: {weakest:.2f}.".replace(
            "-", "−"
        )
    )
    style.note(figure, text, min(left, 0.6))
    return figure


def _pairs(best: pd.DataFrame, modality: str) -> pd.Series:
    """Scores by pair of models, each pair once."""
    if modality == "cross":
        return views.cross_modal(best).set_index(["language", "vision"]).score
    scores = views.within(best, modality)
    rows, columns = np.tril_indices(len(scores), -1)
    names = [tuple(sorted((scores.index[i], scores.columns[j]))) for i, j in zip(rows, columns, strict=True)]
    return pd.Series(scores.to_numpy()[rows, columns], index=pd.MultiIndex.from_tuples(names))


def _place(key: tuple[str, int]) -> tuple[int, str, int, str, int]:
    """The paper's order: by metric, then by growing k, CKA before unbiased CKA, larger samples first."""
    name, parameters = views.metric_parameters(key[0])
    rank = ORDER.index(name) if name in ORDER else len(ORDER)
    return rank, name, int(parameters.get("k", 0)), key[0], -key[1]
