"""The one style of all figures: sizes, colours, markers, and files that are the same every time.

Readable in greyscale and by colour-blind readers: ordered series run from light to dark (cividis), unordered ones take
the Okabe-Ito colours, and every series has a marker and a line style of its own besides its colour.

Settings come from matplotlib: its defaults and the user's matplotlibrc, over them `RC`, over that the style file of
`PlotStyle`, over that what no figure can do without, `NEEDED`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from platorep.core.errors import SpecError, unknown_name
from platorep.core.files import write_atomically


COLUMN = 3.4
"""Width of a paper's column in inches: width=single."""
PAGE = 7.0
"""Width of a paper's page in inches: width=double."""
DPI = 200
BASE = 8.0
"""Font size in points for which lengths are given; another size scales them all."""

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

RC: dict[Any, Any] = {
    "font.size": BASE,
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "axes.labelsize": "medium",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "legend.fontsize": "small",
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
}
"""Our own values; a style file may change them."""

NEEDED: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType, embedded: text stays text in the PDF
    "ps.fonttype": 42,
    "svg.hashsalt": "platorep",  # the same figure gives the same bytes
    "figure.dpi": 100,
    "savefig.dpi": DPI,
    "savefig.bbox": None,  # the layout is fixed in inches
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "path.simplify": False,
}
"""Values that no setting changes."""

METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": "platorep", "Producer": "platorep"},
    "svg": {"Date": None, "Creator": "platorep"},
}
"""Formats of files, with what is written into each instead of times and versions."""

_WIDTH: ContextVar[float | None] = ContextVar("width", default=None)


@dataclass(frozen=True, kw_only=True)
class PlotStyle:
    """How figures look on paper.

    Args:
        width: of a figure in inches, or "single" or "double" for a paper's columns; None leaves each its own.
        font_size: in points; None is 8, or that of the style file.
        sheet: a matplotlib style: a file (.mplstyle) or a name that matplotlib knows.
        formats: of the files: png, pdf, svg.

    Raises:
        SpecError: a value that cannot be used.
    """

    width: float | Literal["single", "double"] | None = None
    font_size: float | None = None
    sheet: str | None = None
    formats: Sequence[str] = ("png", "pdf")

    def __post_init__(self) -> None:
        if isinstance(self.formats, str) or not self.formats:
            raise SpecError(f"formats is {self.formats!r}; expected a list such as [pdf, svg].")
        for kind in self.formats:
            if kind not in METADATA:
                raise unknown_name("format of a figure", str(kind), METADATA)
        for name, value, low, high in (("width", self.inches, 1, 40), ("font_size", self.font_size, 4, 30)):
            if value is not None and not (isinstance(value, (int, float)) and low <= value <= high):
                raise SpecError(f"{name} is {value!r}; expected a number from {low} to {high}.")

    @property
    def inches(self) -> Any:
        """The width as a number, None where each figure has its own."""
        return {"single": COLUMN, "double": PAGE}.get(str(self.width), self.width)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block matplotlib has these settings; afterwards it has the caller's again.

        Raises:
            SpecError: a style file that does not exist.
        """
        token = _WIDTH.set(self.inches)
        try:
            with matplotlib.rc_context(RC):
                if self.sheet is not None:
                    try:
                        matplotlib.style.use(self.sheet)
                    except OSError:
                        raise SpecError(
                            f"sheet is {self.sheet!r}, which is neither a style file nor a style that matplotlib knows."
                        ) from None
                matplotlib.rcParams.update(
                    NEEDED | ({} if self.font_size is None else {"font.size": float(self.font_size)})
                )
                yield
        finally:
            _WIDTH.reset(token)


def asked_width() -> float | None:
    """The width that the figure being drawn is to have, in inches; None leaves it to the figure."""
    return _WIDTH.get()


Drawing = TypeVar("Drawing")


def styled(function: Callable[..., Drawing]) -> Callable[..., Drawing]:
    """Draws with the settings of the keyword argument `style`, a `PlotStyle`, and leaves the caller's as they were."""

    @functools.wraps(function)
    def wrapper(*args: Any, style: PlotStyle | None = None, **kwargs: Any) -> Drawing:
        with (style or PlotStyle()).applied():
            drawing = function(*args, **kwargs)
            figure: Any = getattr(drawing, "figure", None) or drawing
            figure.draw_without_rendering()  # ticks are made when first drawn, and read the settings of then
        return drawing

    return wrapper


def save(figure: Figure, stem: Path, style: PlotStyle | None = None) -> list[Path]:
    """Writes `stem`.png, `stem`.pdf and so on, each whole or not at all, and returns their paths.

    The same figure gives the same bytes: no time stamp, no library version, fonts embedded (TrueType).
    """
    style, paths = style or PlotStyle(), []
    for kind in style.formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        metadata = {**METADATA[kind], "Title": stem.name}  # the report tells a figure from a copy of another by it
        with style.applied():
            write_atomically(path, functools.partial(figure.savefig, format=kind, metadata=metadata))
        paths.append(path)
    return paths


def base() -> float:
    """Font size of labels and titles in points."""
    return float(matplotlib.rcParams["font.size"])


def small() -> float:
    """Font size of tick labels, names and notes in points."""
    return float(FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points())


def scale() -> float:
    """Factor from the lengths of this package, which are inches at 8 points, to inches on paper."""
    return base() / BASE


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


def contrast(color: Any) -> str:
    """Black or white, whichever reads better on `color` (WCAG relative luminance)."""
    rgb = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"
