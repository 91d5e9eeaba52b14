"""Measured quantities of an experiment, for comparison with published ones: one row per (quantity, x, y)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from platorep.results import views
from platorep.results.checkpoints import checkpoint_pairs, courses
from platorep.results.consistency import consistencies
from platorep.results.labels import find_metrics, metric_label
from platorep.results.rises import Rise, rise
from platorep.results.studies import StudyTable
from platorep.results.tables import CompetenceTable
from platorep.stats.pair_means import pair_mean, reach


class Quantity(NamedTuple):
    """A measured number.

    Attributes:
        quantity: what was measured.
        x: model or setting that it belongs to; empty for the whole experiment.
        y: the other model; empty where there is none.
        value: measured value.
        low: lower end of its 95 % interval, NaN without an interval.
        high: upper end.
        p: p of a test that accounts for families, NaN where there is none.
        families: independent families of models behind the number; NaN where models are not what was sampled.
        note: what a reader must know; empty for most.
    """

    quantity: str
    x: str
    y: str
    value: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    families: float = np.nan
    note: str = ""


RISE = "rank correlation of alignment and 1 - bits per byte"

Options = dict[str, Any]


def measured(
    figure: str,
    chosen: pd.DataFrame,
    competence: CompetenceTable | None = None,
    study: StudyTable | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The quantities of one figure, one row each, with the columns of `Quantity`.

    Args:
        figure: name of the figure; one without quantities gives no rows.
        chosen: one row per pair of models, as `protocols.chosen` gives them.
        competence: competence table of the models.
        study: numbers of the experiment that the figure shows: its totals are quantities.
        options: options of the figure.
    """
    rows = list(QUANTITIES[figure](chosen, competence, options)) if figure in QUANTITIES else []
    rows += [] if study is None else list(_totals(study))
    return pd.DataFrame(rows, columns=list(Quantity._fields))


def _totals(study: StudyTable) -> Iterator[Quantity]:
    for row in study.totals().itertuples():
        place = f"{row.position:g}" if row.position == row.position else ""
        where = " ".join(word for word in (row.setting, place) if word)
        note = row.note
        if row.null_mean == row.null_mean:
            ends = f" ({row.null_low:.3g} to {row.null_high:.3g})" if row.null_low == row.null_low else ""
            note = f"{note}; null {row.null_mean:.3g}{ends}".removeprefix("; ")
        name = f"{row.quantity}, {where}" if where else row.quantity
        yield Quantity(name, "", "", row.value, row.low, row.high, row.p_value, note=note)


def _rank_correlation(x: pd.Series, y: pd.Series) -> float:
    """Spearman's rho over the entries that both have; NaN with fewer than three, or if one is constant."""
    both = pd.concat([x, y], axis=1).dropna()
    constant = any(both[column].nunique() < 2 for column in both)
    return float(spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic) if len(both) > 2 and not constant else np.nan


def _rise(name: str, result: Rise) -> Quantity:
    if result.trend is None:
        return Quantity(name, "", "", np.nan, note=result.sentence)
    line = result.trend
    return Quantity(name, "", "", line.value, line.low, line.high, line.p, line.families, result.sentence)


def _alignments(pairs: pd.DataFrame) -> Iterator[Quantity]:
    yield from (Quantity("alignment", row.language, row.vision, row.score) for row in pairs.itertuples())


def _fig3(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    rows = views.pairs(chosen, options.get("metric"), options.get("dataset"))
    pairs, facts = views.cross_modal(rows), views.models(rows)
    axis = options.get("x", "loss")
    measure = options.get("measure") or {"parameters": "parameters", "date": "released"}.get(axis, "bits_per_byte")
    values = views.measure(competence, measure, options.get("task"))
    name = RISE if axis == "loss" else f"{RISE}, against {axis}"
    yield Quantity("largest alignment", "", "", float(pairs.score.max()))
    yield _rise(name, rise(pairs, facts, -values if axis == "loss" else values))
    yield from _alignments(pairs)


def _fig2(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    rows = views.pairs(chosen, options.get("metric"), options.get("dataset"))
    matrix = views.within(rows, options.get("modality", "vision"))
    solved = views.measure(competence, options.get("measure", "vtab_solved"), options.get("task")).reindex(matrix.index)
    halves = {}
    for name, inside in (("stronger", solved > solved.median()), ("weaker", solved <= solved.median())):
        halves[name] = mean, error = pair_mean(matrix.loc[inside, inside].to_numpy())
        half = reach(error, int(inside.sum()))
        yield Quantity(f"alignment within the {name} half", "", "", mean, mean - half, mean + half)
    (strong, error_strong), (weak, error_weak) = halves["stronger"], halves["weaker"]
    # the halves share no model: their jackknife errors add up in squares
    half = reach(float(np.hypot(error_strong, error_weak)), len(matrix) // 2)
    name, value = "alignment within the stronger half less within the weaker", strong - weak
    yield Quantity(name, "", "", value, value - half, value + half)


def _fig4(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    rows = views.pairs(chosen, options.get("metric"), options.get("dataset"))
    pairs, facts = views.cross_modal(rows), views.models(rows)
    vision = options.get("vision") or pairs.groupby("vision", sort=False).score.mean().idxmax()
    pairs = pairs[pairs.vision == vision]
    for name in options.get("measures", ("hellaswag", "gsm8k")):
        values = views.measure(competence, name)
        if name.startswith("bits_per_byte"):
            yield _rise(RISE, rise(pairs, facts, -values))
        else:
            yield _rise(f"rank correlation of alignment and {name}", rise(pairs, facts, values))
    yield from _alignments(pairs)


def _fig9(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    pairs = views.by_variant(chosen, options.get("metric"), "words")
    means = pairs.groupby("words").score.mean()
    yield from (
        Quantity("mean alignment by words a caption", f"{words:g}", "", value) for words, value in means.items()
    )
    value = _rank_correlation(means.index.to_series(), means)
    yield Quantity("rank correlation of mean alignment and words a caption", "", "", value)


def _controls(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    pairs = views.by_variant(chosen, options.get("metric"), "shuffle_share")
    means = pairs.groupby("shuffle_share").score.mean()
    value = _rank_correlation(-means.index.to_series(), means)
    yield Quantity("rank correlation of alignment and the share of intact pairs", "", "", value)
    yield Quantity("alignment, no pair shuffled", "", "", means.iloc[0])
    runs = pairs[pairs.shuffle_share == means.index[-1]].groupby("shuffle_seed").score.mean()
    yield Quantity("alignment, every pair shuffled", "", "", runs.mean(), runs.min(), runs.max())


def _n_curve(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    for n, rows in chosen.groupby("n"):
        pairs = views.cross_modal(views.pairs(rows, options.get("metric")))
        name = "mean alignment by number of samples"
        yield Quantity(name, f"{n:g}", "", float(pairs.score.mean()))
        yield Quantity(f"{name}, corrected for chance", f"{n:g}", "", float(pairs.corrected_fixed.mean()))


def _by_metric(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    """Mean over all pairs, and the rise with competence, of every metric in the table."""
    bits = None
    if competence is not None and "bits_per_byte" in set(competence.frame.measure):
        bits = views.measure(competence, "bits_per_byte", options.get("task"))
    for metric in chosen.metric.unique():
        rows, label = views.pairs(chosen, metric, options.get("dataset")), metric_label(metric)
        pairs = views.cross_modal(rows)
        yield Quantity(f"mean alignment, {label}", "", "", float(pairs.score.mean()))
        if bits is not None:
            yield _rise(f"{RISE}, {label}", rise(pairs, views.models(rows), -bits))


def _fig10(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    quantities = list(_by_metric(chosen, competence, options))
    available, values = chosen.metric.unique(), {quantity.quantity: quantity.value for quantity in quantities}
    for name, title in (("cknna", "bounded"), ("cknna_prh", "as released")):
        ids = find_metrics(available, name)
        ends = (values.get(f"{RISE}, {metric_label(i)}", np.nan) for i in (ids[0], ids[-1])) if ids else (np.nan,) * 2
        few, many = ends
        yield Quantity(f"rise at the smallest k less at the largest, CKNNA {title}", "", "", few - many)
    yield from quantities


def _fig12(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    """Spearman's rho of the paper's metric with every other, over the pairs that both scored on all samples."""
    columns = {}
    largest = chosen[chosen.n == chosen.n.max()]
    for metric in largest.metric.unique():
        matrix = views.within(views.pairs(largest, metric), options.get("modality", "vision"))
        columns[metric] = pd.Series(matrix.to_numpy()[np.tril_indices(len(matrix), -1)])
    first = columns.pop(views.pick_metric(list(columns), None))
    for metric, column in columns.items():
        name = f"rank correlation with mutual k-NN (k = 10), {metric_label(metric)}"
        yield Quantity(name, "", "", _rank_correlation(first, column))


def _extrapolation(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    rows, name = views.pairs(chosen, options.get("metric")), options.get("measure", "bits_per_byte")
    values = views.measure(competence, name, options.get("task"))
    values = -values if name.startswith("bits_per_byte") else values
    result = rise(views.cross_modal(rows), views.models(rows), values, options.get("fit_on", ()))
    if result.trend is None or result.trend.prediction is None:
        yield Quantity("R² of the line on its models", "", "", np.nan, note=result.sentence)
        return
    line = result.trend.prediction
    families, note = float(min(line.families)), f"{name.replace('_', ' ')}; null {line.null[0]:.3g}"
    yield Quantity("R² of the line on its models", name, "", *line.fitted, families=families)
    yield Quantity("R² of the line on other models", name, "", *line.predicted, families=families, note=note)
    yield Quantity("mean distance of other models from the line", name, "", *line.offset, p=line.p, families=families)


def _consistency(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    for pair in consistencies(chosen, options.get("metric")):
        note = f"null {pair.null_low:.2f} to {pair.null_high:.2f}, {len(pair.scores)} pairs of {pair.models} models"
        name = "rank correlation of model similarities between datasets"
        yield Quantity(name, pair.a, pair.b, pair.value, pair.low, pair.high, pair.p, note=note)


def _timesteps(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    """Scores of the chosen layers of models whose layers have timesteps, with the layer."""
    for row in views.pairs(chosen, options.get("metric"), options.get("dataset")).itertuples():
        for own, other in (("x", "y"), ("y", "x")):
            layer = getattr(row, f"{own}_layer_name")
            if "/t=" in layer:
                models = getattr(row, f"{own}_model"), getattr(row, f"{other}_model")
                yield Quantity("largest alignment", *models, row.score, note=layer)


def _dynamics(chosen: pd.DataFrame, competence: CompetenceTable | None, options: Options) -> Iterator[Quantity]:
    """Mean scores of the first and the last checkpoints, by comparison and families."""
    lines = courses(checkpoint_pairs(views.pairs(chosen, options.get("metric"), options.get("dataset"))))
    for _, part in lines.sort_values("step").groupby(["comparison", "series"], sort=False):
        for row in part.iloc[[0, -1][: len(part)]].itertuples():
            name = f"alignment {row.comparison}, {row.series}, step {row.step:g}"
            yield Quantity(name, "", "", row.score, row.low, row.high)


QUANTITIES: dict[str, Callable[[pd.DataFrame, CompetenceTable | None, Options], Iterator[Quantity]]] = {
    "fig2": _fig2,
    "fig3": _fig3,
    "fig4": _fig4,
    "fig9": _fig9,
    "fig10": _fig10,
    "fig12": _fig12,
    "fig13": _by_metric,
    "fig14": _by_metric,
    "consistency": _consistency,
    "extrapolation": _extrapolation,
    "controls": _controls,
    "dynamics": _dynamics,
    "n_curve": _n_curve,
    "timesteps": _timesteps,
}
"""Figure -> its quantities."""
