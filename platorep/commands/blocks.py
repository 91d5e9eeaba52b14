"""Blocks of model pairs, as the engines take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from platorep.core.errors import DataError, SpecError
from platorep.core.stored import FeatureSet


Block = tuple[list[FeatureSet], list[FeatureSet], Literal["all", "distinct"]]
"""x models, y models, and the engine's word for the pairs: "all" or "distinct"."""


def blocks(features: Sequence[FeatureSet], pairs: str) -> list[Block]:
    """The blocks of model pairs that a word of `protocol.pairs` means.

    Raises:
        SpecError: an unknown word.
        DataError: "cross" without two modalities.
    """
    by_modality: dict[str, list[FeatureSet]] = {}
    for model in features:
        by_modality.setdefault(model.spec.model.modality, []).append(model)
    if pairs == "all":
        return [(list(features), list(features), "distinct")]
    if pairs == "within":
        return [(group, group, "distinct") for group in by_modality.values() if len(group) > 1]
    if pairs != "cross":
        raise SpecError(f"protocol.pairs is {pairs!r}; expected cross, within or all.")
    if len(by_modality) < 2:
        raise DataError(
            f"protocol.pairs=cross compares modalities, but all models are of {', '.join(by_modality)}. "
            "Add models of another modality, or say protocol.pairs=within."
        )
    # the released code's order: language down, vision across
    order = sorted(by_modality, key=lambda modality: (modality != "language", modality))
    return [(by_modality[a], by_modality[b], "all") for i, a in enumerate(order) for b in order[i + 1 :]]


def pairs_of(blocks: Sequence[Block]) -> list[tuple[FeatureSet, FeatureSet]]:
    """The pairs of models in blocks: each once, and no model with itself."""
    return [
        (a, b)
        for x, y, kind in blocks
        for i, a in enumerate(x)
        for j, b in enumerate(y)
        if kind == "all" or (i < j and a.key != b.key)
    ]
