"""Which language architectures there are, and the settings of those that general sizes do not fit."""

from __future__ import annotations

from typing import Any

from transformers.models.auto import modeling_auto as known


OWN: dict[str, dict[str, Any]] = {}


def architectures() -> dict[str, list[str]]:
    """Names of all architectures by kind; each in one kind."""
    with_pictures = {**known.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, **known.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES}
    encoder_decoders = [
        name for name in known.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES if name not in with_pictures
    ]
    decoders = [name for name in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if name not in with_pictures]
    encoders = {**known.MODEL_FOR_MASKED_LM_MAPPING_NAMES, **known.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES}
    return {
        "decoder": decoders,
        "encoder": [name for name in encoders if name not in {*encoder_decoders, *with_pictures}],
        "encoder-decoder": encoder_decoders,
        "with pictures": list(with_pictures),
        "dual encoder": [
            "clip",
            "siglip",
            "siglip2",
            "chinese_clip",
            "clipseg",
            "altclip",
            "align",
            "groupvit",
            "xclip",
            "flava",
        ],
    }
