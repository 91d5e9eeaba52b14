"""Rough estimates of how long the parts of a run take, from which the remaining time is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from platorep.core.remaining import Remaining
from platorep.core.specs import ModelSpec


if TYPE_CHECKING:
    from platorep.commands.experiment import Experiment

TOKENS = {"language": 30, "vision": 257, "sound": 250}
"""Assumed tokens of a sample: a caption; a picture of 224 pixels in patches of 14, with one class token; Whisper's
frames in five seconds."""

OPERATIONS_A_SECOND = 1e11
"""Operations per second of a processor. Only ratios between the parts matter: see `Remaining`."""

LOADING, PAIR, DRAWING = 2.0, 0.5, 2.0
"""Seconds to load a model, to score and test a pair of models under one metric, and to draw a figure."""


def remaining(experiment: Experiment) -> Remaining:
    """The remaining time of `platorep run`; `extract_models` adds what it finds to be missing from the store."""
    models = len(experiment.models)
    scored = PAIR * models * models / 4 * len(experiment.metrics)  # half of the models against the other half
    return Remaining(
        {
            "Aligning": {"": scored},
            "Testing": {"": scored},
            "Drawing": {"": DRAWING * len(experiment.figures)},
        }
    )


def extraction(models: Iterable[ModelSpec], n: int) -> dict[str, float]:
    """Seconds to extract each model: two operations per parameter and token. Unknown sizes count as 10 million."""
    return {
        model.name: LOADING
        + 2.0
        * n
        * TOKENS.get(model.modality, 0)
        * (model.parameters or _parameters(model) or 1e7)
        / OPERATIONS_A_SECOND
        for model in models
    }


def _parameters(model: ModelSpec) -> int | None:
    from platorep.models import source_of

    return None if model.is_imported else source_of(model).parameters(model)
