"""The one style of all figures: sizes, colours, markers, labels that do not overlap, and files that are the same every time.

Readable in greyscale and by colour-blind readers: ordered series run from light to dark (cividis), unordered ones take
the Okabe-Ito colours, and every series has a marker and a line style of its own besides its colour. Layout is in inches
and fixed before anything is drawn, so nothing depends on a renderer; fonts are matplotlib's own DejaVu Sans.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from scipy.optimize import isotonic_regression

from platorep.core.files import write_atomically


COLUMN = 3.4
"""Width of a paper's column in inches."""
PAGE = 7.0
"""Width of a paper's page in inches."""
DPI = 200

BASE, SMALL = 8.0, 6.5  # points
INK, MUTED, FAINT = "#1a1a1a", "#6b6b6b", "#d0d0d0"
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (3, 1, 1, 1)),
    (0, (1.2, 1)),
    (0, (7, 1.5, 1, 1.5)),
    (0, (4, 1, 1, 1, 1, 1)),
)
HEAT = "cividis"

RC = {
    "font.family": "DejaVu Sans",
    "font.size": BASE,
    "axes.titlesize": BASE,
    "axes.titleweight": "bold",
    "axes.labelsize": BASE,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.0,
    "pdf.fonttype": 42,  # TrueType, embedded: text stays text in the PDF
    "ps.fonttype": 42,
    "svg.hashsalt": "platorep",
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "savefig.dpi": DPI,
    "path.simplify": False,
}


def styled(function: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draws under the house's settings, whatever the caller's matplotlibrc says, and leaves the caller's as they were."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Figure:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(RC)
            return function(*args, **kwargs)

    return wrapper


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes `stem`.png and `stem`.pdf, each whole or not at all, and returns their paths.

    The same figure gives the same bytes: no time stamp, no library version, fonts embedded (TrueType).
    """
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "ModDate": None, "Creator": "platorep", "Producer": "platorep"},
    }
    paths = []
    for kind, entries in metadata.items():
        path = stem.with_name(f"{stem.name}.{kind}")
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(RC)
            write_atomically(
                path, lambda p, kind=kind, entries=entries: figure.savefig(p, format=kind, dpi=DPI, metadata=entries)
            )
        paths.append(path)
    return paths


class Look(NamedTuple):
    """Colour, marker and line style of a series."""

    color: Any
    marker: str
    dash: Any

    def line(self) -> dict[str, Any]:
        """Keyword arguments for `Axes.plot`."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.dash,
            "markeredgecolor": INK,
            "markeredgewidth": 0.4,
        }


def ordinal(count: int) -> list[Look]:
    """Looks of `count` ordered series, light to dark: the last is the largest."""
    shades = np.linspace(0.92, 0.05, count) if count > 1 else [0.05]
    return [
        Look(matplotlib.colormaps[HEAT](float(s)), MARKERS[i % len(MARKERS)], DASHES[(count - 1 - i) % len(DASHES)])
        for i, s in enumerate(shades)
    ]


def categorical(count: int) -> list[Look]:
    """Looks of `count` series without order."""
    return [
        Look(OKABE_ITO[i % len(OKABE_ITO)], MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)]) for i in range(count)
    ]


def panels(
    rows: int,
    columns: int,
    *,
    panel: tuple[float, float],
    left: float,
    right: float,
    bottom: float,
    top: float,
    gap: tuple[float, float] = (0.0, 0.0),
    count: int | None = None,
    **shared: bool,
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, all lengths in inches.

    Args:
        rows: of panels.
        columns: of panels.
        panel: width and height of one.
        left: outer margin.
        right: outer margin.
        bottom: outer margin.
        top: outer margin.
        gap: between panels, across and down.
        count: panels to make, row by row; all by default.
        shared: sharex, sharey: all panels share the first one's axis.

    Returns:
        The figure and its axes, row by row.
    """
    width = left + right + columns * panel[0] + (columns - 1) * gap[0]
    height = bottom + top + rows * panel[1] + (rows - 1) * gap[1]
    figure = Figure(figsize=(width, height))
    axes: list[Axes] = []
    for index in range(rows * columns if count is None else count):
        row, column = divmod(index, columns)
        x = left + column * (panel[0] + gap[0])
        y = height - top - panel[1] - row * (panel[1] + gap[1])
        first = axes[0] if axes else None
        box = (x / width, y / height, panel[0] / width, panel[1] / height)
        axes.append(figure.add_axes(box, **{k: first for k, v in shared.items() if v and first is not None}))
    return figure, axes


def inches(axes: Axes) -> tuple[float, float]:
    """Width and height of a panel."""
    width, height = axes.get_figure().get_size_inches()
    box = axes.get_position()
    return box.width * width, box.height * height


def text_width(text: str, size: float = SMALL, weight: str = "normal") -> float:
    """Width of a line of text in inches, in the house's font, without a renderer."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return (
        1.07 * text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72
    )  # hinting widens glyphs on screen


def widest(texts: Sequence[str], size: float = SMALL) -> float:
    """Width of the widest text in inches; 0 for none."""
    return max((text_width(t, size) for t in texts), default=0.0)


def spread(targets: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Positions closest to `targets` (least squares) that keep their order, lie `gap` apart and within [low, high].

    When they do not all fit they are laid out evenly from low to high. Ties keep the order given.
    """
    wanted = np.asarray(targets, dtype=float)
    count = len(wanted)
    if count == 0:
        return wanted
    order = np.argsort(wanted, kind="stable")
    if (count - 1) * gap >= high - low:
        placed = np.linspace(low, high, count) if count > 1 else np.array([min(max(wanted[0], low), high)])
    else:
        steps = gap * np.arange(count)
        placed = np.clip(isotonic_regression(wanted[order] - steps).x, low, high - steps[-1]) + steps
    result = np.empty(count)
    result[order] = placed
    return result


class Tag(NamedTuple):
    """A label in the right margin of a panel: where it points to, what it says, and the look it explains, if any."""

    value: float
    text: str
    look: Look | None = None
    color: Any = INK


HANDLE = 0.17  # inches from the panel to the handle's middle
INDENT = 0.29  # inches from the panel to the text


def tag_width(texts: Sequence[str]) -> float:
    """Margin that `tag_right` needs, in inches."""
    return INDENT + widest(texts) + 0.05 if texts else 0.0


def tag_right(axes: Axes, tags: Sequence[Tag]) -> None:
    """Labels series at the right edge of a panel, at their height where they fit and moved apart where not.

    Limits of the axes must be final. Each label has a thin leader to its value and, for a series, a handle as in a legend.
    """
    width, height = inches(axes)
    low, high = axes.get_ylim()
    wanted = [(tag.value - low) / (high - low) for tag in tags]
    step = SMALL * 1.25 / 72 / height
    bottom, top = step / 2 - 0.02, max(1.0, (len(tags) - 1) * step + 0.02)
    for tag, start, end in zip(tags, wanted, spread(wanted, step, bottom, top), strict=True):
        x = np.array([0.015, 0.09, HANDLE - 0.07]) / width + 1
        axes.plot(x, [start, end, end], transform=axes.transAxes, color=MUTED, linewidth=0.4, clip_on=False)
        if tag.look is not None:
            x = np.array([HANDLE - 0.08, HANDLE, HANDLE + 0.08]) / width + 1
            axes.plot(x, [end] * 3, transform=axes.transAxes, clip_on=False, markevery=[1], **tag.look.line())
        indent = INDENT if tag.look is not None else HANDLE - 0.04
        axes.text(
            1 + indent / width,
            end,
            tag.text,
            transform=axes.transAxes,
            fontsize=SMALL,
            color=tag.color,
            va="center_baseline",
        )


def key_right(axes: Axes, entries: Sequence[tuple[str, Look]]) -> None:
    """A legend to the right of a panel, in the order given, for series whose ends lie too close together for `tag_right`."""
    width, height = inches(axes)
    for line, (text, look) in enumerate(entries):
        y = 1 - (line + 0.5) * SMALL * 1.35 / 72 / height
        x = np.array([HANDLE - 0.08, HANDLE, HANDLE + 0.08]) / width + 1
        axes.plot(x, [y] * 3, transform=axes.transAxes, clip_on=False, markevery=[1], **look.line())
        axes.text(1 + INDENT / width, y, text, transform=axes.transAxes, fontsize=SMALL, va="center_baseline")


NAME_RISE = 0.12  # inches from the panel's top to the names


def names_height(names: Sequence[str], angle: float = 60.0) -> float:
    """Margin above a panel that `name_top` needs, in inches."""
    return NAME_RISE + widest(names) * np.sin(np.radians(angle)) + 0.06 if names else 0.0


def name_top(axes: Axes, positions: Sequence[float], names: Sequence[str], angle: float = 60.0) -> None:
    """Names x positions above a panel, slanted, moved apart where they would overlap, each with a leader to its position.

    Limits of the axes must be final. A faint line marks each position through the panel.
    """
    width, height = inches(axes)
    low, high = axes.get_xlim()
    wanted = [(p - low) / (high - low) for p in positions]
    step = SMALL * 1.2 / 72 / np.sin(np.radians(angle)) / width
    over = max(0.0, (len(names) - 1) * step - 1) / 2
    for name, start, end in zip(names, wanted, spread(wanted, step, -over, 1 + over), strict=True):
        rise = np.array([0, 0.02, NAME_RISE - 0.03, NAME_RISE - 0.01]) / height + 1
        axes.plot([start, start, end, end], rise, transform=axes.transAxes, color=MUTED, linewidth=0.4, clip_on=False)
        axes.plot([start, start], [0, 1], transform=axes.transAxes, color=FAINT, linewidth=0.4, zorder=0)
        axes.text(
            end,
            1 + NAME_RISE / height,
            name,
            transform=axes.transAxes,
            fontsize=SMALL,
            rotation=angle,
            rotation_mode="anchor",
            ha="left",
            va="center_baseline",
        )


def note(figure: Figure, text: str, left: float = 0.06) -> None:
    """A muted line at the foot of a figure: what was measured, on what, by which rule. `left` in inches."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 0.07 / height, text, fontsize=SMALL, color=MUTED, va="bottom")


def contrast(color: Any) -> str:
    """Black or white, whichever reads better on `color` (WCAG relative luminance)."""
    rgb = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"
