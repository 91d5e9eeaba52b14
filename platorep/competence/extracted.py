"""What extraction measured in passing: bits per byte of the captions, and the number of parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from platorep.core.store import FeatureSet
from platorep.results.tables import COMPETENCE_COLUMNS, CompetenceTable


EXTRACTED = ("bits_per_byte", "bits_per_byte_released", "parameters")
"""Scalars of a manifest that are measures of competence."""


def from_features(features: Iterable[FeatureSet]) -> CompetenceTable:
    """The measures that extraction left in the manifests, one row a (model, measure); models without any have none.

    `bits_per_byte` is total bits over total UTF-8 bytes of the captions, every byte scored; lower is better.
    `bits_per_byte_released` is the paper's released convention. `parameters` counts the model's weights.
    """
    rows = []
    for one in features:
        spec = one.spec
        for measure in EXTRACTED:
            value = one.scalars.get(measure)
            if value is None:
                continue
            rows.append(
                {
                    "model": spec.model.name,
                    "key": one.key,
                    "modality": spec.model.modality,
                    "family": spec.model.family,
                    "measure": measure,
                    "value": float(value),
                    "standard_error": one.scalars.get(f"{measure}_standard_error", math.nan),
                    "task": ""
                    if measure == "parameters"
                    else f"captions of {spec.dataset.name} ({one.n}, {one.digest[:12]})",
                    "source": "measured",
                    "provenance": "",
                }
            )
    return CompetenceTable.from_frame(pd.DataFrame(rows, columns=list(COMPETENCE_COLUMNS)))
