"""`platorep neighbours`: the stored samples that each model places nearest to a text or a picture."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from platorep.commands.experiment import Experiment
from platorep.commands.options import Neighbours
from platorep.commands.tables import plain_table
from platorep.core.digest import digest
from platorep.core.errors import DataError, PlatorepError, SpecError
from platorep.core.files import slug
from platorep.core.progress import bar, console_for_tables
from platorep.core.rows import row_samples, rows_of
from platorep.core.samples import Samples
from platorep.core.stored import FeatureSet


if TYPE_CHECKING:
    from rich.table import Table

    from platorep.extract.queries import Query
    from platorep.report.neighbours import Column

log = logging.getLogger(__name__)

LONGEST = 48
"""Largest number of characters of a caption on the terminal."""


def neighbours(experiment: Experiment, options: Neighbours) -> Path | None:
    """Prints, side by side, the samples nearest to the query in every model that can read it.

    Returns:
        The HTML page, or None if no page was requested.

    Raises:
        SpecError: there is no query, or `k` or the layer is invalid.
        DataError: the picture cannot be read, or no stored model can embed the query.
    """
    query = query_of(options.query, square=experiment.dataset.source == "stamps")
    models = _readers(experiment, query)
    samples = row_samples(models[0].spec, experiment.samples)
    if not 1 <= options.k <= len(samples.ids):
        raise SpecError(f"neighbours.k is {options.k}; expected 1 to {len(samples.ids)}, the number of samples.")
    layers = {model.name: _layer(experiment, model, options.layer) for model in models}
    columns: list[Column] = []
    with bar("Embedding the query") as report:
        for number, model in enumerate(models):
            report(number, len(models), model.name)
            try:
                columns.append(_column(experiment, model, query, layers[model.name], options.k))
            except PlatorepError as error:
                log.warning("%s is left out: %s", model.name, error)
    if not columns:
        raise DataError("no model could embed the query; the lines above say why.")
    console_for_tables().print(nearest_table(columns, samples))
    return _page(experiment, query, columns, samples, options) if options.html else None


def query_of(text: str, *, square: bool = False) -> Query:
    """The query as a text or a picture. A text that ends in the extension of a picture file is the path of a picture.

    Args:
        text: the query.
        square: whether a picture is padded with white to a square, as the pictures of stamps are.

    Raises:
        SpecError: the query is empty.
        DataError: the picture cannot be read.
    """
    from platorep.data.pictures import SUFFIXES, read_picture
    from platorep.extract.queries import Query

    if not text.strip():
        raise SpecError('there is no query: run platorep neighbours "a violin", or give the path of a picture.')
    path = Path(text).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        return Query(text)
    try:
        return Query(path.name, read_picture(path, square=square))
    except DataError as error:
        raise DataError(f"{text}: {error}.") from None


def nearest_table(columns: Sequence[Column], samples: Samples) -> Table:
    """One row per rank, one column per model: caption and similarity, with a mark on samples that several list."""
    table = plain_table("", *(f"{column.model}\n{column.layer}" for column in columns))
    counts = Counter(row for column in columns for row in column.nearby.rows)
    for rank in range(len(columns[0].nearby.rows)):
        cells = []
        for column in columns:
            row, similarity = column.nearby.rows[rank], column.nearby.similarities[rank]
            caption = samples.captions[row][0]
            short = caption if len(caption) <= LONGEST else f"{caption[: LONGEST - 1]}…"
            cells.append(f"{'◆ ' if counts[row] > 1 else ''}{short} ({similarity:.3f})")
        table.add_row(str(rank + 1), *cells)
    return table


def _readers(experiment: Experiment, query: Query) -> list[FeatureSet]:
    """The stored models of the query's modality that can be run.

    Raises:
        DataError: there are no such models.
    """
    models = [model for model in experiment.features if model.spec.model.modality == query.modality]
    able = [model for model in models if model.spec.model.source != "imported"]
    if not able:
        kind = "text" if query.modality == "language" else "picture"
        raise DataError(
            f"no stored model of {experiment.suite or 'the suite'} on {experiment.dataset.name} reads a {kind}: "
            f"extract one of modality {query.modality}, or choose another suite."
        )
    if imported := [model.name for model in models if model not in able]:
        log.warning("imported, cannot embed the query: %s", ", ".join(imported))
    return able


def _layer(experiment: Experiment, model: FeatureSet, word: str) -> int:
    """The layer of a model that a setting selects; -1 is the concatenation of all layers, which a protocol may choose.

    Raises:
        SpecError: the setting selects no layer, or several.
        StoreError: the chosen layers are requested, but there are no scores.
    """
    from platorep.models.base import parse_layers

    if word != "chosen":
        try:
            layers = parse_layers(word, len(model.layers))
        except SpecError as error:
            raise SpecError(str(error).replace("layers is", "neighbours.layer is", 1)) from None
        if len(layers) != 1:
            raise SpecError(f"neighbours.layer is {word!r}, which means {len(layers)} layers; expected one.")
        return layers[0]
    rows = experiment.chosen
    sides = [(rows[rows[f"{side}_model"] == model.name], f"{side}_layer") for side in "xy"]
    best = max((part for part in sides if len(part[0])), key=lambda part: part[0].score.max(), default=None)
    if best is None:
        raise SpecError(
            f"neighbours.layer=chosen: no score chooses a layer of {model.name}. Set neighbours.layer=last."
        )
    return int(best[0].loc[best[0].score.idxmax(), best[1]])


def _column(experiment: Experiment, model: FeatureSet, query: Query, layer: int, k: int) -> Column:
    from platorep.align.queries import nearest_samples
    from platorep.extract.queries import query_features
    from platorep.metrics.base import NeighbourhoodMetric
    from platorep.report.neighbours import Column

    metrics = [metric for metric in experiment.metrics if isinstance(metric, NeighbourhoodMetric)]
    nearby = nearest_samples(
        model,
        query_features(model.spec, experiment.samples, query, experiment.resources),
        layer,
        k=k,
        similarity=metrics[0].similarity if metrics else "cosine",
        clamp=experiment.clamp,
        memory=experiment.resources.memory,
    )
    return Column(model.name, "all layers" if layer < 0 else f"layer {layer} ({model.layers[layer].name})", nearby)


def _page(
    experiment: Experiment, query: Query, columns: Sequence[Column], samples: Samples, options: Neighbours
) -> Path:
    from platorep.commands.extract import open_pairs
    from platorep.report.neighbours import NearestPage, write_neighbours

    spec = experiment.features[0].spec
    places, pairs = [row.sample for row in rows_of(spec, experiment.samples)], open_pairs(experiment)
    determines = [query.text, options.k, options.layer, [[column.model, column.layer] for column in columns]]
    path = experiment.root / "neighbours" / f"{slug(experiment.name)}--{slug(query.text)}--{digest(determines)}.html"
    page = NearestPage(query, experiment.dataset.name, samples, lambda row: pairs.picture(places[row]), columns)
    write_neighbours(page, path)
    log.info("%s", path)
    return path
