"""transformers: small vision models of many architectures, saved with an image processor and loaded from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModel

from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import load, resolve
from platorep.models.networks import noise_pictures
from platorep.models.weights import seeded
from tests.architectures.rows import Row, enliven, measured, refused


SMALL = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
HEADS = {**STAGES, "num_attention_heads": [1, 1, 2, 2], "image_size": 64}
WINDOWS = {
    "embed_dim": 8, "depths": [1, 1, 2, 1], "num_heads": [1, 1, 2, 2], "image_size": 64, "patch_size": 4,
    "window_size": 2,
}  # fmt: skip
TEXT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 99}
BOTH = {"text_config": TEXT, "vision_config": SMALL}

MODELS: dict[str, dict[str, Any]] = {
    # tokens that keep number and width
    "vit": SMALL,
    "deit": SMALL,
    "beit": SMALL,
    "data2vec-vision": SMALL,
    "dinov2": SMALL,
    "dinov2_with_registers": SMALL,
    "dinov3_vit": {**SMALL, "num_register_tokens": 4},
    "ijepa": SMALL,
    "vit_mae": SMALL,
    "vit_msn": SMALL,
    "yolos": {**SMALL, "image_size": [32, 32]},
    "clip": BOTH,
    "clip_vision_model": SMALL,
    "chinese_clip_vision_model": SMALL,
    "metaclip_2": BOTH,
    "mlcd_vision_model": SMALL,
    "siglip": BOTH,
    "siglip_vision_model": SMALL,
    "siglip2_vision_model": {**SMALL, "num_patches": 16},
    "aimv2": BOTH,
    "aimv2_vision_model": SMALL,
    "tipsv2_vision_model": SMALL,
    "radio": SMALL,
    "pixio": SMALL,
    "sapiens2": SMALL,
    "internvl_vision": {**SMALL, "image_size": [32, 32], "patch_size": [8, 8]},
    "dpt": SMALL,
    "vitdet": SMALL,
    "sam_vision_model": {
        **SMALL, "window_size": 2, "output_channels": 16, "global_attn_indexes": [1], "mlp_dim": 64,
        "initializer_range": 0.02,
    },
    "llava": {
        "text_config": {"model_type": "llama", **TEXT}, "vision_config": {"model_type": "clip_vision_model", **SMALL},
    },
    # stages
    "convnext": STAGES,
    "convnextv2": STAGES,
    "dinov3_convnext": STAGES,
    "resnet": {**STAGES, "embedding_size": 8},
    "regnet": {**STAGES, "embedding_size": 8, "groups_width": 8},
    "bit": {"embedding_size": 8, "hidden_sizes": [32, 32, 64, 64], "depths": [1, 1, 2, 1], "num_groups": 8},
    "efficientnet": {
        "width_coefficient": 0.25, "depth_coefficient": 0.3, "image_size": 64, "hidden_dim": 320,
        "batch_norm_eps": 1e-12,
    },
    "mobilenet_v1": {"depth_multiplier": 0.25, "image_size": 64},
    "mobilenet_v2": {"depth_multiplier": 0.25, "image_size": 64},
    "mobilevit": {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 24, 32, 40, 48], "image_size": 64},
    "mobilevitv2": {"image_size": 64, "width_multiplier": 0.25},
    "poolformer": {**STAGES, "image_size": 64},
    "swin": WINDOWS,
    "swinv2": {**WINDOWS, "window_size": 4},
    "donut-swin": WINDOWS,
    "swin2sr": {**WINDOWS, "depths": [1, 1], "num_heads": [2, 2], "patch_size": 1, "image_size": 16, "window_size": 4},
    "focalnet": {"embed_dim": 8, "depths": [1, 1, 2, 1], "image_size": 64},
    "hiera": {"embed_dim": 8, "depths": [1, 1, 2, 1], "num_heads": [1, 1, 2, 2], "image_size": [64, 64]},
    "levit": {
        "hidden_sizes": [16, 32, 48], "num_attention_heads": [2, 2, 2], "depths": [1, 1, 1], "key_dim": [8, 8, 8],
        "image_size": 64,
    },
    "pvt": HEADS,
    "pvt_v2": HEADS,
    "segformer": HEADS,
    "glpn": HEADS,
    "swiftformer": {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "image_size": 64},
    "timm_wrapper": {"architecture": "test_vit", "image_size": 160},
    # no pictures of one size, or no states
    "detr": {},
    "maskformer-swin": WINDOWS,
    "pixtral": SMALL,
    "seggpt": SMALL,
    "videomae": {**SMALL, "num_frames": 2},
}  # fmt: skip
"""Model types, and what makes their configs small."""

OTHERS = {
    "vit": (1, 0), "deit": (2, 0), "beit": (1, 0), "data2vec-vision": (1, 0), "dinov2": (1, 0),
    "dinov2_with_registers": (5, 0),
    "dinov3_vit": (5, 0), "vit_msn": (1, 0), "yolos": (1, 100), "clip": (1, 0), "clip_vision_model": (1, 0),
    "chinese_clip_vision_model": (1, 0), "metaclip_2": (1, 0), "mlcd_vision_model": (1, 0),
    "tipsv2_vision_model": (2, 0),
    "radio": (10, 0), "pixio": (8, 0), "sapiens2": (9, 0), "internvl_vision": (1, 0), "dpt": (1, 0), "llava": (1, 0),
}  # fmt: skip
"""Tokens before and behind the patches, by the architectures' own code: what must be found by itself."""

SEVERAL_CLASS_TOKENS = {"radio", "pixio"}
"""Those whose class tokens are several, so that none of them is the picture's."""

REFUSED = {"vit_mae", "siglip2_vision_model", "detr", "maskformer-swin", "pixtral", "seggpt", "videomae"}


def save(kind: str, folder: Path, changes: Mapping[str, Any] | None = None) -> ModelSpec:
    """A small model of a type, with random weights and an image processor, in a folder; and the spec that loads it.

    Args:
        kind: of `MODELS`.
        folder: where the files go.
        changes: to the settings of the image processor.
    """
    settings = dict(MODELS[kind])
    shown = settings.get("vision_config", settings).get("image_size", 64)
    side = shown[0] if isinstance(shown, list) else shown
    if kind == "timm_wrapper":
        del settings["image_size"]
    config = CONFIG_MAPPING[kind](**settings)
    model = seeded(0, lambda: AutoModel.from_config(config))
    enliven(model, lambda: model(pixel_values=noise_pictures((side, side), 8)))
    model.save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": side, "width": side},
        **(changes or {}),
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    asset = AssetSpec(source="path", id=str(folder))
    return ModelSpec(name=kind, modality="vision", source="transformers", id=kind, asset=asset)


def row(kind: str, folder: Path) -> Row:
    """What platorep makes of a model, beside transformers' own hidden states."""
    spec = save(kind, folder)
    model = AutoModel.from_pretrained(folder).eval()
    network = type(model).__name__

    def make() -> Row:
        encoder = load(resolve(spec, torch.device("cpu")), torch.device("cpu"))
        pictures = noise_pictures(encoder.size, 3)
        return measured(
            kind,
            network,
            lambda part: encoder.encode(pictures[part]).features,
            lambda: own_features(kind, model, pictures, len(encoder.all_layers), encoder.pool),
            pool=encoder.pool,
            source=encoder.facts["layers_read_from"],
        )

    return refused(kind, network, make)


@torch.no_grad()
def own_features(kind: str, model: Any, pictures: torch.Tensor, count: int, pool: str) -> list[torch.Tensor]:
    """Class tokens, or means over patches, of the last `count` hidden states that transformers reports."""
    tower = getattr(model, "vision_model", getattr(model, "vision_tower", model))
    states = tower(pixel_values=pictures, output_hidden_states=True).hidden_states
    if kind == "pvt":  # reports the last block twice, before the norm and after it; the last stage has a class token
        states = states[:-1]
        return [state[:, 1 if i == len(states) - 1 else 0 :].double().mean(1) for i, state in enumerate(states)]
    before, behind = OTHERS.get(kind, (0, 0))
    features = []
    for state in states[-count:]:
        if state.ndim == 4:
            features.append(state.double().mean((1, 2) if kind == "sam_vision_model" else (2, 3)))
        elif pool == "cls":
            features.append(state[:, 0])
        else:
            features.append(state[:, before : state.shape[1] - behind].double().mean(1))
    return features
