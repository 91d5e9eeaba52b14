"""`platorep report`: one HTML page of a run."""

from __future__ import annotations

from pathlib import Path

from platorep.commands.experiment import Experiment
from platorep.commands.extract import open_pairs
from platorep.core.progress import bar


def report(experiment: Experiment) -> Path:
    """Writes the page of a run from what is on disk.

    Returns:
        The HTML file.
    """
    from platorep.report import Run, write_page

    features, alignment, pairs = experiment.features, experiment.alignment, open_pairs(experiment)
    extracted = {model.name for model in features}
    figures = sorted((experiment.root / "figures" / experiment.name).glob("*.png"))
    run = Run(
        name=experiment.name,
        suite=experiment.suite,
        dataset=pairs.spec,
        samples=pairs.samples,
        picture=pairs.picture,
        features=features,
        metrics=experiment.metrics,
        alignment=alignment,
        selection=experiment.selection,
        competence=experiment.competence,
        figures={path.stem: path for path in figures},
        missing=[model.name for model in experiment.models if model.name not in extracted],
        words=experiment.words,
        configuration=experiment.configuration,
        clip=experiment.clamp.rule,
        quantile=experiment.clamp.quantile,
        memory=experiment.resources.memory,
    )
    with bar("Reading layers") as progress:
        return write_page(run, experiment.root / "report" / f"{experiment.name}.html", progress=progress)
