"""`platorep simulate`: experiments on synthetic worlds with a known answer."""

from __future__ import annotations

import logging
from pathlib import Path

from platorep.commands.experiment import Experiment
from platorep.core.errors import unknown_name
from platorep.core.progress import bar


log = logging.getLogger(__name__)


def simulate(experiment: Experiment) -> list[Path]:
    """Runs the chosen experiments of the theory; tables and figures go to one folder per experiment under theory/.

    Raises:
        UnknownNameError: an experiment does not exist, or the suite lacks a text model for the colours.
    """
    from platorep.theory import EXPERIMENTS, run

    for name in experiment.simulations:  # checked before the first one runs for minutes
        if name not in EXPERIMENTS:
            raise unknown_name("experiment", name, EXPERIMENTS)
    suite = {spec.name: spec for spec in experiment.models}
    paths: list[Path] = []
    with bar("Simulating") as report:
        for number, (name, settings) in enumerate(experiment.simulations.items()):
            report(number, len(experiment.simulations), name)
            options = dict(settings)
            if "models" in options:  # names of the suite's models stand for their specs
                for model in options["models"]:
                    if model not in suite:
                        raise unknown_name("model", model, suite)
                options["models"] = [suite[model] for model in options["models"]]
            paths += run(name, experiment.root / "theory", world=experiment.world or None, **options)
    for path in paths:
        log.info("%s", path)
    return paths
