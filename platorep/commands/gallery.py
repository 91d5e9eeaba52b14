"""`platorep gallery`: the same queries in growing galleries, from stored features to a table and its figure."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from platorep.commands.drawing import draw_results
from platorep.commands.experiment import Experiment
from platorep.commands.stored import stored_table, table_path
from platorep.commands.tables import gallery_table
from platorep.core.digest import text_digest
from platorep.core.errors import SpecError
from platorep.core.progress import bar, console_for_tables
from platorep.results.tables import GalleryTable


if TYPE_CHECKING:
    from platorep.align.gallery_parts import Design

log = logging.getLogger(__name__)


def gallery(experiment: Experiment) -> Path | None:
    """Searches this shard's share of the queries. The last shard to finish writes the table and draws the figure.

    A table with a single gallery has no figure.

    Returns:
        The table's path, or None while other shares are missing.
    """
    from platorep.align.gallery import score_galleries
    from platorep.figures.data import FigureData

    design, path = gallery_design(experiment), gallery_path(experiment)
    with bar("Searching") as report:
        table = score_galleries(
            experiment.pairs,
            design,
            out_dir=path.parent / "parts",
            clamp=experiment.clamp,
            overwrite=experiment.overwrite,
            resources=experiment.resources,
            progress=report,
        )
    if table is None:
        i, m = experiment.resources.shard
        log.info("shard %d/%d is done; the table is written by the last of the %d.", i, m, m)
        return None
    table.write(path)
    console_for_tables().print(gallery_table(table))
    log.info("%s", path)
    if len(design.sizes) > 1:
        draw_results(experiment, ["gallery"], FigureData(galleries=table))
    return path


def gallery_design(experiment: Experiment) -> Design:
    """Queries, galleries and neighbours, as the engine takes them.

    Raises:
        SpecError: a metric is not mutual_knn, or there are several similarities or rules for ties.
    """
    from platorep.align.gallery_parts import Design
    from platorep.metrics.base import NeighbourhoodMetric

    options = experiment.gallery
    metrics = [m for m in experiment.metrics if m.counts_overlap and isinstance(m, NeighbourhoodMetric)]
    if others := [metric.id for metric in experiment.metrics if metric not in metrics]:
        raise SpecError(f"a gallery is scored by mutual_knn; got {', '.join(others)}. Set metric=mutual_knn.")
    similarities = sorted({metric.similarity for metric in metrics})
    if len(similarities) != 1:
        names = " and ".join(similarities) or "no metric"
        raise SpecError(f"a gallery is searched by one similarity; got {names}.")
    rules = {metric.ties for metric in metrics}
    if len(rules) != 1:
        raise SpecError("a gallery is searched with one rule for ties; got ties=first and ties=random.")
    return Design(
        sizes=tuple(options.sizes),
        queries=options.queries,
        ks=tuple(metric.k for metric in metrics),
        share=options.share,
        seed=options.seed,
        similarity=similarities[0],
        ties=rules.pop(),
        search=options.search,
    )


def gallery_path(experiment: Experiment) -> Path:
    """The table's file. Its name has a hash of the names of its parts, which contain hashes of their inputs."""
    from platorep.align.gallery_parts import part_path

    design, clip = gallery_design(experiment), experiment.clamp.id
    names = [part_path(Path(), a, b, design, clip, (0, 1)).name for a, b in experiment.pairs]
    return table_path(experiment, "gallery", text_digest(chr(10).join(names)))


def stored_galleries(experiment: Experiment) -> GalleryTable:
    """The table on disk that fits the configuration.

    Raises:
        StoreError: there is no such table.
    """
    return stored_table(GalleryTable, gallery_path(experiment), "scores in growing galleries", "gallery")
