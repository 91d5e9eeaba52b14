"""What an experiment measured, as the numbers that can stand beside published ones: one row a (quantity, x, y)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from platorep.core.results import AlignmentTable, CompetenceTable
from platorep.figures import views


class Quantity(NamedTuple):
    """A measured number with its 95 % interval where one is known."""

    quantity: str
    x: str
    y: str
    value: float
    low: float = np.nan
    high: float = np.nan


RISE = "rank correlation of alignment and 1 - bits per byte"


def measured(figure: str, scores: AlignmentTable, competence: CompetenceTable, **options: Any) -> pd.DataFrame:
    """The quantities of one figure: columns quantity, x, y, value, low, high.

    Args:
        figure: name of the figure; one without quantities gives no rows.
        scores: all scores of the experiment.
        competence: of its models.
        options: those of the figure.
    """
    rows = list(QUANTITIES[figure](scores, competence, options)) if figure in QUANTITIES else []
    return pd.DataFrame(rows, columns=list(Quantity._fields))


def _rank_correlation(x: pd.Series, y: pd.Series) -> float:
    """Spearman's rho over the models that both have; NaN below three or where one is constant."""
    both = pd.concat([x, y], axis=1).dropna()
    constant = any(both[column].nunique() < 2 for column in both)
    return float(spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic) if len(both) > 2 and not constant else np.nan


def _alignments(pairs: pd.DataFrame) -> Iterator[Quantity]:
    yield from (Quantity("alignment", row.language, row.vision, row.score) for row in pairs.itertuples())


def _fig3(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    pairs = views.cross_modal(views.best_pairs(scores, options.get("metric"), options.get("dataset")))
    bits = views.measure(competence, options.get("measure", "bits_per_byte"), options.get("task"))
    yield Quantity("largest alignment", "", "", float(pairs.score.max()))
    means = pairs.groupby("language").score.mean()
    yield Quantity(RISE, "", "", _rank_correlation(-bits, means))
    yield from _alignments(pairs)


def _fig9(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    pairs = views.by_dataset(scores, options.get("metric"), options.get("words"), views.WORDS)
    means = pairs.groupby("dial").score.mean()
    yield from (Quantity("mean alignment by words a caption", f"{words:g}", "", value) for words, value in means.items())
    yield Quantity("rank correlation of mean alignment and words a caption", "", "", _rank_correlation(means.index.to_series(), means))


def _controls(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    pairs = views.by_dataset(scores, options.get("metric"), options.get("shares"), views.SHARES)
    means = pairs.groupby("dial").score.mean()
    yield Quantity("rank correlation of alignment and the share of intact pairs", "", "", _rank_correlation(-means.index.to_series(), means))
    yield Quantity("alignment, no pair shuffled", "", "", means.iloc[0])
    runs = pairs[pairs.dial == means.index[-1]].groupby("dataset").score.mean()
    yield Quantity("alignment, every pair shuffled", "", "", runs.mean(), runs.min(), runs.max())


QUANTITIES: dict[str, Callable[[AlignmentTable, CompetenceTable, dict[str, Any]], Iterator[Quantity]]] = {
    "fig3": _fig3,
    "fig9": _fig9,
    "controls": _controls,
}
"""Figure -> its quantities."""
