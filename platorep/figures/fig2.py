"""Vision models by share of tasks solved: alignment within buckets, and a map of the models (Figure 2)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.labels import label_points
from platorep.figures.layout import Margins
from platorep.results import views
from platorep.results.labels import metric_label, setting
from platorep.results.tables import CompetenceTable
from platorep.stats.pair_means import pair_mean
from platorep.stats.scaling import Projection, plane


EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Limits of the buckets."""
LEFT, PANEL = 0.72, (2.75, 2.5)
NAMED = 14
"""Largest number of models whose names the map shows; with more, points are numbered and a key has the names."""
SHADES = f"{style.HEAT}_r"


@figure("alignment", "competence")
def fig2(
    data: FigureData,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    modality: str = "vision",
    measure: str = "vtab_solved",
    task: str | None = None,
    edges: Sequence[float] = EDGES,
    projection: Projection = "auto",
) -> Plot:
    """Left: mean alignment within buckets of models by share of tasks solved. Right: a map of the models (PRH, Fig. 2).

    A bucket holds the models with lower < share <= upper; the first one also those with share = lower. A bar is the
    mean over its pairs of models, its whisker the standard error (`platorep.stats.pair_means`). The map places models
    by the distance -log(alignment); its title names the method.

    Args:
        data: pairs of models of one modality (the two orders of a pair are averaged), and shares of tasks solved.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        modality: which models.
        measure: the share of tasks solved, in [0, 1].
        task: of the measure, when there are several.
        edges: of the buckets.
        projection: of the map; see `platorep.stats.scaling.plane`.

    Raises:
        StoreError: a share outside [0, 1], a pair of models without a score or with one that has no logarithm.
    """
    rows = data.pairs(metric, dataset)
    scores = views.within(rows, modality)
    solved = _solved(data.competence, measure, task, list(scores.index))
    points, method = plane(_distances(scores), projection)
    models = pd.DataFrame({"family": views.models(rows).family[scores.index], "solved": solved})
    models = models.assign(x=points[:, 0], y=points[:, 1], bucket=_buckets(solved, edges))

    key = [f"{i}  {name}" for i, name in enumerate(models.index, 1)] if len(models) > NAMED else []
    kinds = [kind or "no family" for kind in models.family.unique()]
    lines = max(1, int(PANEL[1] / layout.line(1.2)) - len(kinds) - 1)  # of the key's columns
    right = max(0.9, marks.tag_width(kinds), -(-len(key) // lines) * (layout.widest(key) + 0.12) + 0.15)
    tasks = task or _first_task(data.require("competence"), measure)
    note = f"{len(models)} {modality} models, {setting(rows)}. Whiskers: standard error (jackknife over models)."
    note += f" Tasks: {tasks}." if tasks else ""
    margins = Margins(LEFT, right, 0.55, 0.32, across=0.5)
    grid = layout.panels(2, 2, PANEL, margins, note=note, least=1.7, wraps=True)
    bars, space = grid.axes
    _bars(bars, scores, models.bucket, edges, views.chance(rows))
    bars.set_ylabel(f"alignment within the bucket,\n{metric_label(rows.metric.iloc[0])}")
    bars.set_xlabel("share of tasks solved")
    bars.set_title("Agreement within buckets", loc="left")
    _map(space, models, numbered=bool(key))
    space.set_title(f"{method} of −log alignment", loc="left")
    _key(space, kinds, key, lines)
    _color_bar(space)
    return Plot(grid.figure, models.rename_axis("model").reset_index())


def _solved(competence: CompetenceTable | None, measure: str, task: str | None, models: list[str]) -> pd.Series:
    solved = views.measure(competence, measure, task).reindex(models)
    if solved.isna().any():
        raise StoreError(
            f"no {measure} for {', '.join(solved.index[solved.isna()])}: measure it, or leave the model out of the "
            "alignment."
        )
    if not solved.between(0, 1).all():
        raise StoreError(f"{measure} is a share of tasks, in [0, 1]; got {solved.min():g} to {solved.max():g}.")
    return solved


def _first_task(competence: CompetenceTable, measure: str) -> str:
    tasks = competence.frame.task[competence.frame.measure == measure].dropna()
    return next((task for task in tasks if task), "")


def _buckets(solved: pd.Series, edges: Sequence[float]) -> pd.Series:
    """Number of each model's bucket; -1 outside of all."""
    bucket = pd.Series(-1, solved.index)
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        bucket[(solved > low) & (solved <= high) | (solved == low) & (number == 0)] = number
    return bucket


def _distances(scores: pd.DataFrame) -> np.ndarray:
    """-log(alignment), 0 on the diagonal."""
    values = scores.to_numpy()
    off = ~np.eye(len(values), dtype=bool)
    bad = np.argwhere(off & ~(values > 0))
    if len(bad):
        first, second = scores.index[bad[0][0]], scores.index[bad[0][1]]
        raise StoreError(
            f"the map needs a positive score for every pair; {first} x {second} has {scores.loc[first, second]}. "
            "Score the pair, use mutual_knn, or leave a model out."
        )
    distances = np.where(off, -np.log(np.where(off, values, 1.0)), 0.0)
    if distances.min() < 0:
        raise StoreError(
            "the map's distance -log(alignment) needs scores of at most 1: this metric is not bounded by 1."
        )
    return distances


def _bars(axes: Axes, scores: pd.DataFrame, bucket: pd.Series, edges: Sequence[float], chance: float | None) -> None:
    shade, names = matplotlib.colormaps[SHADES], []
    for position, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = bucket.index[bucket == position]
        mean, error = pair_mean(scores.loc[inside, inside].to_numpy())
        names.append(f"{100 * low:g}–{100 * high:g} %\n{len(inside)} models")
        if np.isfinite(mean):
            whisker: dict[str, Any] = {
                "yerr": error if np.isfinite(error) else None,
                "capsize": 2.5,
                "error_kw": {"linewidth": 0.8},
            }
            axes.bar(position, mean, 0.75, color=shade((low + high) / 2), edgecolor=style.INK, linewidth=0.5, **whisker)
        else:
            place: dict[str, Any] = {
                "transform": axes.get_xaxis_transform(),
                "fontsize": style.small(),
                "color": style.MUTED,
            }
            axes.text(position, 0.02, "no pair", ha="center", **place)
    room = layout.inches(axes)[0] / len(names)
    tight = layout.widest([line for name in names for line in name.split("\n")], style.small() - 0.8) > room
    if tight:
        names = [name.split("\n")[0].replace(" %", "") for name in names]
    axes.set_xticks(range(len(names)), names, fontsize=style.small() - 0.8)
    axes.set_xlim(-0.6, len(names) - 0.4)
    if chance is not None:
        axes.axhline(chance, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
        axes.text(1.01, chance, "chance", transform=axes.get_yaxis_transform(), fontsize=style.small(), va="center")
    axes.margins(y=0.08)


def _markers(models: pd.DataFrame) -> dict[str, str]:
    return dict(zip(models.family.unique(), itertools.cycle(style.MARKERS), strict=False))


def _map(axes: Axes, models: pd.DataFrame, numbered: bool) -> None:
    points = models[["x", "y"]].to_numpy()
    wide, tall = layout.inches(axes)
    middle, span = (points.max(0) + points.min(0)) / 2, 1.25 * np.ptp(points, axis=0)
    inch = max(span[0] / wide, span[1] / tall) or 1.0  # one scale for both axes, because the map shows distances
    axes.set_xlim(middle[0] - inch * wide / 2, middle[0] + inch * wide / 2)
    axes.set_ylim(middle[1] - inch * tall / 2, middle[1] + inch * tall / 2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(style.FAINT)
    shade = matplotlib.colormaps[SHADES]
    for kind, marker in _markers(models).items():
        members = models[models.family == kind]
        look: dict[str, Any] = {"marker": marker, "s": 26, "edgecolors": style.INK, "linewidths": 0.5, "zorder": 3}
        axes.scatter(members.x, members.y, c=shade(members.solved), label=kind or "no family", **look)
    names = [str(i) for i in range(1, len(models) + 1)] if numbered else list(models.index)
    label_points(axes, points[:, 0], points[:, 1], names, radii=0.045, size=style.small() - (0.5 if numbered else 1.5))


def _key(axes: Axes, kinds: list[str], names: list[str], lines: int) -> None:
    """Markers of the families, and below them the numbered names in columns of `lines` lines."""
    wide, tall = layout.inches(axes)
    for number, (kind, marker) in enumerate(zip(kinds, itertools.cycle(style.MARKERS), strict=False)):
        y = 1 - (number + 0.5) * layout.line(1.35) / tall
        point: dict[str, Any] = {
            "markerfacecolor": "white",
            "markeredgecolor": style.INK,
            "markeredgewidth": 0.5,
            "markersize": 5,
        }
        x = 1 + 0.12 / wide
        axes.plot([x], [y], marker=marker, linestyle="none", transform=axes.transAxes, clip_on=False, **point)
        axes.text(1 + 0.24 / wide, y, kind, transform=axes.transAxes, fontsize=style.small(), va="center_baseline")
    start, column = len(kinds) + 1, layout.widest(names) + 0.12
    for number, name in enumerate(names):
        x = 1 + (0.08 + number // lines * column) / wide
        y = 1 - (start + number % lines + 0.5) * layout.line(1.2) / tall
        axes.text(x, y, name, transform=axes.transAxes, fontsize=style.small(), va="center_baseline")


def _color_bar(axes: Axes) -> None:
    left, bottom, width, _ = layout.box(axes)
    bar = layout.place(layout.figure_of(axes), left, bottom - 0.26, width * 0.5, 0.08)
    shades = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), SHADES)
    layout.figure_of(axes).colorbar(shades, cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=style.small() - 0.5)
    words = {"fontsize": style.small(), "va": "center"}
    layout.write(layout.figure_of(axes), left + width * 0.53, bottom - 0.22, "share of tasks solved", **words)
