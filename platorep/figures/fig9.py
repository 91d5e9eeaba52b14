"""Figure 9: denser captions align better."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from platorep.figures import style
from platorep.figures.style import Tag
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable


LEFT = 0.62


@style.styled
def fig9(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str | None = None,
    words: Mapping[str, float] | None = None,
) -> Figure:
    """Alignment against the length of the captions: mean over all pairs, and each language model (PRH, Fig. 9).

    The thick line is the mean over all language and vision models, its whisker the standard deviation over language
    models (each the mean over vision models), as in the paper. Thin lines are the language models.

    Args:
        alignment: language x vision pairs on one dataset a caption length.
        competence: not used.
        metric: full id, when the table holds several.
        words: dataset -> words a caption; read from names such as dci_words_10 or stamps_10words by default.

    Raises:
        StoreError: no dataset has a caption length.
    """
    pairs = views.by_dataset(alignment, metric, words, views.WORDS)
    table = pairs.pivot_table(index="dial", columns="language", values="score")[list(pairs.language.unique())]
    chance = views.chance(pairs)
    names = list(table.columns)
    figure, (axes,) = style.panels(
        1,
        1,
        panel=(2.7, 2.1),
        left=LEFT,
        right=style.tag_width(["mean of all pairs", *names]) + 0.1,
        bottom=0.72,
        top=0.15,
    )
    x = table.index.to_numpy()
    mean, spread = table.mean(axis=1), table.std(axis=1, ddof=1) if len(names) > 1 else None
    axes.set_xlim(x.min() - 0.06 * (np.ptp(x) or 1), x.max() + 0.06 * (np.ptp(x) or 1))
    tallest = max(
        float(np.nanmax(table.to_numpy())), float((mean + (0 if spread is None else spread)).max()), chance or 0.0
    )
    axes.set_ylim(min(0.0, 1.1 * float(np.nanmin(table.to_numpy()))), 1.08 * tallest)
    axes.set_xticks(x, [f"{v:g}" for v in x])
    tags = []
    for name, look in zip(names, style.categorical(len(names)), strict=True):
        y = table[name].dropna()
        axes.plot(y.index, y, label=name, zorder=2, **(look.line() | {"linewidth": 0.6, "markersize": 2.8}))
        tags.append(Tag(y.iloc[-1], name, look))
    whole = style.Look(style.INK, "o", "-")
    axes.errorbar(
        x,
        mean,
        yerr=spread,
        label="mean of all pairs",
        capsize=2.5,
        elinewidth=0.9,
        zorder=4,
        **(whole.line() | {"linewidth": 1.8}),
    )
    tags.append(Tag(mean.iloc[-1], "mean of all pairs", whole))
    if chance is not None:
        axes.axhline(chance, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
        tags.append(Tag(chance, "chance"))
    style.tag_right(axes, tags)
    axes.set_xlabel("words a caption")
    axes.set_ylabel(f"alignment, {views.metric_label(pairs.metric.iloc[0])}")
    style.note(
        figure,
        f"{pairs.vision.nunique()} vision models, n = {pairs.n.max():,}. Whiskers: SD over language models.",
        LEFT,
    )
    return figure
