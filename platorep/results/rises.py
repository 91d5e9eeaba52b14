"""Does alignment rise with competence? The family-aware trend over the language models of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from platorep.core.errors import DataError
from platorep.results import views
from platorep.results.groups import lineages
from platorep.stats.trends import Trend, trend


@dataclass(frozen=True)
class Rise:
    """A trend over language models, and a sentence that describes it.

    Attributes:
        trend: the trend; None if there are too few models or nothing to correlate.
        sentence: correlation, family-aware p and number of families in words, or why there are none.
    """

    trend: Trend | None
    sentence: str


def rise(pairs: pd.DataFrame, facts: pd.DataFrame, competence: pd.Series, fit_on: Sequence[str] | None = None) -> Rise:
    """Rank correlation of mean alignment and competence over the trained language models.

    Alignment is averaged over the vision models of `pairs` first: scores of one language model are not independent.
    Versions of one model, such as those with noise on their weights, count as one family with it (`groups.lineages`).
    Models with random weights are left out, because they are not a level of competence.

    Args:
        pairs: rows of `views.cross_modal` under one metric on one dataset.
        facts: rows of `views.models`.
        competence: by model, larger is better.
        fit_on: models or families: their line is evaluated on the other models, as `Trend.prediction`.
    """
    random = [model for model in views.untrained(facts) if model in set(pairs.language)]
    table = rise_table(pairs, facts, competence)
    family = table.family
    degraded = [model for model in views.doses(facts) if model in table.index]
    fitted = None if fit_on is None else table.index.isin(fit_on) | family.isin(fit_on)
    try:
        correlation = trend(table.x, table.y, family, fit_on=fitted)
    except DataError as error:
        if "line" in str(error):
            return Rise(None, str(error))
        order = "no order to correlate" if len(table) > 2 else "a trend needs 3"
        return Rise(None, f"{len(table)} trained language models of known competence: {order}.")
    sentence = correlation.sentence if correlation.prediction is None else correlation.prediction.sentence
    if degraded:
        sentence += " Versions of one model are one family."
    if random:
        sentence += " Random weights are left out."
    return Rise(correlation, sentence)


def rise_table(pairs: pd.DataFrame, facts: pd.DataFrame, competence: pd.Series) -> pd.DataFrame:
    """The trained language models of known competence: x (competence), y (mean alignment) and family, by name.

    Args:
        pairs: as in `rise`.
        facts: as there.
        competence: as there.
    """
    alignment = pairs.groupby("language").score.mean()
    random = [model for model in views.untrained(facts) if model in alignment.index]
    table = pd.DataFrame({"x": competence.reindex(alignment.index), "y": alignment}).drop(random).dropna()
    return table.assign(family=lineages(facts)[table.index])
