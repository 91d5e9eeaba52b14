"""The models' matrix as a heatmap."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import style
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable


@style.styled
def matrix(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str | None = None,
    dataset: str | None = None,
) -> Figure:
    """Best score of every pair of models: x models down, y models across, in the table's order, values printed.

    A pair that was not scored is an empty cell. The bar's dotted mark is chance, where all pairs share one.

    Args:
        alignment: any pairs.
        competence: not used.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
    """
    best = views.best_pairs(alignment, metric, dataset)
    table = AlignmentTable(best).matrix()
    values = table.to_numpy()
    cell = min(0.36, max(0.25, 4.6 / max(len(table.columns), 1)))
    left = style.widest(list(table.index)) + 0.15
    above = style.names_height(list(table.columns)) + 0.05
    overhang = style.text_width(str(table.columns[-1])) * np.cos(np.radians(60))
    figure, (axes,) = style.panels(
        1,
        1,
        panel=(cell * len(table.columns), 0.72 * cell * len(table.index)),
        left=left,
        right=max(0.75, overhang),
        bottom=0.32,
        top=above,
    )
    low, high = min(0.0, np.nanmin(values)), np.nanmax(values)
    image = heat(axes, values, low, high, size=min(style.SMALL, cell * 72 / 3.3))
    axes.set_yticks(range(len(table.index)), table.index)
    axes.tick_params(length=0)
    axes.set_xticks([])
    for position, name in enumerate(table.columns):
        axes.text(
            position,
            -0.65,
            name,
            fontsize=style.SMALL,
            rotation=60,
            rotation_mode="anchor",
            ha="left",
            va="center_baseline",
        )
    bar = color_bar(figure, axes, image)
    chance = views.chance(best)
    if chance is not None and low <= chance <= high:
        bar.axhline(chance, color=style.contrast(image.cmap(image.norm(chance))), linewidth=1, linestyle=":")
        bar.text(
            -0.15,
            chance,
            "chance",
            transform=bar.get_yaxis_transform(),
            fontsize=style.SMALL - 1,
            ha="right",
            va="center",
        )
    note = f"{views.metric_label(best.metric.iloc[0])}, best layer pair, n = {best.n.max():,}, {views.title_of(best.dataset.iloc[0])}"
    style.note(figure, note, left)
    return figure


def heat(
    axes: Axes, values: np.ndarray, low: float, high: float, size: float | None, digits: int = 3
) -> matplotlib.image.AxesImage:
    """A heatmap with white gaps; with a `size` in points each value is printed, in black or white by contrast, .123 for 0.123."""
    image = axes.imshow(
        values, cmap=style.HEAT, vmin=low, vmax=high if high > low else low + 1, aspect="auto", interpolation="nearest"
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    if size is not None:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = style.contrast(image.cmap(image.norm(value)))
                axes.text(column, row, number(value, digits), fontsize=size, color=ink, ha="center", va="center")
    axes.set_xticks(np.arange(values.shape[1] - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(values.shape[0] - 1) + 0.5, minor=True)
    if size is not None:
        axes.grid(which="minor", color="white", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    return image


def number(value: float, digits: int = 3) -> str:
    """A score for a small cell, without the leading zero."""
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(round(value, digits)) < 1 else f"{value:.{digits}f}"


def color_bar(figure: Figure, axes: Axes, image: matplotlib.image.AxesImage) -> Axes:
    """A colour bar of a tenth of an inch to the right of a panel, at most 1.6 inches high."""
    width, height = figure.get_size_inches()
    box = axes.get_position()
    tall = min(box.height, 1.6 / height)
    bar = figure.add_axes((box.x1 + 0.32 / width, box.y1 - tall, 0.1 / width, tall))
    figure.colorbar(image, cax=bar)
    bar.tick_params(labelsize=style.SMALL - 0.5)
    for spine in bar.spines.values():
        spine.set_visible(False)
    return bar
