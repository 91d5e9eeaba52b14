"""Determines whether a vision model has a class token from its outputs, before weights are fetched."""

from __future__ import annotations

import torch

from platorep.core.specs import ModelSpec


def has_class_token(spec: ModelSpec) -> bool:
    """Whether every layer of a vision model has a class token, which `pool="auto"` then uses.

    Only the architecture is built: on the meta device for timm and open_clip, where shapes suffice, and with one block
    and random weights for transformers, where values are needed.

    Args:
        spec: a spec whose revision is resolved.

    Raises:
        SpecError: the architecture takes no pictures, or does not report its layers.
        UnknownNameError: the architecture does not exist.
        AssetError: the model's config cannot be fetched.
    """
    if spec.source == "timm":
        from timm.data import resolve_model_data_config

        from platorep.models.files import timm_architecture
        from platorep.models.vision import token_layout

        with torch.device("meta"):
            model = timm_architecture(spec).eval()
        return token_layout(model, tuple(resolve_model_data_config(model)["input_size"][1:])).has_class_token
    if spec.source == "open_clip":
        from platorep.models.clip import tower_has_class_token
        from platorep.models.loading_vision import clip_config

        return tower_has_class_token(clip_config(spec))
    from platorep.models.transformers_vision import architecture_has_class_token

    return architecture_has_class_token(spec)
