"""Downstream scores of language models against alignment with vision, with a family-aware fit (Figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError, unknown_name
from platorep.figures import layout, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.labels import label_points
from platorep.figures.layout import Grid, Margins
from platorep.results import views
from platorep.results.groups import lineages
from platorep.results.labels import capitalised, count_label, metric_label, setting
from platorep.results.rises import rise
from platorep.results.tables import CompetenceTable
from platorep.stats.families import family_interval, family_lines
from platorep.stats.trends import MIN_FAMILIES


TITLES = {"hellaswag": "HellaSwag", "gsm8k": "GSM8K"}
LARGEST = 0.1
"""Radius of the largest model's marker."""
SMALLEST = 0.025


@figure("alignment", "competence")
def fig4(
    data: FigureData,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    vision: str | None = None,
    measures: Sequence[str] = ("hellaswag", "gsm8k"),
    rank: str = "bits_per_byte",
    task: str | None = None,
) -> Plot:
    """Downstream scores of language models against their alignment with one vision model (PRH, Fig. 4).

    One panel a benchmark. A marker's area grows in proportion to the number of parameters where that is known; its
    colour is the model's rank by `rank`. The line is the least-squares fit. Its band, and the interval of its slope,
    resample whole families of models (`platorep.stats.families`), because models of one family are not independent;
    with fewer than `MIN_FAMILIES` families there is neither. The note states the rank correlation of each benchmark
    and its family-aware p over the trained models (`platorep.results.rises`).

    Args:
        data: language x vision pairs; the benchmarks, and where known parameters and bits per byte.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        vision: vision model; by default the one with the highest mean alignment, which the axis names.
        measures: benchmarks, one a panel.
        rank: the measure behind the colours; a lower value is better.
        task: corpus of `rank`, when there are several.

    Raises:
        StoreError: a benchmark has values for fewer than 3 of the language models.
        UnknownNameError: no such vision model.
    """
    rows = data.pairs(metric, dataset)
    pairs, facts = views.cross_modal(rows), views.models(rows)
    if vision is None:
        vision = str(pairs.groupby("vision", sort=False).score.mean().idxmax())
    elif vision not in set(pairs.vision):
        raise unknown_name("vision model in the alignment table", vision, pairs.vision.unique())
    pairs = pairs[pairs.vision == vision]
    models = _models(pairs, facts, data.require("competence"), rank, task)
    tables, sentences = {}, []
    for name in measures:
        values = views.measure(data.competence, name)
        tables[name] = table = models.assign(y=values).dropna(subset="y")
        if len(table) < 3:
            raise StoreError(
                f"{name} is known of {len(table)} of the {len(models)} language models; a trend needs at least 3."
            )
        better = -values if name.startswith("bits_per_byte") else values
        title = "1 − bits per byte" if name.startswith("bits_per_byte") else _title(name)
        sentences.append(f"{title}: {rise(pairs, facts, better).sentence}")
    band = " Bands and brackets: 95 %, families resampled." if any(map(_has_band, tables.values())) else ""
    note = "\n".join([f"{capitalised(setting(pairs))}.{band}", *sentences])
    label = f"alignment with {vision}, {metric_label(pairs.metric.iloc[0])}"
    shown = pd.concat([table.assign(benchmark=name) for name, table in tables.items()])
    return Plot(_draw(tables, label, note).figure, shown.rename_axis("language").reset_index())


def _models(
    pairs: pd.DataFrame, facts: pd.DataFrame, competence: CompetenceTable, rank: str, task: str | None
) -> pd.DataFrame:
    """Language models by name: x (alignment), family, size and rank; large models first, so that small lie on top."""
    known = set(competence.frame.measure)
    unknown = pd.Series(dtype=float)
    size = views.measure(competence, "parameters") if "parameters" in known else unknown
    bits = views.measure(competence, rank, task) if rank in known else unknown
    table = pairs.set_index("language")[["score"]].rename(columns={"score": "x"})
    table = table.assign(family=lineages(facts), size=size, rank=-bits)
    order = table["size"].fillna(0).sort_values(ascending=False, kind="stable").index
    return table.assign(rank=table["rank"].rank()).loc[order]  # 1 is the worst


def _title(measure: str) -> str:
    return TITLES.get(measure, measure.replace("_", " "))


def _has_band(table: pd.DataFrame) -> bool:
    return table.family.nunique() >= MIN_FAMILIES and np.ptp(table.x) > 0


def _draw(tables: dict[str, pd.DataFrame], label: str, note: str) -> Grid:
    everyone = pd.concat(tables.values())
    everyone = everyone[~everyone.index.duplicated()]
    ranks = everyone["rank"]
    shade = matplotlib.colors.Normalize(1, max(ranks.max(), 2) if ranks.notna().any() else 2)
    largest = everyone["size"].max()
    lines = layout.label_room(layout.label(label, 3.0 if style.asked_width() is None else 1.8))
    margins = Margins(0.55, 0.95, 0.45 + lines, 0.58, across=0.5)
    grid = layout.panels(len(tables), len(tables), (2.7, 2.3), margins, note=note, least=1.5, wraps=True)
    for panel, (name, table) in zip(grid.axes, tables.items(), strict=True):
        _panel(panel, table, shade, largest)
        panel.set_title(_title(name), loc="left", pad=22 * style.scale())
        panel.set_xlabel(layout.label(label, layout.inches(panel)[0] + 0.3))
        panel.set_ylabel("score")
    _keys(grid.axes[min(grid.columns, len(grid.axes)) - 1], everyone["size"], ranks, shade)
    return grid


def radius(parameters: pd.Series, largest: float) -> np.ndarray:
    """Radii of markers: area in proportion to the number of parameters, at least a dot, and a dot where unknown.

    Args:
        parameters: numbers of parameters.
        largest: the number that gets the radius `LARGEST`.
    """
    values = parameters.to_numpy(dtype=float)
    proportional = LARGEST * np.sqrt(values / largest)
    return np.where(np.isfinite(values), np.maximum(proportional, SMALLEST), 2 * SMALLEST)


def _area(radii: np.ndarray) -> np.ndarray:
    return (2 * 72 * style.scale() * radii) ** 2


def _panel(axes: Axes, table: pd.DataFrame, shade: matplotlib.colors.Normalize, largest: float) -> None:
    x, y = table.x.to_numpy(), table.y.to_numpy()
    radii = radius(table["size"], largest)
    for limits, values in ((axes.set_xlim, x), (axes.set_ylim, y)):
        pad = 0.14 * np.ptp(values) or 0.05
        limits(values.min() - pad, values.max() + pad)
    heat = matplotlib.colormaps[f"{style.HEAT}_r"]
    colors = [heat(shade(r)) if np.isfinite(r) else style.FAINT for r in table["rank"]]
    axes.scatter(x, y, s=_area(radii), c=colors, edgecolors=style.INK, linewidths=0.5, alpha=0.9, zorder=3)
    if np.ptp(x) > 0:
        text = _fit(axes, table)
        place: dict[str, Any] = {"transform": axes.transAxes, "fontsize": style.small(), "color": style.MUTED}
        axes.text(0, 1.01, text, va="bottom", linespacing=1.1, **place)
    label_points(axes, x, y, list(table.index), radii=radii, size=style.small() - 1)


def _fit(axes: Axes, table: pd.DataFrame) -> str:
    """Draws the line and, with enough families, its band; returns slope and explained variance in words."""
    x, y, families = table.x.to_numpy(), table.y.to_numpy(), table.family.nunique()
    grid = np.linspace(x.min(), x.max(), 50)
    slope, start = np.polyfit(x, y, 1)
    axes.plot(grid, start + slope * grid, color=style.INK, linewidth=0.9, label="fit", zorder=2)
    text = f"slope {slope:.1f}"
    if _has_band(table):
        slopes, lines = family_lines(x, y, table.family.to_numpy(str), grid)
        low, high = family_interval(start + slope * grid, lines, families)
        axes.fill_between(grid, low, high, color=style.FAINT, alpha=0.6, linewidth=0, label="band", zorder=1)
        low, high = family_interval(slope, slopes, families)
        text += f" [{low:.1f}, {high:.1f}]"
    explained = np.corrcoef(x, y)[0, 1] ** 2 if np.ptp(y) > 0 else 0.0
    counted = f"{len(table)} models of {families} {'family' if families == 1 else 'families'}"
    return f"{text}, $R^2$ = {explained:.2f}".replace("-", "−") + f"\n{counted}"


def _keys(axes: Axes, size: pd.Series, ranks: pd.Series, shade: matplotlib.colors.Normalize) -> None:
    """The legend of colour and size, to the right of a panel."""
    figure_ = layout.figure_of(axes)
    left, bottom, width, height = layout.box(axes)
    if ranks.notna().any():
        bar = layout.place(figure_, left + width + 0.2, bottom + height - 1.0, 0.1, 0.9)
        figure_.colorbar(matplotlib.cm.ScalarMappable(shade, f"{style.HEAT}_r"), cax=bar, ticks=[1, shade.vmax])
        bar.set_yticklabels(["worst", "best"])
        bar.tick_params(labelsize=style.small())
        bar.set_title("1 − bits\nper byte", fontsize=style.small(), weight="normal", loc="left", pad=8)
    if size.notna().any():
        shown = pd.Series(sorted({size.min(), size.max()}))
        key = layout.place(figure_, left + width + 0.1, bottom + 0.1, 0.8, 0.7)
        key.set_xlim(0, 0.8)
        key.set_ylim(0, 0.7)
        key.axis("off")
        for value, r, y in zip(shown, radius(shown, size.max()), (0.42, 0.15), strict=False):
            key.scatter([0.15], [y], s=_area(r), facecolors="none", edgecolors=style.INK, linewidths=0.5)
            key.text(0.32, y, count_label(value), fontsize=style.small(), va="center")
        key.text(0.02, 0.62, "parameters", fontsize=style.small(), va="center")
