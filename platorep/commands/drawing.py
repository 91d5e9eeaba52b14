"""Figures of an experiment: their data, their style, and what of them cannot be drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from platorep.commands.experiment import Experiment
from platorep.core.errors import SpecError
from platorep.core.progress import bar


if TYPE_CHECKING:
    from platorep.figures.data import FigureData
    from platorep.figures.style import PlotStyle


def figure_data(experiment: Experiment, *names: str) -> FigureData:
    """The tables that some figures need.

    Raises:
        UnknownNameError: no such figure.
        StoreError: tables that are not there.
    """
    from platorep.figures import needs
    from platorep.figures.data import FigureData

    needed = {need for name in names for need in needs(name)}
    tables: dict[str, Any] = {"competence": experiment.competence, "select": experiment.protocol.select}
    if "alignment" in needed:
        tables |= {"alignment": experiment.alignment, "selection": experiment.selection}
    if "galleries" in needed:
        from platorep.commands.gallery import stored_galleries

        tables["galleries"] = stored_galleries(experiment)
    if "hubness" in needed:
        tables["hubness"] = hubness_of_layers(experiment)
    return FigureData(**tables)


def plot_style(experiment: Experiment) -> PlotStyle:
    """How the figures look on paper.

    Raises:
        SpecError: a value that cannot be used.
    """
    from platorep.figures.style import PlotStyle

    return PlotStyle(**dataclasses.asdict(experiment.style))


def draw_figure(experiment: Experiment, name: str, data: FigureData, stem: Path) -> list[Path]:
    """Draws one figure with the experiment's options and style, and writes its files.

    Raises:
        UnknownNameError: a figure or an option that does not exist.
        StoreError: the tables lack what the figure shows.
    """
    from platorep.figures import draw, save

    style = plot_style(experiment)
    return save(draw(name, data, style=style, **experiment.figures.get(name, {})), stem, style)


def hubness_of_layers(experiment: Experiment) -> pd.DataFrame:
    """In-degree figures of every stored layer under the first configured metric that has neighbours.

    Raises:
        SpecError: no configured metric has neighbours.
    """
    import torch

    from platorep.align import neighbour_graphs
    from platorep.results.protocols import depth_of
    from platorep.stats.hubness import hubness

    metric = next((metric for metric in experiment.metrics if metric.neighbourhood is not None), None)
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
                concatenation=False,
                memory=experiment.resources.memory,
            )
            depth = [depth_of(layer, len(graphs)) for layer in range(len(graphs))]
            frames.append(hubness(torch.stack(graphs)).assign(model=model.name, depth=depth))
    return pd.concat(frames, ignore_index=True)
