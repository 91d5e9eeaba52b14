"""Do models that are alike on one dataset stay alike on another?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from platorep.core.errors import StoreError
from platorep.results import views
from platorep.results.labels import title_of
from platorep.stats.mantel import mantel


@dataclass(frozen=True)
class Consistency:
    """Two datasets: the scores of every pair of models on either, and their rank correlation.

    Attributes:
        a: name of a dataset.
        b: name of the other.
        scores: columns x_model, y_model, a and b, one row per pair that both have.
        models: number of models.
        value: Spearman's rank correlation over pairs, with its interval over models (`platorep.stats.mantel`).
        low: lower end.
        high: upper end.
        null_low: central 95 % of the correlation when the models of one dataset are permuted.
        null_high: upper end of it.
        p: one-sided.
    """

    a: str
    b: str
    scores: pd.DataFrame
    models: int
    value: float
    low: float
    high: float
    null_low: float
    null_high: float
    p: float


def consistencies(chosen: pd.DataFrame, metric: str | None = None) -> Iterator[Consistency]:
    """Every two datasets of a table under one metric, over the models that both have.

    Matrices are those of models of one modality with each other, or of language with vision models.

    Args:
        chosen: rows of `protocols.chosen`.
        metric: full id, where there are several.

    Raises:
        StoreError: fewer than two datasets.
        DataError: too few models.
    """
    datasets = list(chosen.dataset.unique())
    if len(datasets) < 2:
        raise StoreError(
            f"consistency compares datasets; the alignment table has only {', '.join(datasets) or 'none'}. "
            "Name others in recipe.datasets."
        )
    tables = {dataset: views.pairs(chosen, metric, dataset) for dataset in datasets}
    for one, other in itertools.combinations(datasets, 2):
        yield _compared(tables[one], tables[other])


def _compared(one: pd.DataFrame, other: pd.DataFrame) -> Consistency:
    symmetric = bool((one.x_modality == one.y_modality).all())
    matrices = []
    for rows in (one, other):
        if symmetric:
            matrices.append(views.within(rows, str(rows.x_modality.iloc[0])))
        else:
            matrices.append(views.cross_modal(rows).pivot(index="language", columns="vision", values="score"))
    rows = [name for name in matrices[0].index if name in matrices[1].index]
    columns = [name for name in matrices[0].columns if name in matrices[1].columns]
    a, b = (matrix.reindex(index=rows, columns=columns) for matrix in matrices)
    test = mantel(a.to_numpy(), b.to_numpy(), symmetric=symmetric)
    order = {name: place for place, name in enumerate(rows)}
    scores = pd.DataFrame(
        [
            {"x_model": x, "y_model": y, "a": a.loc[x, y], "b": b.loc[x, y]}
            for x in rows
            for y in columns
            if not symmetric or order[x] > order[y]
        ]
    ).dropna()
    names = (title_of(one.dataset.iloc[0]), title_of(other.dataset.iloc[0]))
    return Consistency(*names, scores, len(rows) if symmetric else len(rows) + len(columns), *test)
