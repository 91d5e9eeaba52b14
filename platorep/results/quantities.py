"""What an experiment measured, as the numbers that can stand beside published ones: one row a (quantity, x, y)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr, t

from platorep.figures.fig2 import bucket_mean
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable


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


def _fig2(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    best = views.best_pairs(scores, options.get("metric"), options.get("dataset"))
    matrix = views.within(best, options.get("modality", "vision"))
    solved = views.measure(competence, options.get("measure", "vtab_solved"), options.get("task")).reindex(matrix.index)
    halves = {}
    for name, inside in (("stronger", solved > solved.median()), ("weaker", solved <= solved.median())):
        halves[name] = bucket_mean(matrix.loc[inside, inside].to_numpy())
        (mean, error), reach = halves[name], t.ppf(0.975, max(int(inside.sum()) - 1, 1))
        yield Quantity(f"alignment within the {name} half", "", "", mean, mean - reach * error, mean + reach * error)
    (strong, error_strong), (weak, error_weak) = halves["stronger"], halves["weaker"]
    # the halves share no model: their jackknife errors add up in squares
    reach = t.ppf(0.975, max(len(matrix) // 2 - 1, 1)) * np.hypot(error_strong, error_weak)
    yield Quantity(
        "alignment within the stronger half less within the weaker",
        "",
        "",
        strong - weak,
        strong - weak - reach,
        strong - weak + reach,
    )


def _fig4(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    pairs = views.cross_modal(views.best_pairs(scores, options.get("metric"), options.get("dataset")))
    vision = options.get("vision") or pairs.groupby("vision", sort=False).score.mean().idxmax()
    pairs = pairs[pairs.vision == vision]
    alignment = pairs.set_index("language").score
    for name in options.get("measures", ("hellaswag", "gsm8k")):
        values = views.measure(competence, name)
        if name.startswith("bits_per_byte"):
            yield Quantity(RISE, "", "", _rank_correlation(-values, alignment))
        else:
            yield Quantity(f"rank correlation of alignment and {name}", "", "", _rank_correlation(values, alignment))
    yield from _alignments(pairs)


def _fig9(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    pairs = views.by_dataset(scores, options.get("metric"), options.get("words"), views.WORDS)
    means = pairs.groupby("dial").score.mean()
    yield from (
        Quantity("mean alignment by words a caption", f"{words:g}", "", value) for words, value in means.items()
    )
    yield Quantity(
        "rank correlation of mean alignment and words a caption",
        "",
        "",
        _rank_correlation(means.index.to_series(), means),
    )


def _controls(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    pairs = views.by_dataset(scores, options.get("metric"), options.get("shares"), views.SHARES)
    means = pairs.groupby("dial").score.mean()
    yield Quantity(
        "rank correlation of alignment and the share of intact pairs",
        "",
        "",
        _rank_correlation(-means.index.to_series(), means),
    )
    yield Quantity("alignment, no pair shuffled", "", "", means.iloc[0])
    runs = pairs[pairs.dial == means.index[-1]].groupby("dataset").score.mean()
    yield Quantity("alignment, every pair shuffled", "", "", runs.mean(), runs.min(), runs.max())


def _n_curve(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    for n, rows in scores.frame.groupby("n"):
        pairs = views.cross_modal(views.best_pairs(AlignmentTable(rows), options.get("metric")))
        yield Quantity("mean alignment by number of samples", f"{n:g}", "", float(pairs.score.mean()))
        yield Quantity(
            "mean alignment by number of samples, corrected for chance", f"{n:g}", "", float(pairs.corrected.mean())
        )


def _by_metric(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    """Mean over all pairs, and the rise with competence over trained models, of every metric in the table."""
    rises: dict[str, float] = {}
    for metric in scores.frame.metric.unique():
        pairs, label = (
            views.cross_modal(views.best_pairs(scores, metric, options.get("dataset"))),
            views.metric_label(metric),
        )
        yield Quantity(f"mean alignment, {label}", "", "", float(pairs.score.mean()))
        if set(competence.frame.measure) >= {"bits_per_byte"}:
            bits = views.measure(competence, "bits_per_byte", options.get("task"))
            trained = bits.drop(views.untrained(scores), errors="ignore")
            rises[metric] = _rank_correlation(-trained, pairs.groupby("language").score.mean())
            yield Quantity(f"{RISE}, {label}", "", "", rises[metric])


def _fig10(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    found = list(_by_metric(scores, competence, options))
    available, values = scores.frame.metric.unique(), {q.quantity: q.value for q in found}
    for name, title in (("cknna", "bounded"), ("cknna_prh", "as released")):
        ids = views.find_metrics(available, name)
        few, many = (
            (values.get(f"{RISE}, {views.metric_label(i)}", np.nan) for i in (ids[0], ids[-1]))
            if ids
            else (np.nan, np.nan)
        )
        yield Quantity(f"rise at the smallest k less at the largest, CKNNA {title}", "", "", few - many)
    yield from found


def _fig12(scores: AlignmentTable, competence: CompetenceTable, options: dict[str, Any]) -> Iterator[Quantity]:
    """Spearman's rho of the paper's metric with every other, over the pairs that both scored on all samples."""
    columns = {}
    largest = scores.frame[scores.frame.n == scores.frame.n.max()]
    for metric in largest.metric.unique():
        matrix = views.within(views.best_pairs(AlignmentTable(largest), metric), options.get("modality", "vision"))
        columns[metric] = pd.Series(matrix.to_numpy()[np.tril_indices(len(matrix), -1)])
    first = columns.pop(views.pick_metric(list(columns), None))
    for metric, column in columns.items():
        label = views.metric_label(metric)
        yield Quantity(f"rank correlation with mutual k-NN (k = 10), {label}", "", "", _rank_correlation(first, column))


QUANTITIES: dict[str, Callable[[AlignmentTable, CompetenceTable, dict[str, Any]], Iterator[Quantity]]] = {
    "fig2": _fig2,
    "fig3": _fig3,
    "fig4": _fig4,
    "fig9": _fig9,
    "fig10": _fig10,
    "fig12": _fig12,
    "fig13": _by_metric,
    "fig14": _by_metric,
    "controls": _controls,
    "n_curve": _n_curve,
}
"""Figure -> its quantities."""
