"""Figures: pure functions of tables. Nothing is imported before it is drawn.

    from platorep.figures import FigureData, PlotStyle, draw, save

    style = PlotStyle(width="single", formats=["pdf"])
    plot = draw("fig3", FigureData(alignment=scores, competence=competence), style=style)
    paths = save(plot, Path("outputs/figures/fig3"), style)

A figure is a module of this package with a function of the same name and the decorator `figure`; nothing else registers
it:

    @figure("alignment", "competence")
    def NAME(data: FigureData, *, options...) -> Plot: ...

Listings show the first line of the module's docstring. A figure never computes a score: it shows the values of tables,
and raises an error if they are missing.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.core.errors import SpecError, unknown_name
from platorep.core.files import write_atomically
from platorep.core.plugins import is_path, load_object


if TYPE_CHECKING:
    from platorep.figures.data import Drawing, FigureData, Plot, figure
    from platorep.figures.style import PlotStyle

__all__ = ["FigureData", "Plot", "PlotStyle", "about", "draw", "figure", "find", "known", "needs", "save"]

TYPES = {"FigureData": "data", "Plot": "data", "figure": "data", "PlotStyle": "style"}
"""Names that are imported from a module of this package on first use, because they load pandas or matplotlib."""


def __getattr__(name: str) -> Any:
    if name in TYPES:
        return getattr(importlib.import_module(f"platorep.figures.{TYPES[name]}"), name)
    raise AttributeError(f"module 'platorep.figures' has no attribute {name!r}")


@functools.cache
def _figures() -> dict[str, str]:
    """Names of the modules that declare a figure of their own name, with the first line of their docstring.

    Read from the text: importing the modules loads matplotlib, and parsing them as Python takes a tenth of a second.
    """
    figures = {}
    for module in pkgutil.iter_modules(__path__):
        source = Path(__path__[0], f"{module.name}.py").read_text(encoding="utf-8")
        if re.search(rf"^@figure\([^@]*?\)\ndef {module.name}\(", source, re.MULTILINE):
            figures[module.name] = source.partition("\n")[0].strip('"')
    return figures


def known() -> list[str]:
    """Names that `draw` accepts, in alphabetical order."""
    return sorted(_figures())


def about(name: str) -> str:
    """One line about a figure; empty for a name that is no figure."""
    return _figures().get(name, "")


def find(name: str) -> Drawing:
    """The function that draws a figure: one of `known()`, or the path of a function of the user's own.

    Raises:
        UnknownNameError: no such figure; the message has the nearest names.
        SpecError: a path that leads to no figure.
    """
    if is_path(name):
        function = load_object(name)
        if not hasattr(function, "needs"):
            raise SpecError(
                f"{name} is no figure; expected a function with the decorator platorep.figures.figure(...)."
            )
        return function
    if name not in _figures():
        raise unknown_name("figure", name, known())
    return getattr(importlib.import_module(f"platorep.figures.{name}"), name)


def needs(name: str) -> tuple[str, ...]:
    """The tables that a figure needs, keys of `MISSING`.

    Raises:
        UnknownNameError: no such figure.
        SpecError: a path that leads to no figure.
    """
    return find(name).needs


def draw(name: str, data: FigureData, /, *, style: PlotStyle | None = None, **options: Any) -> Plot:
    """Draws one figure of the tables.

    Args:
        name: one of `known()`, or the path of a function of the user's own, `module.function`.
        data: the tables.
        style: how it looks on paper.
        options: the figure's own keyword arguments.

    Raises:
        UnknownNameError: a figure or an option that does not exist.
        StoreError: the tables lack what the figure shows.
        SpecError: a style that cannot be used, or a width that is too small.
    """
    function = find(name)
    allowed = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in allowed:
            raise unknown_name(f"option of figure {name}", option, allowed)
    return function(data, style=style, **options)


def save(plot: Plot, stem: Path, style: PlotStyle | None = None) -> list[Path]:
    """Writes a figure in the formats of its style, and its numbers as CSV, and returns the paths.

    Args:
        plot: the result of `draw`.
        stem: path without suffix: `stem`.png, `stem`.pdf, `stem`.csv.
        style: the style in which it was drawn.
    """
    paths = importlib.import_module("platorep.figures.style").save(plot.figure, stem, style)
    data = stem.with_name(f"{stem.name}.csv")
    write_atomically(data, lambda path: plot.data.to_csv(path, index=False))
    return [*paths, data]
