"""`platorep plot`: figures from the tables on disk."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from platorep.commands.brains import brain_table, brains_path
from platorep.commands.drawing import draw_figure, function_of
from platorep.commands.experiment import Experiment
from platorep.commands.gallery import stored_galleries
from platorep.commands.translate import stored_translation
from platorep.commands.units import stored_units
from platorep.core.errors import PlatorepError, SpecError, StoreError
from platorep.core.files import link_latest, slug
from platorep.core.progress import bar, console_for_tables


if TYPE_CHECKING:
    from platorep.figures.data import FigureData

log = logging.getLogger(__name__)


def plot(experiment: Experiment) -> list[Path]:
    """Draws the chosen figures, then prints the models' matrix and the figures' paths.

    Returns:
        The files, and the table of brains if a figure shows one.
    """
    from platorep.figures import needs

    paths = draw_figures(experiment)
    against_brains = any("brains" in needs(function_of(experiment, name)) for name in experiment.figures)
    return [*paths, brains_path(experiment)] if against_brains else paths


def draw_figures(experiment: Experiment) -> list[Path]:
    """Draws the chosen figures. A figure that cannot be drawn from these tables is skipped with a warning.

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
    for metric in chosen.metric.unique():
        console_for_tables().print(matrix_table(chosen, metric=metric))
    for path in paths:
        log.info("%s", path)
    return paths


def figure_data(experiment: Experiment, *names: str) -> FigureData:
    """The tables that some figures need.

    Raises:
        UnknownNameError: there is no such figure.
        StoreError: a table is missing.
    """
    from platorep.figures import needs
    from platorep.figures.data import FigureData

    needed = {need for name in names for need in needs(function_of(experiment, name))}
    tables: dict[str, Any] = {"competence": experiment.competence, "select": experiment.protocol.select}
    if "alignment" in needed:
        tables |= {"alignment": experiment.alignment, "selection": experiment.selection}
    if "galleries" in needed:
        tables["galleries"] = stored_galleries(experiment)
    if "units" in needed:
        tables["units"] = stored_units(experiment)[0]
    if "translation" in needed:
        tables["translation"] = stored_translation(experiment)
    if "brains" in needed:
        tables["brains"] = brain_table(experiment)
    if "hubness" in needed:
        tables["hubness"] = hubness_of_layers(experiment)
    return FigureData(**tables)


def hubness_of_layers(experiment: Experiment) -> pd.DataFrame:
    """In-degree statistics of every stored layer under the first configured metric that has neighbours.

    Raises:
        SpecError: no configured metric has neighbours.
    """
    import torch

    from platorep.align import neighbour_graphs
    from platorep.metrics.base import NeighbourhoodMetric
    from platorep.stats.hubness import hubness
    from platorep.stats.selection import relative_depths

    metric = next((metric for metric in experiment.metrics if isinstance(metric, NeighbourhoodMetric)), None)
    if metric is None:
        raise SpecError("figure=hubness needs a metric on neighbours, such as metric=mutual_knn.")
    frames = []
    with bar("Counting hubs") as report:
        for number, model in enumerate(experiment.features):
            report(number, len(experiment.features), model.name)
            graphs = neighbour_graphs(
                model,
                metric.neighbourhood,
                similarity=metric.similarity,
                ties=metric.ties,
                clamp=experiment.clamp,
                concatenation=False,
                resources=experiment.resources,
            )
            depths = relative_depths(len(graphs))
            frames.append(hubness(torch.stack(graphs)).assign(model=model.name, depth=depths))
    return pd.concat(frames, ignore_index=True)
