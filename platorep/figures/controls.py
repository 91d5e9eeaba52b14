"""Negative control with a dose: alignment as pairs are shuffled."""

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
def controls(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str | None = None,
    shares: Mapping[str, float] | None = None,
) -> Figure:
    """Alignment against the share of pairs that were shuffled, from 0 (the data) to 1 (chance): one line a language model.

    Each line is the mean over vision models and seeds, its band the range over seeds. An instrument that measures
    instance-level alignment falls with every pair that is broken and ends at chance.

    Args:
        alignment: language x vision pairs, one dataset a share and seed.
        competence: not used.
        metric: full id, when the table holds several.
        shares: dataset -> share of shuffled pairs, in [0, 1]; read from names such as stamps_shuffled_0.25_seed_3 by default.

    Raises:
        StoreError: no dataset has a share.
    """
    pairs = views.by_dataset(alignment, metric, shares, views.SHARES)
    runs = pairs.groupby(["language", "dataset", "dial"], sort=False).score.mean().reset_index()
    chance = views.chance(pairs)
    names = list(pairs.language.unique())
    seeds = int(runs.groupby(["language", "dial"]).size().max())
    right = style.tag_width([*names, "chance"]) + 0.1
    figure, (axes,) = style.panels(1, 1, panel=(2.9, 2.1), left=LEFT, right=right, bottom=0.72, top=0.15)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(min(0.0, 1.1 * runs.score.min()), 1.08 * max(runs.score.max(), chance or 0.0))
    tags = []
    for name, look in zip(names, style.categorical(len(names)), strict=True):
        line = runs[runs.language == name].groupby("dial").score.agg(["mean", "min", "max"])
        x = line.index.to_numpy()
        axes.fill_between(x, line["min"], line["max"], color=look.color, alpha=0.2, linewidth=0)
        axes.plot(x, line["mean"], label=name, zorder=3, **look.line(), markevery=max(1, len(x) // 10))
        tags.append(Tag(line["mean"].iloc[-1], name, look))
    if chance is not None:
        axes.axhline(chance, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
        tags.append(Tag(chance, "chance"))
    style.tag_right(axes, tags)
    axes.set_xticks(np.linspace(0, 1, 6), [f"{v:.0%}" for v in np.linspace(0, 1, 6)])
    axes.set_xlabel("shuffled pairs")
    axes.set_ylabel(f"alignment, {views.metric_label(pairs.metric.iloc[0])}")
    band = f" Bands: range of {seeds} seeds." if seeds > 1 else ""
    style.note(figure, f"Mean over {pairs.vision.nunique()} vision models, n = {pairs.n.max():,}.{band}", LEFT)
    return figure
