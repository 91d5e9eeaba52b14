"""Figure 10: cross-modal alignment increases locally."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable
from platorep.results.views import Dose


LEFT = 0.6
VARIANTS = {"cknna": "bounded", "cknna_prh": "as released"}


@style.styled
def fig10(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    axis: Literal["language", "vision"] = "language",
    dataset: str | None = None,
    measure: str = "bits_per_byte",
    task: str | None = None,
    doses: Mapping[str, Dose] | None = None,
) -> Figure:
    """CKNNA at several k, each curve less its first point and divided by its standard deviation (PRH, Fig. 10).

    One column a vision family, one row a variant: the bounded CKNNA, and the released one, whose values at large k are
    not bounded and rank pairs otherwise. One line a k, darker for smaller k. Language models with random weights, which are no
    step on a way to competence, are left out of the axis, as in `fig3`. The paper contradicts itself about the
    axis: by its caption curves start at the smallest language model, by its text at the smallest vision model.

    Args:
        alignment: language x vision pairs under cknna, cknna_prh or both, at two or more k.
        competence: bits per byte, for axis="language".
        axis: "language": x is 1 - bits per byte, y the mean over the family's vision models; "vision": x is the family's
            vision models in the table's order, y the mean over language models.
        dataset: when the table holds several.
        measure: of the x axis, which shows 1 - value.
        task: corpus of the measure, when there are several.
        doses: degraded models; read from the names by default (`views.doses`).

    Raises:
        StoreError: fewer than two k, or fewer than two language models whose competence is known.
    """
    available = alignment.frame.metric.unique()
    variants = {name: ids for name in VARIANTS if len(ids := views.find_metrics(available, name)) > 1}
    if not variants:
        raise StoreError(
            f"the figure shows cknna or cknna_prh at two or more k; the alignment table has {', '.join(available)}."
        )
    pairs = {
        name: [views.cross_modal(views.best_pairs(alignment, i, dataset)) for i in ids]
        for name, ids in variants.items()
    }
    first = next(iter(pairs.values()))[0]
    everyone = [*first.language.unique(), *first.vision.unique()]
    degraded = {m: Dose(*d) for m, d in (views.doses(everyone) if doses is None else doses).items()}
    groups = views.vision_groups(first, degraded)
    x: pd.Series | None = None
    if axis == "language":
        known = (1 - views.measure(competence, measure, task).reindex(first.language.unique())).dropna()
        x = known.drop(views.untrained(alignment), errors="ignore").sort_values(kind="stable")
        if len(x) < 2:
            raise StoreError(
                f"the figure needs two or more language models with {measure}; {len(x)} of the table's have it."
            )
    else:
        groups = {title: members for title, members in groups.items() if len(members) > 1}
        if not groups:
            raise StoreError("axis=vision needs a family of two or more vision models; the table has none.")

    curves = {
        (name, title): _curves(parts, members, x) for name, parts in pairs.items() for title, members in groups.items()
    }
    ks = sorted({k for lines in curves.values() for k in lines})
    looks = dict(zip(ks, reversed(style.ordinal(len(ks))), strict=True))  # small k dark
    columns = len(groups)
    margin = style.tag_width([f"k = {k:,}" for k in ks])
    width = max(1.0, min(2.2, (style.PAGE - LEFT - margin - 0.15 * (columns - 1)) / columns))
    below = (
        0.65
        if axis == "language"
        else 0.4 + style.widest([c for m in groups.values() for c in views.captions(m, degraded)])
    )
    figure, axes = style.panels(
        len(variants),
        columns,
        panel=(width, 1.45),
        left=LEFT,
        right=margin + 0.05,
        bottom=below,
        top=0.42,
        gap=(0.15, 0.35),
    )
    every = np.concatenate([line.to_numpy() for lines in curves.values() for line in lines.values()])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    pad = 0.07 * (high - low) or 0.5
    for index, (panel, ((name, title), lines)) in enumerate(zip(axes, curves.items(), strict=True)):
        row, column = divmod(index, columns)
        panel.set_ylim(low - pad, high + pad)
        panel.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1)
        for k, line in lines.items():
            where = line.index if x is not None else range(len(line))
            panel.plot(where, line, label=f"k = {k}", zorder=3, **(looks[k].line() | {"markersize": 3}))
        panel.tick_params(labelleft=column == 0)
        if x is not None:
            edge = 0.06 * (x.max() - x.min()) or 0.5
            panel.set_xlim(x.min() - edge, x.max() + edge)
            panel.set_xlabel(f"1 − {measure.replace('_', ' ')}" if row == len(variants) - 1 else "")
        else:
            shown = views.captions(groups[title], degraded) if row == len(variants) - 1 else [""] * len(groups[title])
            panel.set_xlim(-0.3, len(groups[title]) - 0.7)
            panel.set_xticks(range(len(groups[title])), shown, rotation=90)
        if row == 0:
            panel.set_title(title, loc="left", pad=14)
        if column == 0:
            panel.set_ylabel("centred, in SDs")
            panel.text(
                0, 1.02, f"CKNNA, {VARIANTS[name]}", transform=panel.transAxes, fontsize=style.SMALL, va="bottom"
            )
        if index == columns - 1:
            style.key_right(panel, [(f"k = {k:,}", looks[k]) for k in ks])
    start = "weakest language model" if x is not None else "first vision model"
    style.note(
        figure,
        f"Each curve less its value at the {start}, divided by its standard deviation. n = {first.n.max():,}.",
        LEFT,
    )
    return figure


def _curves(parts: list[pd.DataFrame], members: list[str], x: pd.Series | None) -> dict[int, pd.Series]:
    """By k: mean score by 1 - bits per byte (or by vision model), centred at the first, over its standard deviation."""
    made = {}
    for pairs in parts:
        scores = pairs.pivot(index="language", columns="vision", values="score")[members]
        line = scores.mean(axis=1).reindex(x.index).set_axis(x.to_numpy()) if x is not None else scores.mean(axis=0)
        deviation = line.std(ddof=0)
        made[int(views.metric_parameters(pairs.metric.iloc[0])[1]["k"])] = (line - line.iloc[0]) / (
            deviation if deviation > 0 else 1.0
        )
    return made
