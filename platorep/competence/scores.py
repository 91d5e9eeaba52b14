"""Downstream scores from other sources: published values, lm-evaluation-harness results, and CSV files."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from platorep.competence.harness import PREFERRED, Figure, Weights, read_harness, to_number, weights_of
from platorep.core.errors import DataError, SpecError
from platorep.core.specs import ModelSpec
from platorep.core.text import visible
from platorep.data.tables import read_table
from platorep.results.tables import COMPETENCE_COLUMNS, CompetenceTable


log = logging.getLogger(__name__)

__all__ = ["PREFERRED", "PUBLISHED", "SOURCES", "merged", "published", "read_scores"]

PUBLISHED = Path(__file__).with_name("published.csv")
"""HellaSwag, GSM8K and other scores of the paper's language models by Hub id, with protocol and source."""

SOURCES = ("measured", "imported", "published")
"""Sources from the most to the least trusted."""


def published(models: Iterable[ModelSpec]) -> CompetenceTable:
    """Published scores of models: rows with source=published, and their protocol and origin.

    `released` is the month in the model's spec as a year with its fraction, at the middle of the month.

    Models are identified by their Hub id. The values apply to the unmodified weights of the main revision. Other
    revisions, quantised models, and random or noisy weights have no published scores.
    """
    known = pd.read_csv(PUBLISHED, dtype={"value": float}, keep_default_na=False)
    rows, others = [], []
    for spec in models:
        if spec.released:
            rows.append(_row(spec, Figure("released", _year(spec), math.nan, ""), "published", "the model's spec"))
        if not Weights(spec.id).are_those_of(spec):
            others += [spec.name] if spec.id in {*known.id} else []
            continue
        for row in known[known.id == spec.id].itertuples():
            figure = Figure(row.measure, row.value, math.nan, row.task)
            rows.append(_row(spec, figure, "published", row.provenance))
    if others:
        log.info("published values belong to the unmodified weights of main revisions; %s have none", ", ".join(others))
    return _table(rows)


def _year(spec: ModelSpec) -> float:
    """The month of a release as a year with its fraction.

    Raises:
        SpecError: not of the form YYYY-MM.
    """
    date = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", str(spec.released))
    if date is None:
        raise SpecError(f"model {spec.name}: released is {spec.released!r}; expected YYYY-MM, such as 2023-06.")
    return int(date[1]) + (int(date[2]) - 0.5) / 12


def read_scores(path: Path, models: Sequence[ModelSpec]) -> CompetenceTable:
    """Reads scores of the models of a suite from lm-evaluation-harness JSON, old or new, or CSV.

    A harness file is assigned to the models with the same weights: id, revision, quantisation and adapter must agree. A
    row of a CSV file (columns model, measure, value; optionally standard_error, task, provenance) is assigned to the
    model of that name, else to the models with the unmodified weights of that Hub id. Unassigned scores are logged.

    Args:
        path: a .json or .csv file.
        models: the models of the suite.

    Raises:
        DataError: the file has another format, contains no scores of the suite, or has a value that is not a number.
    """
    if not path.is_file():
        problem = "is not a regular file" if path.exists() else "does not exist"
        raise DataError(
            f"{path} {problem}; relative paths start at {Path.cwd()}. Set scores to harness JSON or CSV files."
        )
    if path.suffix.lower() == ".csv":
        scores: list[tuple[str | Weights, Figure, str]] = list(_from_csv(path))
    elif path.suffix.lower() == ".json":
        weights, figures = read_harness(path)
        scores = [(weights, figure, f"lm-evaluation-harness, {visible(path.name)}") for figure in figures]
    else:
        raise DataError(f"{path} is neither .json of lm-evaluation-harness nor .csv.")
    rows, left = [], {}
    for whose, figure, provenance in scores:
        fits = _owners(whose, models)
        rows += [_row(spec, figure, "imported", provenance) for spec in fits]
        if not fits:
            left[str(whose)] = whose
    if not rows:
        strangers = visible("; ".join(_stranger(whose, models) for whose in left.values()))
        raise DataError(
            f"{path} has scores of {strangers or 'no model'}, and no model of the suite has these weights, by name "
            f"or id. The suite has {', '.join(spec.name for spec in models)}."
        )
    if left:
        names = "; ".join(_stranger(left[name], models) for name in sorted(left))
        log.warning("%s: left out, as no model of the suite has these weights: %s", visible(str(path)), visible(names))
    return _table(rows)


def _owners(whose: Weights | str, models: Sequence[ModelSpec]) -> list[ModelSpec]:
    """The models that a score belongs to, given its weights, or the name in a CSV file."""
    if isinstance(whose, str):
        named = [spec for spec in models if spec.name == whose]
        return named or _owners(Weights(whose), models)
    return [spec for spec in models if whose.are_those_of(spec)]


def _stranger(whose: Weights | str, models: Sequence[ModelSpec]) -> str:
    """Describes the weights of an unassigned score, and models with the same id."""
    name = whose if isinstance(whose, str) else whose.id
    kin = ", ".join(f"{spec.name} is {weights_of(spec)}" for spec in models if name in (spec.name, spec.id))
    return f"{whose} (but {kin})" if kin else str(whose)


def merged(tables: Iterable[CompetenceTable]) -> CompetenceTable:
    """Merges tables; for each model and measure, only rows of the most trusted source (`SOURCES`) are kept."""
    frame = CompetenceTable.concatenate(tables).frame
    rank = frame.source.map({name: place for place, name in enumerate(SOURCES)}).astype("int64")
    best = rank.groupby([frame.model, frame.measure]).transform("min")
    return CompetenceTable.from_frame(frame[rank == best])


def _from_csv(path: Path) -> Iterator[tuple[str, Figure, str]]:
    """Model, figure and provenance of each row."""
    table = read_table(path)
    if missing := {"model", "measure", "value"} - {*table.names}:
        raise DataError(
            f"{path} lacks the columns {', '.join(sorted(missing))}; it has {visible(', '.join(table.names))}."
        )
    columns = {name: table.cells(name) for name in table.names}
    seen = set()
    for i in range(table.rows):
        row = {name: cells[i] for name, cells in columns.items()}
        where = visible(f"{path}, line {table.lines[i]}: the value of {row['measure']} of {row['model']}")
        value, error = to_number(row["value"]), to_number(row.get("standard_error"))
        if not math.isfinite(value):
            raise DataError(f"{where} is {row['value']!r}; expected a number.")
        if math.isnan(error) and row.get("standard_error", "").strip().lower() not in ("", "n/a", "na", "nan"):
            raise DataError(f"{where} has the standard error {row['standard_error']!r}; expected a number, or nothing.")
        name = (row["model"], row["measure"], row.get("task", ""))
        if name in seen:
            raise DataError(f"{where} is there twice. Remove one, or tell them apart in a column task.")
        seen.add(name)
        figure = Figure(row["measure"], value, error, row.get("task", ""))
        yield row["model"], figure, row.get("provenance", "") or visible(path.name)


def _row(spec: ModelSpec, figure: Figure, source: str, provenance: str) -> dict[str, Any]:
    return {
        "model": spec.name, "key": spec.key(), "modality": spec.modality, "family": spec.family,
        "measure": figure.measure, "value": figure.value, "standard_error": figure.standard_error, "task": figure.task,
        "source": source, "provenance": provenance,
    }  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> CompetenceTable:
    return CompetenceTable.from_frame(pd.DataFrame(rows, columns=list(COMPETENCE_COLUMNS)))
