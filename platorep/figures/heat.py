"""Heatmaps with printed values, and their colour bars."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from platorep.figures import layout, style


GAP = 0.42
"""Distance between a panel and its colour bar, with room for a word."""


def heat(
    axes: Axes, values: np.ndarray, low: float, high: float, size: float | None, digits: int = 3
) -> matplotlib.image.AxesImage:
    """A heatmap with white gaps. With a `size` in points each value is printed, in black or white by contrast."""
    image = axes.imshow(
        values, cmap=style.HEAT, vmin=low, vmax=high if high > low else low + 1, aspect="auto", interpolation="nearest"
    )
    axes.grid(visible=False)
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


def printed_size(cell: float, digits: int = 3) -> float | None:
    """Size in points of values printed in cells of this width, at most the small size; None where they do not fit."""
    points = min(style.small(), cell * style.scale() * 72 / (2.1 + 0.4 * digits))
    return points if points >= 3.5 else None


def number(value: float, digits: int = 3) -> str:
    """A score for a small cell, without the leading zero: .123."""
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(round(value, digits)) < 1 else f"{value:.{digits}f}"


def bar_room() -> float:
    """Margin needed by `color_bar`."""
    return GAP + 0.2 + layout.text_width("0.000")


def color_bar(axes: Axes, image: matplotlib.image.AxesImage) -> Axes:
    """A narrow colour bar to the right of a panel, at most 1.6 inches high."""
    left, bottom, width, height = layout.box(axes)
    tall = min(height, 1.6)
    bar = layout.place(layout.figure_of(axes), left + width + GAP, bottom + height - tall, 0.1, tall)
    layout.figure_of(axes).colorbar(image, cax=bar)
    bar.tick_params(labelsize=style.small() - 0.5)
    for spine in bar.spines.values():
        spine.set_visible(False)
    return bar
