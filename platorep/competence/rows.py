"""Rows of the competence table, and the parts of it that are stored on disk."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from platorep.core.digest import digest
from platorep.core.errors import StoreError
from platorep.core.files import slug
from platorep.core.specs import ModelSpec
from platorep.results.tables import COMPETENCE_COLUMNS, CompetenceTable


log = logging.getLogger(__name__)


def row(
    model: ModelSpec, measure: str, value: float, *, error: float = math.nan, task: str = "", provenance: str = ""
) -> dict[str, Any]:
    """One measured value of one model."""
    return {
        "model": model.name,
        "key": model.key(),
        "modality": model.modality,
        "family": model.family,
        "measure": measure,
        "value": value,
        "standard_error": error,
        "task": task,
        "source": "measured",
        "provenance": provenance,
    }


def table(rows: Iterable[dict[str, Any]]) -> CompetenceTable:
    """Builds a table from rows; empty without rows."""
    return CompetenceTable.from_frame(pd.DataFrame(list(rows), columns=list(COMPETENCE_COLUMNS)))


def kept(
    folder: Path,
    name: str,
    determines: dict[str, Any],
    make: Callable[[], CompetenceTable],
    model: ModelSpec,
    *,
    overwrite: bool = False,
) -> CompetenceTable:
    """Reads a part of the table from disk, or computes and writes it. A damaged part is named and computed again.

    The current name and family of the model replace the stored ones, because keys do not cover them.

    Args:
        folder: the folder of the parts.
        name: a readable name, for the file name.
        determines: everything that the part depends on, as JSON values.
        make: computes the part if it is not stored.
        model: the model of the part.
        overwrite: whether to compute a stored part again.
    """
    path = folder / f"{slug(name)}--{digest(determines)}.parquet"
    if path.is_file() and not overwrite:
        try:
            part = CompetenceTable.load([path])
            return CompetenceTable.from_frame(part.frame.assign(model=model.name, family=model.family))
        except StoreError as error:
            log.warning("%s: measured again, because a stored result cannot be read: %s", model.name, error)
    part = make()
    part.write(path)
    return part
