"""Which models a run compares with which."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from platorep.core.errors import DataError, SpecError
from platorep.core.stored import FeatureSet


def compared(features: Sequence[FeatureSet], pairs: str) -> list[tuple[FeatureSet, FeatureSet]]:
    """The pairs of models that `protocol.pairs` selects: each once, and no model with itself.

    Raises:
        SpecError: an unknown word.
        DataError: "cross" is selected, but there are not two modalities.
    """
    by_modality: dict[str, list[FeatureSet]] = {}
    for model in features:
        by_modality.setdefault(model.spec.model.modality, []).append(model)
    if pairs == "all":
        return _distinct(features)
    if pairs == "within":
        return [pair for group in by_modality.values() for pair in _distinct(group)]
    if pairs != "cross":
        raise SpecError(f"protocol.pairs is {pairs!r}; expected cross, within or all.")
    if len(by_modality) < 2:
        raise DataError(
            f"protocol.pairs=cross compares modalities, but all models are of {', '.join(by_modality)}. "
            "Add models of another modality, or set protocol.pairs=within."
        )
    # the released code's order: language down, vision across
    order = sorted(by_modality, key=lambda modality: (modality != "language", modality))
    sides = itertools.combinations(order, 2)
    return [pair for a, b in sides for pair in itertools.product(by_modality[a], by_modality[b])]


def _distinct(models: Sequence[FeatureSet]) -> list[tuple[FeatureSet, FeatureSet]]:
    return [(a, b) for a, b in itertools.combinations(models, 2) if a.key != b.key]
