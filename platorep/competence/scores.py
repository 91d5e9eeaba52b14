"""Downstream scores that others measured: published values, lm-evaluation-harness results, and CSV files."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from platorep.core.errors import DataError
from platorep.core.specs import ModelSpec
from platorep.results.tables import COMPETENCE_COLUMNS, CompetenceTable


log = logging.getLogger(__name__)

PUBLISHED = Path(__file__).with_name("published.csv")
"""HellaSwag, GSM8K and more of the paper's language models, by Hub id, each with its protocol and source."""

PREFERRED = ("acc_norm", "exact_match,strict-match", "exact_match", "acc", "em", "f1")
"""Which of a task's figures is the task's score, first match first; the others are measures of their own."""

SOURCES = ("measured", "imported", "published")
"""From the most to the least trusted."""


def published(models: Iterable[ModelSpec]) -> CompetenceTable:
    """What is published of these models: rows marked source=published, each with its protocol and where it is from.

    Models are known by their Hub id. Variants with random or noisy weights have no published value.
    """
    known = pd.read_csv(PUBLISHED, dtype={"value": float}, keep_default_na=False)
    rows = []
    for spec in models:
        if _unchanged(spec):
            for one in known[known.id == spec.id].itertuples():
                rows.append(_row(spec, one.measure, one.value, math.nan, one.task, "published", one.provenance))
    return _table(rows)


def read_scores(path: Path, models: Sequence[ModelSpec]) -> CompetenceTable:
    """Scores of the suite's models in a file: lm-evaluation-harness JSON, old or new, or CSV.

    A harness file gives one row a task and metric. The task's score (`PREFERRED`) is the measure named after the task, any
    other metric is "<task>_<metric>". CSV has the columns model, measure, value and may have standard_error, task,
    provenance. A model goes by its name in the suite or by its Hub id; models that the suite lacks are named and left out.

    Args:
        path: a .json or .csv file.
        models: the suite's.

    Raises:
        DataError: a file that is neither, that names no model of the suite, or a value that is no number.
    """
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; relative paths start at {Path.cwd()}. Set scores to harness JSON or CSV files."
        )
    if path.suffix == ".csv":
        found = list(_from_csv(path))
    elif path.suffix == ".json":
        found = list(_from_harness(path))
    else:
        raise DataError(f"{path} is neither .json of lm-evaluation-harness nor .csv.")
    rows, strangers = [], set()
    for name, measure, value, error, task, provenance in found:
        fits = [spec for spec in models if name == spec.name] or [
            spec for spec in models if name == spec.id and _unchanged(spec)
        ]
        strangers |= set() if fits else {name}
        rows += [_row(spec, measure, value, error, task, "imported", provenance) for spec in fits]
    if not rows:
        raise DataError(
            f"{path} has scores of {', '.join(sorted(strangers)) or 'no model'}, and none of these is a model of the suite by name or id. "
            f"The suite has {', '.join(spec.name for spec in models)}."
        )
    if strangers:
        log.warning("%s: left out, as they are not of the suite: %s", path, ", ".join(sorted(strangers)))
    return _table(rows)


def merged(tables: Iterable[CompetenceTable]) -> CompetenceTable:
    """All rows of some tables, but of a (model, measure) only those of its most trusted source: measured, imported, published."""
    frame = CompetenceTable.concatenate(tables).frame
    rank = frame.source.map({name: place for place, name in enumerate(SOURCES)}).astype("int64")
    best = rank.groupby([frame.model, frame.measure]).transform("min")
    return CompetenceTable.from_frame(frame[rank == best])


Found = tuple[str, str, float, float, str, str]
"""Model, measure, value, standard error, task, provenance."""


def _from_csv(path: Path) -> Iterator[Found]:
    try:
        frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {str(error)[:200]}") from error
    if missing := {"model", "measure", "value"} - set(frame.columns):
        raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}; it has {', '.join(frame.columns)}.")
    for line, row in enumerate(frame.to_dict("records"), 2):
        value = _number(row["value"])
        if math.isnan(value):
            raise DataError(
                f"{path}, line {line}: the value of {row['measure']} of {row['model']} is {row['value']!r}; expected a number."
            )
        error = _number(row.get("standard_error"))
        yield row["model"], row["measure"], value, error, row.get("task", ""), row.get("provenance", "") or path.name


def _from_harness(path: Path) -> Iterator[Found]:
    """Rows of a result file of lm-evaluation-harness: 0.4 and later, 0.3 and earlier, or the Open LLM Leaderboard's."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        results = {
            name: values for name, values in read["results"].items() if isinstance(values, dict) and name != "all"
        }
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DataError(
            f"{path} is no result file of lm-evaluation-harness ({type(error).__name__}: {str(error)[:120]})."
        ) from error
    model = _harness_model(read)
    if model is None:
        raise DataError(
            f"{path} does not say which model it is of (model_name, or pretrained=... in config.model_args)."
        )
    for key, values in results.items():
        task, shots = _harness_task(key, read)
        version = read.get("versions", {}).get(key)
        figures = _harness_figures(values)
        main = next((name for name in PREFERRED if name in figures), next(iter(figures), None))
        for name, (value, error) in figures.items():
            measure = task if name == main else re.sub(r"\W+", "_", f"{task}_{name}")
            words = (
                [task, name]
                + ([f"{shots}-shot"] if shots is not None else [])
                + ([f"version {version}"] if version is not None else [])
            )
            yield model, measure, value, error, ", ".join(words), f"lm-evaluation-harness, {path.name}"


def _harness_model(read: dict[str, Any]) -> str | None:
    """The model's Hub id, where the versions of the format have kept it."""
    config, general = read.get("config") or {}, read.get("config_general") or {}
    arguments = config.get("model_args") or ""
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    return arguments.get("pretrained") or read.get("model_name") or general.get("model_name")


def _harness_task(key: str, read: dict[str, Any]) -> tuple[str, int | None]:
    """Task and number of shots; the leaderboard writes "harness|hellaswag|10"."""
    if key.count("|") >= 2:
        _, task, shots = key.split("|")[:3]
        return task, int(shots) if shots.isdigit() else None
    shots = (read.get("n-shot") or {}).get(key, (read.get("config") or {}).get("num_fewshot"))
    return key, shots


def _harness_figures(values: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Value and standard error by metric; the filter "none" of new files is left out of the name."""
    made = {}
    for name, value in values.items():
        metric, _, kind = name.partition(",")
        number = math.nan if isinstance(value, (bool, str)) else _number(value)
        if metric.endswith("_stderr") or metric == "alias" or math.isnan(number):
            continue
        own = f"{metric}_stderr,{kind}" if kind else f"{metric}_stderr"
        made[metric if kind in ("", "none") else name] = (number, _number(values.get(own)))
    return made


def _number(value: Any) -> float:
    """The value as a float, NaN where it is none ("N/A", "", null)."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _unchanged(spec: ModelSpec) -> bool:
    return spec.weights == "pretrained" and not spec.weight_noise


def _row(
    spec: ModelSpec, measure: str, value: float, error: float, task: str, source: str, provenance: str
) -> dict[str, Any]:
    return {
        "model": spec.name, "key": spec.key(), "modality": spec.modality, "family": spec.family, "measure": measure, "value": value,
        "standard_error": error, "task": task, "source": source, "provenance": provenance,
    }  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> CompetenceTable:
    return CompetenceTable.from_frame(pd.DataFrame(rows, columns=list(COMPETENCE_COLUMNS)))
