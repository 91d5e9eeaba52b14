"""Alignment by language model under CKA, unbiased CKA, SVCCA, mutual k-NN (Figure 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Grid, Margins
from platorep.results import views
from platorep.results.groups import member_labels, vision_groups
from platorep.results.labels import capitalised, find_metrics, metric_label, model_labels, setting


Choice = tuple[str, Mapping[str, str]]
METRICS: tuple[Choice, ...] = (
    ("cka", {"hsic": "biased", "kernel": "linear"}),
    ("cka", {"hsic": "unbiased", "kernel": "linear"}),
    ("svcca", {}),
    ("mutual_knn", {"k": "10"}),
)
LEFT, LINE = 0.62, 0.115


class _Family(NamedTuple):
    """A column: a vision family, its models and their labels."""

    title: str
    members: list[str]
    labels: list[str]


@figure("alignment")
def fig13(data: FigureData, *, metrics: Sequence[str] | None = None, dataset: str | None = None) -> Plot:
    """Alignment by language model: rows are metrics, columns vision families, lines vision models (PRH, Fig. 13).

    Language models stand in the table's order: families together, small to large, as suites list them. Panels of a row
    share their y axis. A dotted line is chance, where all pairs of the row share one.

    Args:
        data: language x vision pairs under several metrics.
        metrics: full ids, one a row; the paper's by default: linear CKA, linear unbiased CKA, SVCCA, mutual k-NN
            (k = 10). Those that are missing are named below the figure.
        dataset: when the table holds several.

    Raises:
        StoreError: none of the metrics is in the table.
    """
    return by_language_model(data, METRICS, metrics, dataset)


def by_language_model(
    data: FigureData, wanted: Sequence[Choice], metrics: Sequence[str] | None, dataset: str | None
) -> Plot:
    """The grid of Figures 13 and 14: metrics down, vision families across."""
    available = list(data.chosen.metric.unique())
    ids, missing = (list(metrics), []) if metrics is not None else _present(available, wanted)
    tables = [views.cross_modal(data.pairs(views.pick_metric(available, metric), dataset)) for metric in ids]
    everyone, degraded = pd.concat(tables), views.doses(views.models(data.chosen))
    families = [
        _Family(title, members, member_labels(members, degraded))
        for title, members in vision_groups(everyone, degraded).items()
    ]
    note = f"{capitalised(setting(tables[0]))}. Dotted: chance."
    note += f" Not in the table: {', '.join(missing)}." if missing else ""
    languages = list(everyone.language.unique())
    grid = _draw(tables, families, languages, model_labels(languages, degraded), note)
    return Plot(grid.figure, everyone[["metric", "language", "vision", "vision_family", "score"]])


def _present(available: list[str], wanted: Sequence[Choice]) -> tuple[list[str], list[str]]:
    """Ids of the wanted metrics that the table has, and labels of those that it lacks."""
    ids, missing = [], []
    for name, parameters in wanted:
        matches = find_metrics(available, name, **parameters)
        ids += matches[:1]
        if not matches:
            missing.append(metric_label(f"{name}({','.join(f'{k}={v}' for k, v in parameters.items())})"))
    if not ids:
        raise StoreError(f"the figure shows {', '.join(missing)}; the alignment table has only {', '.join(available)}.")
    return ids, missing


def _draw(
    tables: list[pd.DataFrame], families: list[_Family], languages: list[str], labels: list[str], note: str
) -> Grid:
    columns, above = len(families), 0.5 + LINE * max(len(family.members) for family in families)
    width = (style.PAGE - LEFT - 0.1 - 0.15 * (columns - 1)) / columns
    width = max(0.85, min(1.5, width), 0.1 * len(languages))
    margins = Margins(LEFT, 0.15, layout.widest(labels) + 0.12, above, across=0.17, down=0.32)
    grid = layout.panels(len(tables) * columns, columns, (width, 1.05), margins, note=note, least=0.7)
    for row, pairs in enumerate(tables):
        scores = pairs.pivot(index="language", columns="vision", values="score").reindex(languages)
        chance = views.chance(pairs)
        low, high = min(0.0, float(np.nanmin(scores))), max(float(np.nanmax(scores)), chance or 0.0)
        for column, family in enumerate(families):
            panel = grid.axes[row * columns + column]
            looks = _lines(panel, scores, family)
            marks.chance_line(panel, chance)
            panel.set_ylim(low - 0.05 * (high - low) * (low < 0), high + 0.07 * (high - low))
            ticks = labels if row == len(tables) - 1 else [""] * len(languages)
            panel.set_xlim(-0.5, len(languages) - 0.5)
            panel.set_xticks(range(len(languages)), ticks, rotation=90)
            panel.tick_params(labelleft=column == 0)
            if row == 0:
                _key(panel, family, looks, above)
        first, name = grid.axes[row * columns], metric_label(pairs.metric.iloc[0])
        first.text(0, 1.03, name, transform=first.transAxes, fontsize=style.small(), va="bottom")
        first.set_ylabel("alignment")
    return grid


def _lines(panel: Axes, scores: pd.DataFrame, family: _Family) -> list[style.Look]:
    looks = style.ordinal(len(family.members))
    for vision, look in zip(family.members, looks, strict=True):
        if vision in scores:
            line = look.line() | {"markersize": 3, "linewidth": 0.9}
            panel.plot(range(len(scores)), scores[vision], label=vision, **line)
    return looks


def _key(panel: Axes, family: _Family, looks: Sequence[style.Look], above: float) -> None:
    """Title and legend of a column, above its first panel: the last model, the largest, on top."""
    width, height = layout.inches(panel)
    panel.text(0, 1 + (above - 0.06) / height, family.title, transform=panel.transAxes, weight="bold", va="top")
    for number, (label, look) in enumerate(zip(reversed(family.labels), reversed(looks), strict=True)):
        y = 1 + (above - 0.3 - LINE * number) / height
        x = np.array([0.0, 0.09, 0.18]) / width
        line = look.line() | {"markersize": 3}
        panel.plot(x, [y] * 3, transform=panel.transAxes, clip_on=False, markevery=[1], **line)
        place: dict[str, Any] = {"transform": panel.transAxes, "fontsize": style.small(), "va": "center_baseline"}
        panel.text(0.23 / width, y, label, **place)
