"""`platorep plot`: figures from the tables on disk."""

from __future__ import annotations

import logging
from pathlib import Path

from platorep.commands.drawing import draw_figure, figure_data
from platorep.commands.experiment import Experiment
from platorep.core.errors import PlatorepError, StoreError
from platorep.core.files import link_latest, slug
from platorep.core.progress import bar, console_for_tables


log = logging.getLogger(__name__)


def plot(experiment: Experiment) -> list[Path]:
    """Draws the chosen figures, then prints the models' matrix and the figures' paths.

    Returns:
        The files.
    """
    return draw_figures(experiment)


def draw_figures(experiment: Experiment) -> list[Path]:
    """Draws the chosen figures; one that these tables do not hold (no ladder in the suite, say) is named, and left out.

    Raises:
        StoreError: there are no scores, or none of the figures can be drawn.
    """
    from platorep.figures.text import matrix_table

    chosen = experiment.chosen
    if experiment.competence is None:
        log.warning("no competence table at %s: run `platorep competence` for it.", experiment.competence_path)
    folder = experiment.root / "figures" / experiment.label
    paths: list[Path] = []
    with bar("Drawing") as report:
        for number, name in enumerate(experiment.figures):
            report(number, len(experiment.figures), name)
            try:
                paths += draw_figure(experiment, name, figure_data(experiment, name), folder / name)
            except PlatorepError as error:
                log.warning("%s: not drawn: %s", name, error)
    if not paths:
        names = ", ".join(experiment.figures)
        raise StoreError(f"none of the figures {names} can be drawn from these tables; the lines above say why.")
    link_latest(folder, folder.with_name(f"{slug(experiment.name)}--latest"))
    console_for_tables().print(matrix_table(chosen))
    for path in paths:
        log.info("%s", path)
    return paths
