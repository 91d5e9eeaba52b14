"""Alignment of language and vision models against 1 − bits per byte, one panel per vision family (Figure 3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import SpecError, StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Grid, Margins
from platorep.figures.marks import Tag
from platorep.results import views
from platorep.results.facts import Dose
from platorep.results.groups import member_labels, vision_groups
from platorep.results.labels import capitalised, metric_label, model_labels, setting
from platorep.results.rises import rise


LEFT, HEIGHT = 0.58, 1.75

AXES = ("loss", "scores", "parameters", "date")
"""What the x axis can show."""


class _Shown(NamedTuple):
    """What the panels show."""

    pairs: pd.DataFrame
    scores: pd.DataFrame  # language x vision
    x: pd.Series  # of the language models on the axis, ascending
    axis: str  # one of AXES
    without: list[str]  # language models that are dashed lines
    groups: dict[str, list[str]]  # vision models by panel
    degraded: dict[str, Dose]
    chance: float | None


@figure("alignment", "competence")
def fig3(
    data: FigureData,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    x: str = "loss",
    measure: str | None = None,
    task: str | None = None,
) -> Plot:
    """Alignment against 1 - bits per byte: one panel per vision family, one line per vision model (PRH, Fig. 3).

    x=scores shows a measure where more is better as it is, x=parameters the number of parameters on a logarithmic
    axis, x=date the release as a year with its fraction. Where the table has intervals of the scores, points have bars.

    Each point is a language model, named above the panel; lines run light to dark in the order in which the table
    names the family's models. Language models without bits per byte (static vectors, sentence encoders, TF-IDF) and
    those with random weights are dashed lines at their score with the panel's best vision model, the one with the
    highest mean. Degraded language models are points like any other; degraded vision models share a panel a base
    model, which closes with the intact model. Families of one vision model share a panel when there are several of
    them. The note states the rank correlation and its family-aware p (`platorep.results.rises`).

    Args:
        data: language x vision pairs, either side first, and bits per byte of language models.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        x: what the x axis shows, one of `AXES`.
        measure: the measure of the axis, for x=loss shown as 1 - value; None: bits_per_byte, parameters or released.
            x=scores has no default.
        task: corpus of the measure, when there are several.

    Raises:
        StoreError: no language x vision pairs, or none of the language models has the measure.
        SpecError: an unknown x, or x=scores without a measure.
    """
    measure = axis_measure(x, measure)
    rows = data.pairs(metric, dataset)
    pairs, facts = views.cross_modal(rows), views.models(rows)
    values = views.measure(data.competence, measure, task)
    scores = pairs.pivot(index="language", columns="vision", values="score")[list(pairs.vision.unique())]
    untrained = views.untrained(facts)
    places = (1 - values if x == "loss" else values).reindex(scores.index)
    places = places.dropna().drop(untrained, errors="ignore").sort_values(kind="stable")
    if places.empty:
        raise StoreError(
            f"none of the language models ({', '.join(scores.index)}) has {measure} in the competence table, "
            f"which knows it of {', '.join(values.index)}."
        )
    degraded = views.doses(facts)
    without = [m for m in pairs.language.unique() if m not in places.index]
    shown = _Shown(pairs, scores, places, x, without, vision_groups(pairs, degraded), degraded, views.chance(pairs))
    words = measure.replace("_", " ")
    title = f"1 − {words}" if x == "loss" else words
    sentence = rise(pairs, facts, -values if x == "loss" else values).sentence
    note = f"{capitalised(setting(pairs))}. Mean alignment and {title}: {sentence}"
    if without:
        why = f"no {words}" + (" or random weights" if any(m in untrained for m in without) else "")
        note += f" Dashed: {why}; with the panel's best vision model."
    return Plot(_draw(shown, title, note).figure, _table(shown))


def axis_measure(x: str, measure: str | None) -> str:
    """The competence measure that an x axis shows.

    Raises:
        SpecError: an unknown x, or x=scores without a measure.
    """
    if x not in AXES:
        raise SpecError(f"fig3: x is {x!r}; expected {', '.join(AXES)}.")
    defaults = {"loss": "bits_per_byte", "parameters": "parameters", "date": "released"}
    if measure is None and x == "scores":
        raise SpecError("fig3: x=scores needs the name of a measure, such as measure=hellaswag.")
    return measure or defaults[x]


def _draw(shown: _Shown, title: str, note: str) -> Grid:
    names = model_labels(list(shown.x.index), shown.degraded)
    captions = {title: member_labels(members, shown.degraded) for title, members in shown.groups.items()}
    references = [*shown.without, *(["chance"] if shown.chance is not None else [])]
    margin = marks.tag_width([*references, *(c for members in captions.values() for c in members)]) + 0.1
    above = marks.names_height(names) + 0.2
    label = layout.label(f"alignment, {metric_label(shown.pairs.metric.iloc[0])}", HEIGHT + 0.4)
    left = LEFT + layout.label_room(label)
    columns = {4: 2}.get(len(captions), min(3, len(captions)))
    width = min((style.PAGE - left - columns * margin - (columns - 1) * 0.1) / columns, 3.2)
    margins = Margins(left, margin, 0.45, above, across=margin + 0.1, down=above + 0.42)
    grid = layout.panels(
        len(captions), columns, (max(width, 1.2), HEIGHT), margins, note=note, share="xy", least=1.0, wraps=True
    )
    first, limits = grid.axes[0], shown.pairs[["score", "low", "high"]].to_numpy()
    limits = limits[np.isfinite(limits)]
    if shown.axis == "parameters":
        first.set_xscale("log")
        ratio = (shown.x.max() / shown.x.min()) ** 0.06
        first.set_xlim(shown.x.min() / max(ratio, 1.1), shown.x.max() * max(ratio**0.5, 1.05))
    else:
        pad = 0.06 * (shown.x.max() - shown.x.min()) or 0.5
        first.set_xlim(shown.x.min() - pad, shown.x.max() + pad / 2)
    first.set_ylim(min(0.0, 1.1 * limits.min()), 1.06 * max(limits.max(), shown.chance or 0.0))
    for panel, (group, members) in zip(grid.axes, shown.groups.items(), strict=True):
        _panel(panel, shown, members, captions[group])
        marks.name_top(panel, list(shown.x), names)
        panel.set_title(group, loc="left", pad=72 * style.scale() * (above - 0.18))
    grid.label(title, label)
    return grid


def _panel(panel: Axes, shown: _Shown, members: list[str], captions: list[str]) -> None:
    scores, tags = shown.scores[members], []
    for vision, caption, look in zip(members, captions, style.ordinal(len(members)), strict=True):
        y = scores[vision].reindex(shown.x.index).dropna()
        if not y.empty:
            panel.plot(shown.x[y.index], y, label=vision, zorder=3, **look.line())
            tags.append(Tag(y.iloc[-1], caption, look))
            bars = shown.pairs[shown.pairs.vision == vision].set_index("language").reindex(y.index)
            bars = bars.dropna(subset=["low", "high"])
            panel.vlines(shown.x[bars.index], bars.low, bars.high, color=look.color, linewidth=0.7, zorder=2)
    best = scores[scores.mean().idxmax()]
    for model in shown.without:
        if np.isfinite(best.get(model, np.nan)):
            panel.axhline(best[model], color=style.MUTED, linewidth=0.7, linestyle=(0, (4, 2)), zorder=1, label=model)
            tags.append(Tag(best[model], model, color=style.MUTED))
    marks.tag_right(panel, [*tags, *marks.chance_line(panel, shown.chance)])


def _table(shown: _Shown) -> pd.DataFrame:
    panel = {model: title for title, members in shown.groups.items() for model in members}
    table = shown.pairs.assign(panel=shown.pairs.vision.map(panel), x=shown.pairs.language.map(shown.x))
    return table[["panel", "language", "language_family", "x", "vision", "vision_family", "score", "low", "high"]]
