"""Names of the points of a scatter plot, placed so that they cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from platorep.figures import layout, style


_DIRECTIONS = [(1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8)]
_STEPS = (0.0, 0.06, 0.13, 0.22, 0.33, 0.5, 0.7)  # beyond the point's edge

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def label_points(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    names: Sequence[str],
    radii: ArrayLike = 0.03,
    size: float | None = None,
) -> None:
    """Names points: each at the nearest free place around it, with a thin leader where it had to move away.

    Greedy and deterministic: points are taken in the order given. A name that has no free place takes the one that
    covers least. Limits of the axes must be final.

    Args:
        axes: panel with linear axes.
        x: of the points, in data units.
        y: of the points, in data units.
        names: texts; an empty one is not placed.
        radii: of the points' markers, as lengths of `platorep.figures.layout`.
        size: of the text in points.
    """
    size = style.small() if size is None else size
    panel = wide, tall = layout.inches(axes)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    points = np.column_stack(
        [(np.asarray(x) - left) / (right - left) * wide, (np.asarray(y) - low) / (high - low) * tall]
    )
    reach = np.broadcast_to(np.asarray(radii, dtype=float), len(points))
    taken = [(px - r, py - r, px + r, py + r) for (px, py), r in zip(points, reach, strict=True)]
    for (px, py), radius, name in zip(points, reach, names, strict=True):
        if not name:
            continue
        text = layout.text_width(name, size), size * 1.05 / 72 / style.scale()
        box, step = _place((px, py), radius, text, taken, panel)
        taken.append(box)
        if step > 0:
            end = (min(max(px, box[0]), box[2]), min(max(py, box[1]), box[3]))
            line: dict[str, Any] = {"color": style.MUTED, "linewidth": 0.4, "zorder": 2, "transform": axes.transAxes}
            axes.plot([px / wide, end[0] / wide], [py / tall, end[1] / tall], **line)
        middle = ((box[0] + box[2]) / 2 / wide, (box[1] + box[3]) / 2 / tall)
        axes.text(*middle, name, transform=axes.transAxes, fontsize=size, ha="center", va="center", zorder=6)


def _place(
    point: tuple[float, float], radius: float, text: tuple[float, float], taken: list[Box], panel: tuple[float, float]
) -> tuple[Box, float]:
    """The nearest box for a text of some width and height that covers nothing, else the one that covers least."""
    (px, py), (width, height), (wide, tall) = point, text, panel
    best: tuple[float, Box, float] = (np.inf, (px, py, px, py), 0.0)
    for step in _STEPS:
        for dx, dy in _DIRECTIONS:
            away = radius + 0.025 + step
            cx = px + dx * away + np.sign(dx) * width / 2
            cy = py + dy * away + np.sign(dy) * height / 2
            box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
            outside = max(0, -box[0]) + max(0, box[2] - wide) + max(0, -box[1]) + max(0, box[3] - tall)
            cost = sum(_shared(box, other) for other in taken) + height * outside
            if cost < best[0] - 1e-9:
                best = (cost, box, step)
        if best[0] <= 1e-9:
            break
    return best[1], best[2]


def _shared(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
