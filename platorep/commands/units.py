"""`platorep units`: matches units of models, from stored features to tables and figures."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from platorep.commands.align import strata
from platorep.commands.comparisons import compared
from platorep.commands.drawing import draw_results
from platorep.commands.experiment import Experiment
from platorep.commands.stored import code_of, stored_table, table_path
from platorep.commands.tables import plain_table
from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.progress import bar, console_for_tables
from platorep.core.stored import FeatureSet


if TYPE_CHECKING:
    from rich.table import Table

    from platorep.results.units import ShareTable, UnitTable
    from platorep.units.pairs import Matching

log = logging.getLogger(__name__)

FIGURES = ("units", "unit_matrix")
"""Figures of the shares."""

PARTIALS = ("picture_mean", "caption_length")
"""What can be removed from every unit."""


def units(experiment: Experiment) -> list[Path]:
    """Compares the remaining pairs of models, writes the tables, prints the shares and draws the figures.

    With `shard=i/m`, it compares only the i-th of m shares of the pairs; the last shard to finish writes the tables.

    Returns:
        The tables and the figures' files; nothing while other shares are missing.
    """
    from platorep.figures.data import FigureData
    from platorep.units.parts import compare_all, joined, units_path

    matching, pairs, path = matching_of(experiment), unit_pairs(experiment), shares_path(experiment)
    with bar("Matching") as report:
        compare_all(
            pairs,
            matching,
            _parts(experiment),
            parameters={model.name: model.scalars.get("parameters") for model in experiment.features},
            overwrite=experiment.overwrite,
            resources=experiment.resources,
            progress=report,
        )
    tables = joined(pairs, matching, _parts(experiment))
    if tables is None:
        share, shares = experiment.resources.shard
        log.info("shard %d/%d is done; the tables are written by the last of the %d.", share, shares, shares)
        return []
    tables[0].write(path)
    tables[1].write(units_path(path))
    for table in (shares_table(tables[0]), zoo_table(tables[0])):
        if table.row_count:
            console_for_tables().print(table)
    paths = [path, units_path(path)]
    for written in paths:
        log.info("%s", written)
    return paths + draw_results(experiment, FIGURES, FigureData(units=tables[0]))


def unit_pairs(experiment: Experiment) -> list[tuple[FeatureSet, FeatureSet]]:
    """The pairs of models that `units.pairs` selects, and each of these models with itself.

    Raises:
        SpecError: `units.pairs` is unknown.
        DataError: there are no two models to compare.
    """
    try:
        pairs = compared(experiment.features, experiment.units.pairs)
    except (SpecError, DataError) as error:
        raise type(error)(str(error).replace("protocol.pairs", "units.pairs")) from None
    if not pairs:
        names = ", ".join(model.name for model in experiment.features)
        raise DataError(
            f"units.pairs={experiment.units.pairs} finds no two models to compare among {names}. Extract more models, "
            "or set units.pairs=all."
        )
    paired = {model.key for pair in pairs for model in pair}
    return [*pairs, *((model, model) for model in experiment.features if model.key in paired)]


def matching_of(experiment: Experiment) -> Matching:
    """The settings in the form that the engine takes.

    Raises:
        SpecError, UnknownNameError: a setting is invalid.
        DataError: the dataset does not have the strata or covariates.
    """
    from platorep.models.base import parse_layers
    from platorep.units.pairs import Matching

    options, statistics = experiment.units, experiment.statistics
    try:
        layers = {f.key: parse_layers(options.layers, len(f.layers)) for f in experiment.features}
    except SpecError as error:
        raise SpecError(f"units.{error}") from None
    return Matching(
        rule=options.rule,
        permutations=options.permutations,
        rotations=options.rotations,
        layers=layers,
        seed=statistics.seed,
        strata=strata(experiment),
        strata_name=statistics.strata or "",
        partial=options.partial or "",
        covariates=covariates(experiment),
    )


def covariates(experiment: Experiment) -> np.ndarray | None:
    """The covariates of `units.partial`, shape (n, q): mean red, green and blue of each picture, or caption lengths.

    Raises:
        UnknownNameError: `units.partial` is unknown.
        DataError: the rows of the features are not the samples.
    """
    kind = experiment.units.partial
    if kind is None:
        return None
    if kind not in PARTIALS:
        raise unknown_name("value of units.partial", kind, PARTIALS)
    samples = experiment.samples
    if experiment.features[0].n != len(samples.ids):
        raise DataError(
            f"units.partial={kind} needs one row per sample; the features have {experiment.features[0].n} rows for "
            f"{len(samples.ids)} samples (combine=multiply_items)."
        )
    if kind == "caption_length":
        return np.array([[len(captions[0]), len(captions[0].split())] for captions in samples.captions], dtype=float)
    from platorep.commands.extract import open_pairs

    pairs, means = open_pairs(experiment), []
    with bar("Reading pictures") as report:
        for number in range(len(samples.ids)):
            report(number, len(samples.ids), "")
            means.append(np.asarray(pairs.picture(number).convert("RGB"), dtype=float).mean(axis=(0, 1)))
    return np.array(means)


def shares_path(experiment: Experiment) -> Path:
    """The file of the table of shares. Its name has a hash of the models and of all settings that determine it."""
    from platorep.units.parts import VERSION

    options, statistics = dataclasses.asdict(experiment.units), experiment.statistics
    code = code_of(experiment, version=VERSION, units=options, strata=statistics.strata)
    return table_path(experiment, "units", code)


def stored_units(experiment: Experiment) -> tuple[ShareTable, UnitTable]:
    """The tables on disk that fit the configuration.

    Raises:
        StoreError: there are no such tables.
    """
    from platorep.results.units import ShareTable, UnitTable
    from platorep.units.parts import units_path

    path = shares_path(experiment)
    return (
        stored_table(ShareTable, path, "matched units", "units"),
        stored_table(UnitTable, units_path(path), "matched units", "units"),
    )


def shares_table(shares: ShareTable) -> Table:
    """One row per direction: matches beside their nulls, and counts and shares by the other measures."""
    by_measure = _by_measure(shares)
    table = plain_table("units of", "in", "units", "matched", "chance", "permuted", "rotated", *list(by_measure)[1:])
    for column in table.columns[2:]:
        column.justify = "right"
    for pair, row in by_measure["matched"].iterrows():
        if pair[1] != "zoo":
            cells = [f"{rows.loc[pair, 'count']:,} ({rows.loc[pair, 'score']:.3f})" for rows in by_measure.values()]
            by_chance = (_number(value) for value in (row.chance, row.null_mean, row.rotated))
            table.add_row(*pair, f"{row.units:,}", cells[0], *by_chance, *cells[1:])
    return table


def zoo_table(shares: ShareTable) -> Table:
    """Units that count in every other pretrained model, with the number expected if the models were independent."""
    by_measure = _by_measure(shares)
    table = plain_table("units of", "units", *(f"{measure} in all" for measure in by_measure))
    for column in table.columns[1:]:
        column.justify = "right"
    for pair, row in by_measure["matched"].iterrows():
        if pair[1] == "zoo":
            counted = [rows.loc[pair] for rows in by_measure.values()]
            cells = [f"{share['count']:,} (expected {share.expected * share.units:.1f})" for share in counted]
            table.add_row(pair[0], f"{row.units:,}", *cells)
    return table


def _by_measure(shares: ShareTable) -> dict[str, pd.DataFrame]:
    """By measure, the rows about all layers, indexed by the names of both models."""
    from platorep.results.units import MEASURES

    there = set(shares.frame.measure)
    return {name: shares.whole(name).set_index(["x_model", "y_model"]) for name in MEASURES if name in there}


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def _parts(experiment: Experiment) -> Path:
    return experiment.root / "units" / experiment.dataset_folder.name / "parts"
