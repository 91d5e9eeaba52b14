"""Layout of figures: panels, texts that fit, and the note at the foot.

Lengths are in inches at a font size of 8 points; a larger font makes all of them larger in proportion. They are fixed
before anything is drawn, so nothing depends on a renderer. Texts are measured in the current font.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from scipy.optimize import isotonic_regression

from platorep.core.errors import SpecError
from platorep.figures import style


LEAST_WIDTH = 2.6
"""Smallest width of a figure, so that its note is not a narrow column."""
NARROWEST = 0.8
"""Smallest width of a panel."""
TIE = "\u00a0"
EDGE = 0.06
"""Distance between a text and the edge of the figure."""


class Margins(NamedTuple):
    """Room around and between panels. The note has its own room below."""

    left: float
    right: float
    below: float
    above: float
    across: float = 0.0
    down: float = 0.0


class Grid(NamedTuple):
    """Panels, row by row."""

    figure: Figure
    axes: list[Axes]
    columns: int

    def is_first(self, index: int) -> bool:
        """Whether a panel is the first of its row."""
        return index % self.columns == 0

    def is_lowest(self, index: int) -> bool:
        """Whether there is no panel below."""
        return index + self.columns >= len(self.axes)

    def label(self, x: str, y: str) -> None:
        """Labels the lowest panels with x, and the first of each row with y and its ticks."""
        for index, panel in enumerate(self.axes):
            panel.tick_params(labelleft=self.is_first(index))
            if self.is_lowest(index):
                panel.set_xlabel(x)
            if self.is_first(index):
                panel.set_ylabel(y)


def panels(
    count: int,
    columns: int,
    panel: tuple[float, float],
    margins: Margins,
    *,
    note: str = "",
    share: str = "",
    least: float = NARROWEST,
    wraps: bool | Literal["halves"] = False,
) -> Grid:
    """A figure of equal panels, with a note at its foot.

    Without a width in `PlotStyle`, panels have the width in `panel`, and the figure has at least `LEAST_WIDTH`. With a
    width, the panels share the space between the margins.

    Args:
        count: of panels.
        columns: of panels; fewer where `wraps` is set and the width is too small for them.
        panel: width and height of a panel.
        margins: around and between the panels.
        note: the measure, the data and the rule in words; wrapped to the width of the figure.
        share: the axes that all panels share: "x", "y", "xy" or none.
        least: the smallest width of a panel.
        wraps: whether the panels may stand in fewer columns; "halves": in half as many or a quarter, so that panels
            of a row stay together.

    Raises:
        SpecError: the width of `PlotStyle` is too small.
    """
    asked = style.asked_width()
    wide, total = panel[0], margins.left + margins.right + columns * panel[0] + (columns - 1) * margins.across
    if asked is None:
        total = max(total, LEAST_WIDTH)
    else:
        total, columns, wide, margins = _fitted(asked / style.scale(), columns, least, margins, wraps)
    rows = -(-count // columns)
    lines = _note_lines(note, total, margins.left)
    foot = margins.below + (EDGE + len(lines) * line(1.3) if lines else 0.0)
    height = foot + margins.above + rows * panel[1] + (rows - 1) * margins.down
    figure = new(total, height)
    axes: list[Axes] = []
    for index in range(count):
        row, column = divmod(index, columns)
        x = margins.left + column * (wide + margins.across)
        y = height - margins.above - panel[1] - row * (panel[1] + margins.down)
        shared = {f"share{axis}": axes[0] for axis in share} if axes else {}
        axes.append(place(figure, x, y, wide, panel[1], **shared))
    _write_note(figure, lines, margins.left)
    return Grid(figure, axes, columns)


def _fitted(
    total: float, columns: int, least: float, margins: Margins, wraps: bool | Literal["halves"]
) -> tuple[float, int, float, Margins]:
    """The figure's width, the columns that fit, the width of a panel, and the margins between rows."""
    free = total - margins.left - margins.right
    fitting = columns
    while wraps and fitting > 1 and (free - (fitting - 1) * margins.across) / fitting < least:
        fitting = fitting // 2 if wraps == "halves" else fitting - 1
    wide = (free - (fitting - 1) * margins.across) / fitting
    if wide < least:
        needed = margins.left + margins.right + fitting * least + (fitting - 1) * margins.across
        raise SpecError(
            f"a width of {total * style.scale():.1f} inches is too small for this figure: it needs "
            f"{math.ceil(10 * needed * style.scale()) / 10} at this font size."
        )
    if fitting < columns and margins.down == 0:
        margins = margins._replace(down=margins.below + margins.above)
    return total, fitting, wide, margins


def new(width: float, height: float) -> Figure:
    """An empty figure."""
    return Figure(figsize=(width * style.scale(), height * style.scale()))


def size(figure: Figure) -> tuple[float, float]:
    """Width and height of a figure."""
    width, height = figure.get_size_inches() / style.scale()
    return float(width), float(height)


def place(figure: Figure, x: float, y: float, width: float, height: float, **more: Any) -> Axes:
    """Axes in a box whose lower left corner is at x, y."""
    total, tall = size(figure)
    return figure.add_axes((x / total, y / tall, width / total, height / tall), **more)


def write(figure: Figure, x: float, y: float, text: str, **more: Any) -> None:
    """A text at x, y from the lower left corner, in the small size unless said otherwise."""
    total, tall = size(figure)
    figure.text(x / total, y / tall, text, **({"fontsize": style.small()} | more))


def figure_of(axes: Axes) -> Figure:
    """The figure that a panel belongs to."""
    return cast(Figure, axes.get_figure(root=True))  # None for axes that were removed


def box(axes: Axes) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a panel."""
    total, tall = size(figure_of(axes))
    position = axes.get_position()
    return position.x0 * total, position.y0 * tall, position.width * total, position.height * tall


def inches(axes: Axes) -> tuple[float, float]:
    """Width and height of a panel."""
    return box(axes)[2:]


def line(spacing: float = 1.25) -> float:
    """Height of a line of small text."""
    return style.small() * spacing / 72 / style.scale()


def text_width(text: str, points: float | None = None, weight: str = "normal") -> float:
    """Width of a line of text in the font that is set, without a renderer; small text by default."""
    font = FontProperties(size=style.small() if points is None else points, weight=weight)
    width = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72
    return 1.07 * width / style.scale()  # hinting widens glyphs on screen


def widest(texts: Sequence[str], points: float | None = None) -> float:
    """Width of the widest text; 0 for none."""
    return max((text_width(t, points) for t in texts), default=0.0)


def wrapped(text: str, width: float, points: float | None = None, weight: str = "normal") -> list[str]:
    """Lines of at most `width`; wider words are broken, and "n = 700", "95 %", "1 − bits" stay together."""
    lines = []
    for together in (" = ", " %", "1 − "):
        text = text.replace(together, together.replace(" ", TIE))
    for paragraph in text.split("\n"):
        current = ""
        for word in paragraph.split(" "):
            longer = f"{current} {word}" if current else word
            if text_width(longer, points, weight) <= width:
                current = longer
                continue
            if current:
                lines.append(current)
            while len(word) > 1 and text_width(word, points, weight) > width:
                fits = max(
                    1, next(i for i in range(1, len(word) + 1) if text_width(word[:i], points, weight) > width) - 1
                )
                lines.append(word[:fits])
                word = word[fits:]
            current = word
        lines.append(current)
    return [line.replace(TIE, " ") for line in lines]


def label(text: str, width: float) -> str:
    """An axis label: broken at its first comma, or else between words, where it is wider than `width`."""
    if text_width(text, style.base()) <= width:
        return text
    lines = text.replace(", ", ",\n", 1)
    return "\n".join(wrapped(lines, width, style.base()))


def label_room(text: str) -> float:
    """Room that the lines of a label after the first one take."""
    return text.count("\n") * style.base() * 1.2 / 72 / style.scale()


def _note_lines(note: str, total: float, left: float) -> list[str]:
    return wrapped(note, total - _note_left(total, left) - EDGE) if note else []


def _note_left(total: float, left: float) -> float:
    """Below the panels' left edge, or at the figure's where that leaves little room."""
    return left if left <= 0.25 * total else EDGE


def _write_note(figure: Figure, lines: Sequence[str], left: float) -> None:
    if lines:
        x = _note_left(size(figure)[0], left)
        write(figure, x, EDGE, "\n".join(lines), color=style.MUTED, va="bottom", linespacing=1.2)


def note_height(note: str, total: float, left: float) -> float:
    """Height of a note in a figure of this width."""
    return EDGE + len(_note_lines(note, total, left)) * line(1.3) if note else 0.0


def note(figure: Figure, text: str, left: float = EDGE) -> None:
    """The note at the foot of a figure, for figures that are not made by `panels`."""
    _write_note(figure, _note_lines(text, size(figure)[0], left), left)


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
