"""`platorep align`: scores of all layer pairs, and tests of the layers that the protocol chooses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep.commands.experiment import Experiment
from platorep.commands.failures import Failure, raise_failures
from platorep.commands.tables import best_pairs_table
from platorep.core.errors import DataError, SpecError
from platorep.core.features import Features
from platorep.core.progress import bar, console_for_tables
from platorep.results.tables import AlignmentTable, SelectionTable


if TYPE_CHECKING:
    from platorep.metrics.base import Metric

log = logging.getLogger(__name__)


def align(experiment: Experiment) -> list[Path]:
    """Scores the stored models, tests the chosen layers, and prints the best pairs and the paths of the tables.

    Returns:
        The table of chosen layers; nothing while parts of other shards are missing.

    Raises:
        PlatorepError: a metric is undefined for some layers; everything else is scored.
    """
    alignment = align_models(experiment)
    if not alignment.complete:
        raise_failures(alignment.failures)
        return []
    console_for_tables().print(best_pairs_table(experiment.chosen))
    log.info("%s", experiment.alignment_folder)
    log.info("%s", experiment.selection_path)
    raise_failures(alignment.failures)
    return [experiment.selection_path]


@dataclass(frozen=True)
class Alignment:
    """Result of an alignment.

    Attributes:
        complete: whether the table of chosen layers is written; False while parts of other shards are missing.
        failures: layers for which a metric is undefined; everything else is scored.
    """

    complete: bool
    failures: list[Failure]


def align_models(experiment: Experiment) -> Alignment:
    """Scores this shard's pairs of models. The last shard to finish tests the chosen layers."""
    from platorep.align.remarks import left_out, remarks

    frame = score_models(experiment).frame
    for remark in remarks(frame):
        log.warning("%s", remark)
    failures = [
        Failure(entry.model, str(entry).removeprefix(f"{entry.model}: ")) for entry in left_out(frame) if entry.is_fault
    ]
    if experiment.resources.shard != (0, 1) and not _complete(experiment):
        i, m = experiment.resources.shard
        log.info("shard %d/%d is done; the table of chosen layers is written by the last of the %d.", i, m, m)
        return Alignment(False, failures)
    select_layers(experiment)
    return Alignment(True, failures)


def score_models(experiment: Experiment) -> AlignmentTable:
    """Scores of all layer pairs of the stored models; existing parts are read from disk."""
    return score_pairs(experiment, experiment.pairs, experiment.metrics)


def score_pairs(
    experiment: Experiment, pairs: Sequence[tuple[Features, Features]], metrics: Sequence[Metric]
) -> AlignmentTable:
    """Scores of pairs of models, stored with those of the experiment's dataset."""
    from platorep.align import align as run_alignment

    with bar("Aligning") as report:
        return run_alignment(
            pairs,
            metrics,
            out_dir=experiment.alignment_folder,
            clamp=experiment.clamp,
            overwrite=experiment.overwrite,
            resources=experiment.resources,
            progress=report,
        )


def select_layers(experiment: Experiment) -> None:
    """Chooses layers by the protocol, computes nulls and intervals for all pairs of models, and writes the table."""
    from platorep.align import Null, significance

    path, statistics = experiment.selection_path, experiment.statistics
    if path.is_file() and not experiment.overwrite:
        return
    null = Null(
        permutations=statistics.permutations,
        seed=statistics.seed,
        strata=strata(experiment),
        strata_name=statistics.strata or "",
    )
    with bar("Testing") as report:
        table: SelectionTable = significance(
            experiment.pairs,
            experiment.metrics,
            select=experiment.protocol.select,
            null=null,
            clamp=experiment.clamp,
            resources=experiment.resources,
            progress=report,
        )
    table.write(path)


def _complete(experiment: Experiment) -> bool:
    """Whether the parts of all pairs of models are on disk."""
    from platorep.align.parts import part_path

    return all(
        part_path(experiment.alignment_folder, a, b, metric, experiment.clamp.id, True).is_file()
        for a, b in experiment.pairs
        for metric in experiment.metrics
    )


def strata(experiment: Experiment) -> Sequence[Any] | None:
    """The stratum of each sample for relabelling, or None: its category, or its bin of caption lengths in words.

    Raises:
        SpecError: `statistics.strata` is unknown.
        DataError: the dataset has no categories.
    """
    kind = experiment.statistics.strata
    if kind is None:
        return None
    if kind == "category":
        if experiment.samples.categories is None:
            raise DataError("statistics.strata=category needs a dataset with categories; this one has none.")
        return experiment.samples.categories
    if kind == "caption_length":
        from platorep.stats.permutations import quantile_bins

        lengths = [len(captions[0].split()) for captions in experiment.samples.captions]
        return quantile_bins(lengths).tolist()
    raise SpecError(f"statistics.strata is {kind!r}; expected category, caption_length or null.")
