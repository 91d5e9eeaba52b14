"""Reads result files of lm-evaluation-harness (all versions) and of the Open LLM Leaderboard."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platorep.core.errors import DataError
from platorep.core.specs import ModelSpec
from platorep.core.text import cause, visible
from platorep.data.tables import read_text


PREFERRED = ("acc_norm", "exact_match,strict-match", "exact_match", "acc", "em", "f1")
"""Metrics in order of preference for the score of a task; other metrics are separate measures."""

MAIN = "main"
"""The default branch of a repository."""

_OTHER_WEIGHTS = (
    "peft",
    "delta",
    "lora_local_path",
    "steer_path",
    "gguf_file",
    "subfolder",
    "autogptq",
    "gptqmodel",
    "quantization",
)
"""Arguments of the harness, besides those for 8 and 4 bits, that load weights other than those of the repository."""


@dataclass(frozen=True)
class Weights:
    """The weights of a model. Scores only apply to the same weights.

    Attributes:
        id: repository of the Hub, or another name of the model.
        revision: branch, tag or commit.
        commit: the loaded commit, if known.
        variant: modification of the weights, such as "4bit" or "peft=org/adapter"; empty for original weights.
    """

    id: str
    revision: str = MAIN
    commit: str = ""
    variant: str = ""

    def __str__(self) -> str:
        revision = "" if self.revision == MAIN else f" at revision {self.revision}"
        return f"{self.id}{revision}{f' ({self.variant})' if self.variant else ''}"

    def are_those_of(self, spec: ModelSpec) -> bool:
        """Whether a model of a suite has these weights: same id or name, revision and variant.

        Weights from an asset are not those of the repository `spec.id`; such a model is matched by its name.
        """
        theirs = weights_of(spec)
        named = self.id == spec.name or (self.id == spec.id and spec.asset is None)
        return (
            named
            and self.variant == theirs.variant
            and any(_same(theirs.revision, revision) for revision in (self.revision, self.commit))
        )


def weights_of(spec: ModelSpec) -> Weights:
    """The weights of a model of a suite."""
    variants: list[str] = [spec.quantize] if spec.quantize else []
    variants += [f"{spec.weights} weights"] if spec.weights != "pretrained" else []
    variants += [f"weight_noise={spec.weight_noise}"] if spec.weight_noise else []
    return Weights(spec.id, spec.revision or MAIN, variant=", ".join(variants))


def _same(a: str, b: str) -> bool:
    """Whether two revisions are equal; commits may be abbreviated."""
    short, long = sorted((a, b), key=len)
    return a == b or (len(short) >= 7 and re.fullmatch("[0-9a-f]+", long) is not None and long.startswith(short))


@dataclass(frozen=True)
class Figure:
    """One figure of one task."""

    measure: str
    value: float
    standard_error: float
    task: str


def read_harness(path: Path) -> tuple[Weights, list[Figure]]:
    """Reads the weights and all figures of a result file.

    The score of a task (`PREFERRED`) is the measure named after the task; other metrics are named "<task>_<metric>".

    Raises:
        DataError: the file does not exist, or does not state the model.
    """
    try:
        read = json.loads(read_text(path))
        results = {
            name: values for name, values in read["results"].items() if isinstance(values, dict) and name != "all"
        }
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise DataError(
            f"{visible(str(path))} is not a result file of lm-evaluation-harness ({type(error).__name__}: "
            f"{cause(error)})."
        ) from error
    weights = _weights(read)
    if weights is None:
        raise DataError(
            f"{visible(str(path))} does not name its model (model_name, or pretrained=... in config.model_args)."
        )
    return weights, [figure for key, values in results.items() for figure in _figures(key, values, read)]


def _figures(key: str, values: dict[str, Any], read: dict[str, Any]) -> Iterator[Figure]:
    task, shots = _task(visible(key), read)
    version = _mapping(read, "versions").get(key)
    figures = _values(values)
    main = visible(next((name for name in PREFERRED if name in figures), next(iter(figures), "")))
    for name, (value, error) in figures.items():
        name = visible(name)
        measure = task if name == main else re.sub(r"\W+", "_", f"{task}_{name}")
        words = [task, name]
        words += [f"{shots}-shot"] if shots is not None else []
        words += [f"version {version}"] if version is not None else []
        yield Figure(measure, value, error, ", ".join(words))


def _weights(read: dict[str, Any]) -> Weights | None:
    """The weights of the model in any version of the format; None if there is no name."""
    config, general = _mapping(read, "config"), _mapping(read, "config_general")
    arguments = config.get("model_args")
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    if not isinstance(arguments, dict):
        arguments = {}
    name = arguments.get("pretrained") or read.get("model_name") or general.get("model_name")
    if not isinstance(name, str):
        return None
    revision = arguments.get("revision") or config.get("model_revision") or MAIN
    commit = config.get("model_sha") or general.get("model_sha") or ""
    variants = [bits for bits in ("8bit", "4bit") if _is_set(arguments.get(f"load_in_{bits}"))]
    if (kind := arguments.get("bnb_4bit_quant_type", "fp4")) != "fp4" and variants == ["4bit"]:
        variants = [f"4bit {kind}"]  # rounds to other values than the default of the library
    variants += [f"{word}={arguments[word]}" for word in _OTHER_WEIGHTS if _is_set(arguments.get(word))]
    return Weights(name, str(revision), str(commit), ", ".join(variants))


def _is_set(value: Any) -> bool:
    return str(value).strip().lower() not in ("", "none", "false", "0", "null")


def _task(key: str, read: dict[str, Any]) -> tuple[str, Any]:
    """Task and number of shots; keys of the leaderboard have the form "harness|hellaswag|10"."""
    if key.count("|") >= 2:
        _, task, shots = key.split("|")[:3]
        return task, shots if shots.isdecimal() else None
    return key, _mapping(read, "n-shot").get(key, _mapping(read, "config").get("num_fewshot"))


def _values(values: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Value and standard error by metric, without the filter "none" of new files."""
    figures = {}
    for name, value in values.items():
        metric, _, kind = name.partition(",")
        number = math.nan if isinstance(value, (bool, str)) else to_number(value)
        if metric.endswith("_stderr") or metric == "alias" or not math.isfinite(number):
            continue
        error = f"{metric}_stderr,{kind}" if kind else f"{metric}_stderr"
        figures[metric if kind in ("", "none") else name] = (number, to_number(values.get(error)))
    return figures


def _mapping(read: dict[str, Any], name: str) -> dict[str, Any]:
    value = read.get(name)
    return value if isinstance(value, dict) else {}


def to_number(value: Any) -> float:
    """Converts a value to float; NaN if it is not a number ("N/A", "", null)."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
