"""Vision models as the Hub lays them out: timm's, open_clip's, and those in transformers' format."""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors.torch import save

from tests.hub.builder import GITATTRIBUTES, config_json, small, weight_file, weights
from tests.hub.repositories import Files


def timm_model(name: str, seed: int = 0, **leave_out: bool) -> Files:
    """timm/NAME.TAG: config.json in timm's format, model.safetensors, pytorch_model.bin. Full size: keep it small."""
    import timm

    torch.manual_seed(seed)
    wanted = timm.get_pretrained_cfg(name)
    model = timm.create_model(name.partition(".")[0], pretrained=False, num_classes=wanted.num_classes)
    config = {
        "architecture": name.partition(".")[0],
        "num_classes": model.num_classes,
        "num_features": model.num_features,
        "pretrained_cfg": {
            "tag": name.partition(".")[2], "input_size": list(wanted.input_size), "mean": list(wanted.mean),
            "std": list(wanted.std), "interpolation": wanted.interpolation, "crop_pct": wanted.crop_pct,
        },
    }  # fmt: skip
    state = model.state_dict()
    files = {**GITATTRIBUTES, "config.json": json.dumps(config).encode()}
    if not leave_out.get("safetensors"):
        files["model.safetensors"] = save(state, metadata={"format": "pt"})
    if not leave_out.get("bin"):
        files["pytorch_model.bin"] = weight_file(state, "bin")
    return files


def open_clip_model(*, format: str = "safetensors") -> Files:
    """laion/CLIP-*: open_clip_config.json, weights under open_clip's name, tokenizer files."""
    import open_clip

    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 3},
    }
    torch.manual_seed(4)
    state = {name: tensor.contiguous() for name, tensor in open_clip.model.CLIP(**config).state_dict().items()}
    name = "open_clip_model.safetensors" if format == "safetensors" else "open_clip_pytorch_model.bin"
    preprocessing = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic"}
    return {
        **GITATTRIBUTES,
        "open_clip_config.json": json.dumps({"model_cfg": config, "preprocess_cfg": preprocessing}).encode(),
        "preprocessor_config.json": b"{}",
        name: weight_file(state, format),
    }


def transformers_vision(architecture: str, config: Any, **preprocessor: Any) -> Files:
    """google/vit-*, facebook/dinov2-* and the like: config.json, preprocessor_config.json, model.safetensors."""
    defaults = {
        "do_resize": True, "size": {"height": config.image_size, "width": config.image_size}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "resample": 3, "image_processor_type": "ViTImageProcessor",
    }  # fmt: skip
    return {
        **GITATTRIBUTES,
        **config_json(config, architecture),
        "preprocessor_config.json": json.dumps({**defaults, **preprocessor}).encode(),
        **weights(small(architecture, config)),
    }
