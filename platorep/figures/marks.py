"""Names of series and positions next to a panel, moved apart so that they do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from platorep.figures import layout, style
from platorep.figures.style import Look


class Tag(NamedTuple):
    """A label in the right margin of a panel: its height, its text, and the look of its series, if any."""

    value: float
    text: str
    look: Look | None = None
    color: Any = style.INK


HANDLE = 0.17
"""From the panel to the middle of a handle."""
INDENT = 0.29
"""From the panel to the text."""
RISE = 0.12
"""From the top of a panel to the names above it."""


def tag_width(texts: Sequence[str]) -> float:
    """Margin that `tag_right` and `key_right` need."""
    return INDENT + layout.widest(texts) + 0.05 if texts else 0.0


def tag_right(axes: Axes, tags: Sequence[Tag]) -> None:
    """Labels series at the right edge of a panel, at the height of their values if they fit, otherwise moved apart.

    Limits of the axes must be final. Each label has a thin leader to its value and, for a series, a handle as in a
    legend.
    """
    width, height = layout.inches(axes)
    low, high = axes.get_ylim()
    wanted = [(tag.value - low) / (high - low) for tag in tags]
    step = layout.line() / height
    bottom, top = step / 2 - 0.02, max(1.0, (len(tags) - 1) * step + 0.02)
    for tag, start, end in zip(tags, wanted, layout.spread(wanted, step, bottom, top), strict=True):
        x = np.array([0.015, 0.09, HANDLE - 0.07]) / width + 1
        axes.plot(x, [start, end, end], transform=axes.transAxes, color=style.MUTED, linewidth=0.4, clip_on=False)
        indent = INDENT if tag.look is not None else HANDLE - 0.04
        _entry(axes, end, tag.text, indent, tag.look, tag.color)


def key_right(axes: Axes, entries: Sequence[tuple[str, Look]]) -> None:
    """A legend to the right of a panel, in the order given, for series whose ends lie too close for `tag_right`."""
    height = layout.inches(axes)[1]
    for number, (text, look) in enumerate(entries):
        _entry(axes, 1 - (number + 0.5) * layout.line(1.35) / height, text, INDENT, look, style.INK)


def _entry(axes: Axes, y: float, text: str, indent: float, look: Look | None, color: Any) -> None:
    width = layout.inches(axes)[0]
    if look is not None:
        x = np.array([HANDLE - 0.08, HANDLE, HANDLE + 0.08]) / width + 1
        axes.plot(x, [y] * 3, transform=axes.transAxes, clip_on=False, markevery=[1], **look.line())
    place: dict[str, Any] = {"transform": axes.transAxes, "fontsize": style.small(), "va": "center_baseline"}
    axes.text(1 + indent / width, y, text, color=color, **place)


def names_height(names: Sequence[str], angle: float = 60.0) -> float:
    """Margin above a panel that `name_top` needs."""
    return RISE + layout.widest(names) * np.sin(np.radians(angle)) + 0.06 if names else 0.0


def name_top(axes: Axes, positions: Sequence[float], names: Sequence[str], angle: float = 60.0) -> None:
    """Names x positions above a panel, slanted, moved apart where they would overlap, each with a leader.

    Limits of the axes must be final. A faint line marks each position through the panel.
    """
    width, height = layout.inches(axes)
    low, high = axes.get_xlim()
    wanted = [(p - low) / (high - low) for p in positions]
    step = layout.line(1.2) / np.sin(np.radians(angle)) / width
    over = max(0.0, (len(names) - 1) * step - 1) / 2
    for name, start, end in zip(names, wanted, layout.spread(wanted, step, -over, 1 + over), strict=True):
        rise = np.array([0, 0.02, RISE - 0.03, RISE - 0.01]) / height + 1
        axes.plot(
            [start, start, end, end], rise, transform=axes.transAxes, color=style.MUTED, linewidth=0.4, clip_on=False
        )
        axes.plot([start, start], [0, 1], transform=axes.transAxes, color=style.FAINT, linewidth=0.4, zorder=0)
        slanted_name(axes, end, 1 + RISE / height, name, angle, transform=axes.transAxes)


def slanted_name(axes: Axes, x: float, y: float, name: str, angle: float = 60.0, **more: Any) -> None:
    """A name that rises to the right from x, y, in data coordinates unless a transform is given."""
    turned: dict[str, Any] = {"rotation": angle, "rotation_mode": "anchor", "ha": "left", "va": "center_baseline"}
    axes.text(x, y, name, fontsize=style.small(), **turned, **more)


def chance_line(axes: Axes, level: float | None) -> list[Tag]:
    """A dotted line at chance, and the tag that names it; nothing if chance is unknown."""
    if level is None:
        return []
    axes.axhline(level, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label="chance")
    return [Tag(level, "chance")]
