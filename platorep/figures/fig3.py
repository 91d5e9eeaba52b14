"""Figure 3: language and vision models align, the more so the better both are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.figures.style import PAGE, Tag
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable
from platorep.results.views import Dose


LEFT, BOTTOM = 0.58, 0.64


@style.styled
def fig3(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    measure: str = "bits_per_byte",
    task: str | None = None,
    doses: Mapping[str, Dose] | None = None,
) -> Figure:
    """Alignment (best layer pair) against 1 - bits per byte: one panel a vision family, one line a vision model (PRH, Fig. 3).

    Each point is a language model, named above the panel; lines run light to dark in the order in which the table names
    the family's models. Language models without bits per byte (static vectors, sentence encoders, TF-IDF) and those with
    random weights, which are no step on a way to competence, are dashed lines at their score with the panel's best vision
    model, the one with the highest mean. Degraded language models
    are points like any other; degraded vision models share a panel a base model, which closes with the intact model.
    Families of one vision model share a panel when there are several of them. Chance is k/(n - 1) for mutual k-NN.

    Args:
        alignment: language x vision pairs, either side first.
        competence: bits per byte of language models.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        measure: the measure that the x axis shows as 1 - value.
        task: corpus of the measure, when there are several.
        doses: degraded models; read from the names by default (`views.doses`).

    Raises:
        StoreError: no language x vision pairs, or none of the language models has the measure.
    """
    pairs = views.cross_modal(views.best_pairs(alignment, metric, dataset))
    bits = views.measure(competence, measure, task)
    named = views.doses([*pairs.language.unique(), *pairs.vision.unique()]) if doses is None else doses
    degraded = {model: Dose(*dose) for model, dose in named.items()}  # options may come as plain lists
    scores = pairs.pivot(index="language", columns="vision", values="score")[list(pairs.vision.unique())]
    untrained = views.untrained(alignment)
    x = (1 - bits.reindex(scores.index)).dropna().drop(untrained, errors="ignore").sort_values(kind="stable")
    if x.empty:
        raise StoreError(
            f"none of the language models ({', '.join(scores.index)}) has {measure} in the competence table, "
            f"which knows it of {', '.join(bits.index)}."
        )
    without = [m for m in pairs.language.unique() if m not in x.index]
    groups = views.vision_groups(pairs, degraded)
    chance = views.chance(pairs)

    names = views.named(list(x.index), degraded)
    captions = {title: views.captions(members, degraded) for title, members in groups.items()}
    references = [*without, *(["chance"] if chance is not None else [])]
    margin = style.tag_width([*references, *(c for captions_ in captions.values() for c in captions_)]) + 0.1
    above = style.names_height(names) + 0.2
    columns = len(groups) if len(groups) <= 3 else 2 if len(groups) == 4 else 3
    width = min((PAGE - LEFT - columns * margin - (columns - 1) * 0.1) / columns, 3.2)
    figure, axes = style.panels(
        -(-len(groups) // columns),
        columns,
        panel=(max(width, 1.2), 1.75),
        left=LEFT,
        right=margin,
        bottom=BOTTOM,
        top=above,
        gap=(margin + 0.1, above + 0.42),
        count=len(groups),
        sharex=True,
        sharey=True,
    )
    pad = 0.06 * (x.max() - x.min()) or 0.5
    shown = scores.to_numpy()[np.isfinite(scores.to_numpy())]
    axes[0].set_xlim(x.min() - pad, x.max() + pad / 2)
    axes[0].set_ylim(min(0.0, 1.1 * shown.min()), 1.06 * max(shown.max(), chance or 0.0))
    for index, (panel, (title, members)) in enumerate(zip(axes, groups.items(), strict=True)):
        _panel(panel, scores[members], x, without, chance, captions[title])
        style.name_top(panel, list(x), names)
        panel.set_title(title, loc="left", pad=72 * (above - 0.18))
        panel.tick_params(labelleft=index % columns == 0)
        if index + columns >= len(groups):
            panel.set_xlabel(f"1 − {measure.replace('_', ' ')}")
        if index % columns == 0:
            panel.set_ylabel(f"alignment, {views.metric_label(pairs.metric.iloc[0])}")
    note = f"Best layer pair, n = {pairs.n.max():,}, {views.title_of(pairs.dataset.iloc[0])}."
    if without:
        what = f"no {measure.replace('_', ' ')}" + (
            " or random weights" if any(m in untrained for m in without) else ""
        )
        note += f" Dashed: {what}; with the panel's best vision model."
    style.note(figure, note, LEFT)
    return figure


def _panel(
    panel: Axes, scores: pd.DataFrame, x: pd.Series, without: list[str], chance: float | None, captions: list[str]
) -> None:
    looks = style.ordinal(len(scores.columns))
    tags = []
    for vision, caption, look in zip(scores.columns, captions, looks, strict=True):
        y = scores[vision].reindex(x.index).dropna()
        if not y.empty:
            panel.plot(x[y.index], y, label=vision, zorder=3, **look.line())
            tags.append(Tag(y.iloc[-1], caption, look))
    best = scores[scores.mean().idxmax()]
    for model in without:
        if np.isfinite(best.get(model, np.nan)):
            panel.axhline(best[model], color=style.MUTED, linewidth=0.7, linestyle=(0, (4, 2)), zorder=1, label=model)
            tags.append(Tag(best[model], model, color=style.MUTED))
    if chance is not None:
        panel.axhline(chance, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label="chance")
        tags.append(Tag(chance, "chance"))
    style.tag_right(panel, tags)
