"""Does alignment rise with competence? The family-aware trend over the language models of a table."""

from __future__ import annotations

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


def rise(pairs: pd.DataFrame, facts: pd.DataFrame, competence: pd.Series) -> Rise:
    """Rank correlation of mean alignment and competence over the trained language models.

    Alignment is averaged over the vision models of `pairs` first: scores of one language model are not independent.
    Versions of one model, such as those with noise on their weights, count as one family with it (`groups.lineages`).
    Models with random weights are left out, because they are not a level of competence.

    Args:
        pairs: rows of `views.cross_modal` under one metric on one dataset.
        facts: rows of `views.models`.
        competence: by model, larger is better.
    """
    alignment = pairs.groupby("language").score.mean()
    random = [model for model in views.untrained(facts) if model in alignment.index]
    table = pd.DataFrame({"x": competence.reindex(alignment.index), "y": alignment}).drop(random).dropna()
    family = lineages(facts)[table.index]
    degraded = [model for model in views.doses(facts) if model in table.index]
    try:
        correlation = trend(table.x, table.y, family)
    except DataError:
        order = "no order to correlate" if len(table) > 2 else "a trend needs 3"
        return Rise(None, f"{len(table)} trained language models of known competence: {order}.")
    sentence = correlation.sentence
    if degraded:
        sentence += " Versions of one model are one family."
    if random:
        sentence += " Random weights are left out."
    return Rise(correlation, sentence)
