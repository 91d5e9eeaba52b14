"""The expected time of an extraction, of which the bar shows what remains."""

from __future__ import annotations

from platorep.commands.expectations import LOADING, OPERATIONS_A_SECOND, TOKENS, extraction
from platorep.core.specs import ModelSpec


def test_models_of_every_modality_take_time_in_proportion_to_their_size():
    models = [
        ModelSpec(name=modality, modality=modality, source="transformers", id="m", parameters=20_000_000)
        for modality in ("language", "vision", "sound")
    ]
    seconds = extraction(models, 500)
    for modality, expected in seconds.items():
        assert expected == LOADING + 2 * 500 * TOKENS[modality] * 20_000_000 / OPERATIONS_A_SECOND
        assert expected > LOADING
