"""`platorep run`: the whole experiment."""

from __future__ import annotations

from pathlib import Path

from platorep.commands.align import align_models
from platorep.commands.competence import measure_competence
from platorep.commands.expectations import remaining
from platorep.commands.experiment import Experiment
from platorep.commands.extract import extract_models
from platorep.commands.failures import raise_failures
from platorep.commands.plot import draw_figures
from platorep.core.progress import whole_run


def run(experiment: Experiment) -> list[Path]:
    """Extracts, measures competence, aligns and plots. Failures are listed at the end.

    Returns:
        The table of chosen layers and the figures; nothing while parts of other shards are missing.

    Raises:
        PlatorepError: models or tasks failed; the others are done.
        UnknownNameError: a metric does not exist.
    """
    with whole_run(remaining(experiment)):  # builds the metrics, so an unknown one ends the run here
        extraction = extract_models(experiment)
        experiment = extraction.experiment
        _, unmeasured = measure_competence(experiment)
        alignment = align_models(experiment)
        paths = [experiment.selection_path, *draw_figures(experiment)] if alignment.complete else []
    raise_failures([*extraction.failures, *unmeasured, *alignment.failures])
    return paths
