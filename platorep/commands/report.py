"""`platorep report`: one HTML page of a run."""

from __future__ import annotations

from pathlib import Path

from platorep.commands.experiment import Experiment
from platorep.commands.extract import open_pairs
from platorep.core.files import link_latest, slug
from platorep.core.progress import bar


def report(experiment: Experiment) -> Path:
    """Writes the page of a run from what is on disk.

    Returns:
        The HTML file.
    """
    from platorep.report import Run, write_page

    features, alignment, pairs = experiment.features, experiment.alignment, open_pairs(experiment)
    extracted = {model.name for model in features}
    figures = sorted((experiment.root / "figures" / experiment.label).glob("*.png"))
    path = experiment.root / "report" / f"{experiment.label}.html"
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
        select=experiment.protocol.select,
        clamp=experiment.clamp,
        memory=experiment.resources.memory,
    )
    with bar("Reading layers") as progress:
        write_page(run, path, progress=progress)
    link_latest(path, path.with_name(f"{slug(experiment.name)}--latest.html"))
    return path
