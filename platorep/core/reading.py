"""The settings for reading samples that affect a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


TEXT_ONLY = ("prompt", "span", "max_tokens", "overlong", "generated")
"""Fields of ExtractSpec that only models of texts read."""


def settings_read(modality: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that can change the features of a model of this modality.

    A setting that cannot is left out, so that the key of the features does not depend on it. For instance, another
    `caption` extracts language models again, and no vision models. Where `combine=multiply_items` makes one row of each
    caption or picture, every model has these rows.

    Args:
        modality: of the model.
        settings: fields of ExtractSpec besides model and dataset.
    """
    read = dict(settings)
    multiplied = read.get("combine") == "multiply_items"
    kept = {"language": "caption", "vision": "picture"}.get(modality)
    for name in ("caption", "picture"):
        if name != kept and not (multiplied and read.get(name) == "all"):
            read.pop(name, None)
    if "all" not in (read.get("caption"), read.get("picture")):
        read.pop("combine", None)
    if read.get("span") != "generated":
        read.pop("generated", None)
    if modality != "language":
        for name in TEXT_ONLY:
            read.pop(name, None)
    return read
