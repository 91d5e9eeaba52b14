"""Facts of models as columns of a table: how a model was degraded, its base model, its training step and trajectory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from platorep.core.specs import ModelSpec
from platorep.results.tables import AlignmentTable


@dataclass(frozen=True)
class Dose:
    """How a model was degraded: its base model, the dial, and the value of the dial."""

    base: str
    dial: str
    value: float


def dose(spec: ModelSpec, models: Iterable[ModelSpec] = ()) -> Dose | None:
    """The degradation that a spec states, or None for an intact model.

    The base is the model of `models` that differs from the spec only in the dials; if there is none, it is the
    architecture, `spec.id`. Of a model with both degradations, the weight noise counts.
    """
    if not spec.weight_noise and spec.input_size is None:
        return None
    intact = _undegraded(spec)
    base = next((model.name for model in models if model.identity() == intact), spec.id)
    if spec.weight_noise:
        return Dose(base, "weight_noise", spec.weight_noise)
    return Dose(base, "input_size", float(spec.input_size or 0))


def _undegraded(spec: ModelSpec) -> dict[str, Any]:
    return dataclasses.replace(spec, weight_noise=0.0, input_size=None).identity()


def with_facts(table: AlignmentTable, models: Iterable[ModelSpec], **variant: float) -> AlignmentTable:
    """The table with its columns of facts filled from the models' specs, matched by name.

    Args:
        table: scores of these models; rows of other models are not changed.
        models: models of both sides.
        variant: facts of the dataset's variant: words, shuffle_share, shuffle_seed.
    """
    specs = {spec.name: spec for spec in models}
    rows = {name: facts(spec, specs.values()) for name, spec in specs.items()}
    frame = table.frame.assign(**variant)
    for side in "xy":
        known = frame[f"{side}_model"].isin(list(rows))
        names = frame.loc[known, f"{side}_model"]
        for column in ("weights", "base", "dial", "dose", "step", "trajectory") if rows else ():
            frame.loc[known, f"{side}_{column}"] = [rows[name][column] for name in names]
    return AlignmentTable.from_frame(frame)


def facts(spec: ModelSpec, models: Iterable[ModelSpec] = ()) -> dict[str, Any]:
    """The facts of one model: weights, base, dial, dose, step, trajectory."""
    degraded = dose(spec, models)
    return {
        "weights": spec.weights,
        "base": "" if degraded is None else degraded.base,
        "dial": "" if degraded is None else degraded.dial,
        "dose": math.nan if degraded is None else degraded.value,
        "step": math.nan if spec.step is None else float(spec.step),
        "trajectory": spec.trajectory,
    }
