"""Parts on disk: two parquet files per pair of models, whose names have a hash of everything that determines them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from platorep.align.layers import check_same_samples
from platorep.core.digest import digest
from platorep.core.errors import StoreError
from platorep.core.features import Features
from platorep.core.files import slug
from platorep.core.resources import DEFAULT, Resources
from platorep.results.units import ShareTable, UnitTable, zoo
from platorep.units.pairs import Matching, compare
from platorep.units.tables import share_table, unit_table


log = logging.getLogger(__name__)

VERSION = 1
"""Incremented when the meaning of a number changes; included in the name of every part."""

Pair = tuple[Features, Features]


def part_path(folder: Path, x: Features, y: Features, matching: Matching) -> Path:
    """Path of the table of shares of a pair of models; the table of its units is beside it (`units_path`)."""
    body = [VERSION, x.key, y.key, x.digest, matching.identity(x, y)]
    return folder / f"{slug(x.name)}--{slug(y.name)}--{digest(body)}.parquet"


def units_path(part: Path) -> Path:
    """Path of the table of units that belongs to a table of shares."""
    return part.with_name(part.name.removesuffix(".parquet") + ".units.parquet")


def compare_all(
    pairs: Sequence[Pair],
    matching: Matching,
    folder: Path,
    *,
    parameters: Mapping[str, float | None],
    overwrite: bool = False,
    resources: Resources = DEFAULT,
    progress: Callable[[int, int, str], object] | None = None,
) -> None:
    """Compares every pair of models whose part is not in the folder.

    Args:
        pairs: pairs of models on the same samples; a model paired with itself is the ceiling.
        matching: rule, null, layers.
        folder: folder of the parts.
        parameters: number of parameters by name of the model.
        overwrite: whether existing parts are computed again.
        resources: memory and device of `compare`, and the share (i, m) of the pairs.
        progress: called with (tiles done, tiles to do, names) within each pair.

    Raises:
        DataError: the models have different samples.
        FeatureError, SpecError: see `compare`.
    """
    check_same_samples([model for pair in pairs for model in pair])
    first, step = resources.shard
    for x, y in pairs[first::step]:
        path = part_path(folder, x, y, matching)
        if not overwrite and _read(path, x, y) is not None:
            continue
        both = compare(x, y, matching, resources=resources, progress=progress)
        directions = both if x.key != y.key else both[:1]
        shares = ShareTable.concatenate([share_table(direction, matching, parameters) for direction in directions])
        units = UnitTable.concatenate([unit_table(direction, matching) for direction in directions])
        facts = {"made_from": [x.content, y.content]}
        units.write(units_path(path), facts)
        shares.write(path, facts)
        log.info("%s × %s: %s", x.name, y.name, path)


def joined(pairs: Sequence[Pair], matching: Matching, folder: Path) -> tuple[ShareTable, UnitTable] | None:
    """The tables of all pairs from their parts, with the rows of the zoo; None if a part is missing.

    A model compared with itself has shares but no rows of units. At least one pair must have two different models.
    """
    shares, units = [], []
    for x, y in pairs:
        tables = _read(part_path(folder, x, y, matching), x, y)
        if tables is None:
            return None
        shares.append(tables[0])
        if x.key != y.key:
            units.append(tables[1])
    share_rows, unit_rows = ShareTable.concatenate(shares), UnitTable.concatenate(units)
    return ShareTable.concatenate([share_rows, zoo(share_rows, unit_rows)]), unit_rows


def _read(path: Path, x: Features, y: Features) -> tuple[ShareTable, UnitTable] | None:
    """The tables of a part, or None if they must be computed, because they are absent, damaged or of other features."""
    if not path.is_file() or not units_path(path).is_file():
        return None
    try:
        (shares, facts), (units, other) = ShareTable.read(path), UnitTable.read(units_path(path))
    except StoreError as error:
        log.warning("%s It is computed again.", error.fault)
        return None
    if any(stated.get("made_from") != [x.content, y.content] for stated in (facts, other)):
        log.warning("%s does not belong to the current features. It is computed again.", path)
        return None
    return shares, units
