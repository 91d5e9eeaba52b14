"""Measures from extraction: bits per byte of the captions, and the number of parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from platorep.core.store import FeatureSet
from platorep.results.tables import COMPETENCE_COLUMNS, CompetenceTable


EXTRACTED = ("bits_per_byte", "bits_per_byte_released", "parameters")
"""Scalars of a manifest that are measures of competence."""


def from_features(features: Iterable[FeatureSet]) -> CompetenceTable:
    """The measures in the manifests of extractions, with one row per model and measure.

    `bits_per_byte` is total bits over total UTF-8 bytes of the captions, where every byte is scored; lower is better.
    `bits_per_byte_released` is the paper's released convention. `parameters` counts the model's weights.
    """
    rows = []
    for feature_set in features:
        spec = feature_set.spec
        for measure in EXTRACTED:
            value = feature_set.scalars.get(measure)
            if value is None:
                continue
            rows.append(
                {
                    "model": spec.model.name,
                    "key": feature_set.key,
                    "modality": spec.model.modality,
                    "family": spec.model.family,
                    "measure": measure,
                    "value": float(value),
                    "standard_error": feature_set.scalars.get(f"{measure}_standard_error", math.nan),
                    "task": ""
                    if measure == "parameters"
                    else f"captions of {spec.dataset.name} ({feature_set.n}, {feature_set.digest[:12]})",
                    "source": "measured",
                    "provenance": "",
                }
            )
    return CompetenceTable.from_frame(pd.DataFrame(rows, columns=list(COMPETENCE_COLUMNS)))
