"""CKNNA over k, centred and scaled, bounded and as released (Figure 10)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Grid, Margins
from platorep.results import views
from platorep.results.groups import member_labels, vision_groups
from platorep.results.labels import find_metrics, metric_parameters, setting


LEFT = 0.6
VARIANTS = {"cknna": "bounded", "cknna_prh": "as released"}


class _Panel(NamedTuple):
    """The curves of one variant and one vision family, by k, and the labels of its vision models."""

    variant: str
    title: str
    labels: list[str]
    lines: dict[int, pd.Series]


@figure("alignment", "competence")
def fig10(
    data: FigureData,
    *,
    axis: Literal["language", "vision"] = "language",
    dataset: str | None = None,
    measure: str = "bits_per_byte",
    task: str | None = None,
) -> Plot:
    """CKNNA at several k, each curve less its first point and divided by its standard deviation (PRH, Fig. 10).

    One column per vision family, one row per variant: the bounded CKNNA, and the released one, whose values at large k
    are not bounded and rank pairs differently. One line per k, darker for smaller k. Language models with random
    weights are left out of the axis, as in `fig3`. The paper contradicts itself about the axis: by its caption curves
    start at the smallest language model, by its text at the smallest vision model.

    Args:
        data: language x vision pairs under cknna, cknna_prh or both, at two or more k; bits per byte for
            axis="language".
        axis: "language": x is 1 - bits per byte, y the mean over the family's vision models; "vision": x is the
            family's vision models in the table's order, y the mean over language models.
        dataset: when the table holds several.
        measure: of the x axis, which shows 1 - value.
        task: corpus of the measure, when there are several.

    Raises:
        StoreError: fewer than two k, or fewer than two language models whose competence is known.
    """
    available = data.chosen.metric.unique()
    variants = {name: ids for name in VARIANTS if len(ids := find_metrics(available, name)) > 1}
    if not variants:
        raise StoreError(
            f"the figure shows cknna or cknna_prh at two or more k; the alignment table has {', '.join(available)}."
        )
    tables = {name: [views.cross_modal(data.pairs(i, dataset)) for i in ids] for name, ids in variants.items()}
    first, facts = next(iter(tables.values()))[0], views.models(data.chosen)
    degraded = views.doses(facts)
    groups, x = vision_groups(first, degraded), None
    if axis == "language":
        known = (1 - views.measure(data.competence, measure, task).reindex(first.language.unique())).dropna()
        x = known.drop(views.untrained(facts), errors="ignore").sort_values(kind="stable")
        if len(x) < 2:
            raise StoreError(
                f"the figure needs two or more language models with {measure}; {len(x)} of the table's have it."
            )
    else:
        groups = {title: members for title, members in groups.items() if len(members) > 1}
        if not groups:
            raise StoreError("axis=vision needs a family of two or more vision models; the table has none.")
    shown = [
        _Panel(name, title, member_labels(members, degraded), _curves(parts, members, x))
        for name, parts in tables.items()
        for title, members in groups.items()
    ]
    start = "weakest language model" if x is not None else "first vision model"
    note = f"Each curve less its value at the {start}, divided by its standard deviation; {setting(first)}."
    grid = _draw(shown, len(groups), x, measure.replace("_", " "), note)
    return Plot(grid.figure, _table(shown))


def _curves(parts: list[pd.DataFrame], members: list[str], x: pd.Series | None) -> dict[int, pd.Series]:
    """By k: mean score by 1 - bits per byte (or by vision model), less the first, over its standard deviation."""
    curves = {}
    for pairs in parts:
        scores = pairs.pivot(index="language", columns="vision", values="score")[members]
        line = scores.mean(axis=1).reindex(x.index).set_axis(x.to_numpy()) if x is not None else scores.mean(axis=0)
        deviation = line.std(ddof=0)
        k = int(metric_parameters(pairs.metric.iloc[0])[1]["k"])
        curves[k] = (line - line.iloc[0]) / (deviation if deviation > 0 else 1.0)
    return curves


def _draw(shown: list[_Panel], columns: int, x: pd.Series | None, words: str, note: str) -> Grid:
    ks = sorted({k for family in shown for k in family.lines})
    looks = dict(zip(ks, reversed(style.ordinal(len(ks))), strict=True))  # small k dark
    margin = marks.tag_width([f"k = {k:,}" for k in ks])
    width = max(1.0, min(2.2, (style.PAGE - LEFT - margin - 0.15 * (columns - 1)) / columns))
    below = 0.45 if x is not None else 0.2 + layout.widest([label for family in shown for label in family.labels])
    margins = Margins(LEFT, margin + 0.05, below, 0.42, across=0.15, down=0.35)
    grid = layout.panels(len(shown), columns, (width, 1.45), margins, note=note, least=0.7)
    every = np.concatenate([line.to_numpy() for family in shown for line in family.lines.values()])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    pad = 0.07 * (high - low) or 0.5
    for index, (panel, family) in enumerate(zip(grid.axes, shown, strict=True)):
        panel.set_ylim(low - pad, high + pad)
        panel.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1)
        for k, line in family.lines.items():
            where = line.index if x is not None else range(len(line))
            panel.plot(where, line, label=f"k = {k}", zorder=3, **(looks[k].line() | {"markersize": 3}))
        panel.tick_params(labelleft=grid.is_first(index))
        _x_axis(panel, family, x, words if grid.is_lowest(index) else "")
        if index < columns:
            panel.set_title(family.title, loc="left", pad=14 * style.scale())
        if grid.is_first(index):
            panel.set_ylabel("centred, in SDs")
            name = f"CKNNA, {VARIANTS[family.variant]}"
            panel.text(0, 1.02, name, transform=panel.transAxes, fontsize=style.small(), va="bottom")
    marks.key_right(grid.axes[columns - 1], [(f"k = {k:,}", looks[k]) for k in ks])
    return grid


def _x_axis(panel: Axes, family: _Panel, x: pd.Series | None, words: str) -> None:
    """The axis of competence, or the vision models; named with `words` only."""
    if x is not None:
        edge = 0.06 * (x.max() - x.min()) or 0.5
        panel.set_xlim(x.min() - edge, x.max() + edge)
        panel.set_xlabel(f"1 − {words}" if words else "")
    else:
        panel.set_xlim(-0.3, len(family.labels) - 0.7)
        panel.set_xticks(range(len(family.labels)), family.labels if words else [""] * len(family.labels), rotation=90)


def _table(shown: list[_Panel]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"variant": family.variant, "family": family.title, "k": k, "x": line.index, "value": line.to_numpy()}
        )
        for family in shown
        for k, line in family.lines.items()
    ]
    return pd.concat(parts, ignore_index=True)
