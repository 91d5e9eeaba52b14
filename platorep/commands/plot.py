"""`platorep plot`: figures from the tables on disk."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from platorep.commands.experiment import Experiment
from platorep.core.errors import PlatorepError, SpecError, StoreError
from platorep.core.progress import bar, console_for_tables


log = logging.getLogger(__name__)


def plot(experiment: Experiment) -> None:
    """Draws the chosen figures, then prints the models' matrix and the figures' paths."""
    draw_figures(experiment)


def draw_figures(experiment: Experiment) -> list[Path]:
    """Draws the chosen figures; one that these tables do not hold (no ladder in the suite, say) is named, and left out.

    Raises:
        StoreError: there are no scores, or none of the figures can be drawn.
    """
    from platorep.figures import draw, save
    from platorep.figures.text import matrix_table

    alignment, competence = experiment.alignment, experiment.competence
    if competence is None:
        log.warning("no competence table at %s: run `platorep competence` for it.", experiment.competence_path)
    folder = experiment.root / "figures" / experiment.name
    paths: list[Path] = []
    with bar("Drawing") as report:
        for number, (name, options) in enumerate(experiment.figures.items()):
            report(number, len(experiment.figures), name)
            try:
                figure = draw(name, alignment, competence, **figure_data(name, experiment), **options)
            except PlatorepError as error:
                log.warning("%s: not drawn: %s", name, error)
            else:
                paths += save(figure, folder / name)
    if not paths:
        names = ", ".join(experiment.figures)
        raise StoreError(f"none of the figures {names} can be drawn from these tables; the lines above say why.")
    console_for_tables().print(matrix_table(alignment))
    for path in paths:
        log.info("%s", path)
    return paths


def figure_data(name: str, experiment: Experiment) -> dict[str, Any]:
    """What a figure shows beside the tables of scores and competence, as its keyword arguments."""
    if name == "significance" and experiment.selection is not None:
        frame = experiment.selection.frame
        chosen = frame[frame.metric == experiment.alignment.frame.metric.iloc[0]]
        pairs = chosen[["x_model", "y_model"]]
        data = {"intervals": pairs.assign(low=chosen.low, high=chosen.high).dropna()}
        if chosen.null_low.notna().all():
            data["bands"] = pairs.assign(low=chosen.null_low, high=chosen.null_high)
        return data
    if name == "hubness":
        return {"layers": hubness_of_layers(experiment)}
    if name == "gallery":
        from platorep.commands.gallery import stored_galleries

        return {"scores": stored_galleries(experiment)}
    return {}


def hubness_of_layers(experiment: Experiment) -> pd.DataFrame:
    """In-degree figures of every stored layer under the first configured metric that has neighbours.

    Raises:
        SpecError: no configured metric has neighbours.
    """
    import torch

    from platorep.align import neighbour_graphs
    from platorep.stats.hubness import hubness

    metric = next((metric for metric in experiment.metrics if hasattr(metric, "k")), None)
    if metric is None:
        raise SpecError("figure=hubness needs a metric on neighbours, such as metric=mutual_knn.")
    frames = []
    with bar("Counting hubs") as report:
        for number, model in enumerate(experiment.features):
            report(number, len(experiment.features), model.name)
            graphs = neighbour_graphs(
                model,
                metric.k,
                similarity=metric.similarity,
                concatenation=False,
                memory=experiment.resources.memory,
            )
            depth = [layer / max(1, len(graphs) - 1) for layer in range(len(graphs))]
            frames.append(hubness(torch.stack(graphs)).assign(model=model.name, depth=depth))
    return pd.concat(frames, ignore_index=True)
