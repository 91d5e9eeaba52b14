"""Tables of models against brains, for figures: made once for a configuration and kept."""

from __future__ import annotations

import logging
from pathlib import Path

from platorep.commands.experiment import Experiment
from platorep.core.digest import digest
from platorep.core.files import slug
from platorep.core.progress import bar
from platorep.core.version import __version__
from platorep.results.brains import BrainTable


log = logging.getLogger(__name__)


def brain_table(experiment: Experiment) -> BrainTable:
    """Similarity of the suite's models to its brains, and the brains' reliability; read where it is on disk.

    Raises:
        DataError: no brain among the stored models.
        FeatureError: a metric that needs features.
    """
    from platorep.brains.similarity import Settings, similarity

    path = _path(experiment)
    if path.is_file() and not experiment.overwrite:
        return BrainTable.load([path])
    settings = Settings(clamp=experiment.clamp, seed=experiment.statistics.seed, resources=experiment.resources)
    with bar("Brains") as report:
        table = similarity(
            experiment.features,
            experiment.metrics,
            categories=experiment.samples.categories,
            settings=settings,
            progress=report,
        )
    table.write(path)
    log.info("%s", path)
    return table


def _path(experiment: Experiment) -> Path:
    determines = {
        "version": __version__,
        "models": [[features.key, features.content] for features in experiment.features],
        "metrics": [metric.id for metric in experiment.metrics],
        "clip": experiment.clamp.id,
        "seed": experiment.statistics.seed,
    }
    name = f"{slug(experiment.name)}--{digest(determines)}.parquet"
    return experiment.root / "brains" / experiment.dataset_folder.name / name
