"""Tables of models against brains, for figures: computed once per configuration and kept on disk."""

from __future__ import annotations

import logging
from pathlib import Path

from platorep.commands.experiment import Experiment
from platorep.commands.stored import code_of, stored_table, table_path
from platorep.core.progress import bar
from platorep.core.version import __version__
from platorep.results.brains import BrainTable


log = logging.getLogger(__name__)


def brain_table(experiment: Experiment) -> BrainTable:
    """Similarity of the suite's models to its brains, and the brains' reliability; read from disk if present.

    Raises:
        DataError: none of the stored models is a brain.
        FeatureError: a metric needs features.
    """
    from platorep.brains.similarity import Settings, similarity

    path = brains_path(experiment)
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


def brains_path(experiment: Experiment) -> Path:
    """The table's file: its name has a hash of the features' content and of all settings that determine it."""
    metrics = [metric.id for metric in experiment.metrics]
    return table_path(experiment, "brains", code_of(experiment, version=__version__, metrics=metrics))


def stored_brains(experiment: Experiment) -> BrainTable:
    """The table on disk that fits the configuration.

    Raises:
        StoreError: there is no such table.
    """
    return stored_table(BrainTable, brains_path(experiment), "comparisons with brains", "reproduce brains")
