"""The stage `gallery`: the same queries in growing galleries, from stored features to a table and its figure."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platorep import pipeline, stages
from platorep.core.errors import SpecError, StoreError
from platorep.core.files import slug
from platorep.core.results import GalleryTable
from platorep.pipeline import Settings
from platorep.progress import bar, console_for_tables


if TYPE_CHECKING:
    from platorep.align.gallery_parts import Design

log = logging.getLogger(__name__)


def search_galleries(cfg: dict[str, Any], settings: Settings) -> Path | None:
    """Does this shard's share of the queries; whoever finds the shares of all others writes the table and draws the figure.

    A table of one gallery has no figure.

    Returns:
        The table's path, or None while shares of others are missing.
    """
    from platorep.align.gallery import score_galleries
    from platorep.figures import draw, save

    design, pairs = gallery_design(cfg), pipeline.model_pairs(cfg, settings)
    out, path = gallery_folder(cfg, settings), table_path(cfg, settings)
    with bar("Searching") as report:
        table = score_galleries(
            pairs,
            design,
            out_dir=out / "parts",
            shard=settings.shard,
            overwrite=cfg["overwrite"],
            progress=report,
            **stages.how_to_score(cfg, settings),
        )
    if table is None:
        log.info("shard %d/%d is done; the table is written by the last of the %d.", *settings.shard, settings.shard[1])
        return None
    table.write(path)
    console_for_tables().print(_shown(table))
    paths = [path]
    if len(design.sizes) > 1:
        paths += save(
            draw("gallery", None, scores=table), settings.root / "figures" / pipeline.run_name(cfg) / "gallery"
        )
    for one in paths:
        log.info("%s", one)
    return path


def gallery_design(cfg: dict[str, Any]) -> Design:
    """Queries, galleries and neighbours of the configuration, as the engine takes them.

    Raises:
        SpecError: a metric other than mutual_knn, or several similarities.
    """
    from platorep.align.gallery_parts import Design

    metrics, words = pipeline.built_metrics(cfg), cfg["gallery"]
    if other := [metric.id for metric in metrics if not metric.counts_overlap]:
        raise SpecError(f"a gallery is scored by mutual_knn; got {', '.join(other)}. Say metric=mutual_knn.")
    similarities = {metric.similarity for metric in metrics}
    if len(similarities) != 1:
        raise SpecError(
            f"a gallery is searched by one similarity; got {' and '.join(sorted(similarities)) or 'no metric'}."
        )
    rules = {metric.ties for metric in metrics}
    if len(rules) != 1:
        raise SpecError("a gallery is searched with one rule for ties; got ties=first and ties=random.")
    return Design(
        sizes=tuple(words["sizes"]),
        queries=words["queries"],
        ks=tuple(metric.k for metric in metrics),
        share=words["share"],
        seed=words["seed"],
        similarity=similarities.pop(),
        ties=rules.pop(),
        search=words["search"],
    )


def gallery_folder(cfg: dict[str, Any], settings: Settings) -> Path:
    """Where the galleries' scores on the configured dataset are."""
    return settings.root / "gallery" / pipeline.dataset_folder(cfg, settings)


def table_path(cfg: dict[str, Any], settings: Settings) -> Path:
    """The table's file: its name holds a hash of its parts' names, which hold hashes of all that determines them."""
    from platorep.align.gallery_parts import part_path
    from platorep.metrics.preprocess import clip_id

    design, clip = gallery_design(cfg), clip_id(cfg["protocol"]["clip"], cfg["protocol"]["quantile"])
    names = [part_path(Path(), a, b, design, clip, (0, 1)).name for a, b in pipeline.model_pairs(cfg, settings)]
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    return gallery_folder(cfg, settings) / f"{slug(pipeline.run_name(cfg))}--{digest}.parquet"


def stored_galleries(cfg: dict[str, Any], settings: Settings) -> GalleryTable:
    """The table on disk that fits the configuration.

    Raises:
        StoreError: there is none.
    """
    path = table_path(cfg, settings)
    if not path.is_file():
        raise StoreError(f"no scores in growing galleries at {path}. Run `platorep gallery` with the same words first.")
    return GalleryTable.load([path])


SHOWN = 40
"""Rows of the table that go to the terminal; all are in its file."""


def _shown(table: GalleryTable) -> Any:
    from rich.table import Table

    best, shown = table.best(), Table(box=None, pad_edge=False, header_style="bold")
    for column in ("pair", "gallery", "k", "score", "95 % over queries", "chance", "corrected"):
        shown.add_column(column, justify="left" if column == "pair" else "right")
    for row in best.head(SHOWN).itertuples():
        values = f"{row.score:.4f}", f"{row.low:.4f} to {row.high:.4f}", f"{row.chance:.4f}", f"{row.corrected:.4f}"
        shown.add_row(f"{row.x_model} × {row.y_model}", f"{row.n:,}", str(row.k), *values)
    if len(best) > SHOWN:
        shown.add_row(f"{len(best) - SHOWN} more in the table")
    return shown
