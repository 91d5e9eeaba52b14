"""`platorep translate`: maps between the chosen layers of every pair of models, as a table and a figure."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from platorep.commands.drawing import draw_results
from platorep.commands.experiment import Experiment
from platorep.commands.stored import NotRunError, code_of, stored_table, table_path
from platorep.commands.tables import translation_table
from platorep.core.features import Features, Subset
from platorep.core.progress import bar, console_for_tables
from platorep.core.rows import rows_of
from platorep.results.translation import TranslationTable


if TYPE_CHECKING:
    import numpy as np

    from platorep.maps.layers import Pair
    from platorep.maps.translate import Design

log = logging.getLogger(__name__)

VERSION = 1
"""Version of the table's content; part of its name."""


def translate(experiment: Experiment) -> list[Path]:
    """Fits and tests maps of all pairs of models in both directions, and draws the figure. No model is run.

    The layers are those that the protocol chooses by the first metric, so `align` must have run before.

    Returns:
        The table and the figure's files.

    Raises:
        StoreError: there are no scores of `align`.
    """
    from platorep.figures.data import FigureData

    path = translation_path(experiment)
    if not path.is_file() or experiment.overwrite:
        _table(experiment).write(path)
    table = stored_translation(experiment)
    console_for_tables().print(translation_table(table))
    log.info("%s", path)
    return [path, *draw_results(experiment, ["translation"], FigureData(translation=table))]


def _table(experiment: Experiment) -> TranslationTable:
    from platorep.maps.concepts import joint_spaces, text_to_concept
    from platorep.maps.translate import translate as fit_and_test

    models = _models(experiment)
    pairs = _pairs(experiment, models)
    design, metric = _design(experiment, models), experiment.metrics[0]
    controls = {pair.control for pair in pairs}
    for control, example in (("random", "weights: random"), ("trivial", "source: pixels or tfidf")):
        if control not in controls:
            log.warning("no model of the suite is a control (%s): the table has no such rows.", example)
    with bar("Translating") as report:
        table = fit_and_test(
            pairs,
            design,
            metric,
            clamp=experiment.clamp,
            resources=experiment.resources,
            select=experiment.protocol.select,
            progress=report,
        )
    if spaces := joint_spaces(models):
        concepts = text_to_concept(spaces, models, design, metric)
        table = TranslationTable.concatenate([table, concepts])
    return table


def translation_path(experiment: Experiment) -> Path:
    """The table's file. Its name has a hash of everything that determines it, including the chosen layers."""
    code = code_of(
        experiment,
        version=VERSION,
        layers=_chosen(experiment),
        metric=experiment.metrics[0].id,
        select=experiment.protocol.select,
        **dataclasses.asdict(experiment.translation),
    )
    return table_path(experiment, "translation", code)


def stored_translation(experiment: Experiment) -> TranslationTable:
    """The table on disk that fits the configuration.

    Raises:
        StoreError: there is no such table.
    """
    return stored_table(TranslationTable, translation_path(experiment), "scores of maps", "translate")


def _chosen(experiment: Experiment) -> list[tuple[str, int, str, int]]:
    """The layers that the protocol chooses by the first metric, for every pair of models.

    Raises:
        NotRunError: a pair was not scored.
    """
    rows = experiment.chosen[experiment.chosen.metric == experiment.metrics[0].id]
    columns = (rows.x_model, rows.x_layer, rows.y_model, rows.y_layer)
    layers = {(str(x), str(y)): (int(i), int(j)) for x, i, y, j in zip(*columns, strict=True)}
    wanted = [(x.name, y.name) for x, y in experiment.pairs]
    if missing := [pair for pair in wanted if pair not in layers]:
        x, y = missing[0]
        raise NotRunError(
            f"{len(missing)} of {len(wanted)} pairs of models have no scores, such as {x} x {y}: their layers are not "
            "known. Run `platorep align` with the same settings first."
        )
    return [(x, layers[x, y][0], y, layers[x, y][1]) for x, y in wanted]


def _models(experiment: Experiment) -> list[Features]:
    """The stored features, or a random subset of `translation.samples` samples if there are more."""
    from platorep.stats.permutations import nested_order

    features, most = experiment.features, experiment.translation.samples
    if features[0].n <= most:
        return list(features)
    places = nested_order(features[0].n, experiment.statistics.seed)[:most]
    places.sort()
    log.info("%d of %d samples are used (translation.samples).", most, features[0].n)
    return [Subset(model, places, f"random {most}") for model in features]


def _pairs(experiment: Experiment, models: Sequence[Features]) -> list[Pair]:
    from platorep.maps.layers import LayerOf, Pair

    known = {model.name: model for model in models}
    return [Pair(LayerOf(known[x], i), LayerOf(known[y], j)) for x, i, y, j in _chosen(experiment)]


def _design(experiment: Experiment, models: Sequence[Features]) -> Design:
    """Splits that keep duplicates on one side, and the top level of the categories as classes."""
    from platorep.maps.splits import duplicates
    from platorep.maps.translate import Design

    samples = experiment.samples
    rows = rows_of(experiment.features[0].spec, samples)
    captions = [tuple(samples.captions[row.sample][caption] for caption in row.captions) for row in rows]
    classes = None
    if samples.categories is not None:
        classes = [samples.categories[row.sample].partition("/")[0] for row in rows]
    first = models[0]
    places = range(len(rows)) if not isinstance(first, Subset) else [int(place) for place in first.places]
    views: list[Sequence[Hashable]] = [[rows[place].sample for place in places], [captions[place] for place in places]]
    views += [seen for model in models if (seen := seen_as(model)) is not None]
    return Design(
        duplicates(*views),
        None if classes is None else [classes[place] for place in places],
        experiment.translation.draws,
        experiment.statistics.seed,
    )


def seen_as(model: Features) -> list[bytes] | None:
    """A hash of each sample's features in all layers, by which equal pictures are recognised.

    Returns:
        One hash per sample. None for language models, whose captions are known, and for a model to which more than half
        of the samples look like another sample, because it does not tell pictures apart.
    """
    if model.spec.model.modality == "language":
        return None
    codes = [hashlib.sha256() for _ in range(model.n)]
    for index in range(len(model.layers)):
        values: np.ndarray = model.load(index).numpy()
        for code, row in zip(codes, values, strict=True):
            code.update(row.tobytes())
    seen = [code.digest() for code in codes]
    return seen if 2 * len(set(seen)) > len(seen) else None
