"""Draws the figures of an experiment in its style."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from platorep.commands.experiment import Experiment
from platorep.core.files import link_latest, slug
from platorep.core.plugins import TARGET


if TYPE_CHECKING:
    from platorep.figures.data import FigureData
    from platorep.figures.style import PlotStyle


log = logging.getLogger(__name__)


def plot_style(experiment: Experiment) -> PlotStyle:
    """How the figures look on paper.

    Raises:
        SpecError: a value is invalid.
    """
    from platorep.figures.style import PlotStyle

    return PlotStyle(**dataclasses.asdict(experiment.style))


def draw_figure(experiment: Experiment, name: str, data: FigureData, stem: Path) -> list[Path]:
    """Draws one figure with the experiment's options and style, and writes its files.

    Raises:
        UnknownNameError: the figure or an option does not exist.
        StoreError: the tables lack the data that the figure shows.
    """
    from platorep.figures import draw, save

    style = plot_style(experiment)
    options = {key: value for key, value in experiment.figures.get(name, {}).items() if key != TARGET}
    return save(draw(function_of(experiment, name), data, style=style, **options), stem, style)


def draw_results(experiment: Experiment, names: Sequence[str], data: FigureData) -> list[Path]:
    """Draws the figures of a command from its results, beside those of `plot`, and logs their files.

    Raises:
        UnknownNameError, StoreError: as `draw_figure`.
    """
    folder, paths = experiment.root / "figures" / experiment.label, []
    for name in names:
        paths += draw_figure(experiment, name, data, folder / name)
    if paths:
        link_latest(folder, folder.with_name(f"{slug(experiment.name)}--latest"))
    for path in paths:
        log.info("%s", path)
    return paths


def function_of(experiment: Experiment, name: str) -> str:
    """The figure that an entry of the configuration names: its name, or the path of a function of the user's own."""
    return experiment.figures.get(name, {}).get(TARGET, name)
