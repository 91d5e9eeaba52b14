"""open_clip: both towers of small models of every kind that it builds, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig

from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import Text, TextRules, load, resolve
from platorep.models.networks import noise_pictures
from tests.architectures import timm_models
from tests.architectures.rows import Row, measured, refused


PICTURE = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 3}

PICTURE_TOWERS: dict[str, dict[str, Any]] = {
    "ViT (CLIP)": PICTURE,
    "ViT with attentional pooling (CoCa)": {**PICTURE, "attentional_pool": True, "attn_pooler_heads": 2},
    "ResNet (CLIP RN50)": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
    "timm ViT": {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "linear"},
    "timm ViT without class token (SigLIP)": {
        "image_size": 160, "timm_model_name": "test_vit4", "timm_pool": "map", "timm_proj": "none",
    },
    "timm EVA (EVA-CLIP)": {"image_size": 224, "timm_model_name": "eva02_tiny_patch14_224", "timm_pool": "token"},
    "timm ViTamin": {"image_size": 224, "timm_model_name": "vitamin_small_224", "timm_proj": "linear"},
    "timm FastViT (MobileCLIP)": {"image_size": 256, "timm_model_name": "fastvit_t8", "timm_proj": None},
    "timm ConvNeXt": {"image_size": 160, "timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear"},
    "timm Swin": {"image_size": 224, "timm_model_name": "swin_tiny_patch4_window7_224", "timm_proj": "linear"},
}  # fmt: skip

TEXT_TOWERS: dict[str, dict[str, Any]] = {
    "transformer (CLIP)": TEXT,
    "transformer with a class token behind the text (CoCa)": {**TEXT, "embed_cls": True},
    "transformer that sees the whole text (SigLIP)": {**TEXT, "no_causal_mask": True, "pool_type": "last"},
    "a text model of transformers (XLM-R CLIP)": {"hf_model_name": "", "hf_pooler_type": "mean_pooler"},
}

WITH_CLASS_TOKEN = {"ViT (CLIP)", "ViT with attentional pooling (CoCa)", "timm ViT", "timm EVA (EVA-CLIP)"}

TEXTS = ("a tiger!", "an adjustable wrench of steel", "two small green birds on the branch of an old tree")


def folder(name: str, path: Path) -> Path:
    """A folder in open_clip's format with the tower's config; the other tower is a small one."""
    path.mkdir(parents=True, exist_ok=True)
    text = TEXT_TOWERS.get(name, TEXT)
    if "hf_model_name" in text:
        BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16).save_pretrained(
            path
        )
        text = {**text, "hf_model_name": str(path), "hf_tokenizer_name": str(path)}
    model = {"embed_dim": 16, "vision_cfg": PICTURE_TOWERS.get(name, PICTURE), "text_cfg": text}
    config = {"model_cfg": {**model, "custom_text": True}, "preprocess_cfg": {}}
    (path / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def row(name: str, path: Path) -> Row:
    """What platorep makes of a tower, beside open_clip's own intermediate states.

    Args:
        name: of `PICTURE_TOWERS` or `TEXT_TOWERS`.
        path: where the folder is made.
    """
    import open_clip

    modality = "vision" if name in PICTURE_TOWERS else "language"
    asset = AssetSpec(source="path", id=str(folder(name, path)))
    spec = ModelSpec(name="clip", modality=modality, source="open_clip", id="clip", asset=asset, weights="random")
    kind = "picture tower" if modality == "vision" else "text tower"

    def make() -> Row:
        encoder = load(resolve(spec, torch.device("cpu")), torch.device("cpu"))
        if modality == "language":
            return _text_row(name, kind, encoder, open_clip.get_tokenizer(f"local-dir:{path}"))
        pictures = noise_pictures(encoder.size, 3)
        return measured(
            name,
            kind,
            lambda part: encoder.encode(pictures[part]).features,
            lambda: own_pictures(encoder.model, pictures, encoder.pool),
            pool=encoder.pool,
            source=encoder.facts["layers_read_from"],
        )

    return refused(name, kind, make)


@torch.no_grad()
def own_pictures(tower: Any, pictures: torch.Tensor, pool: str) -> list[torch.Tensor]:
    """Class tokens, or means over space, of the tower's own maps."""
    if hasattr(tower, "feature_info"):  # a network of timm's
        return timm_models.own_features(tower, pictures, pool)
    states = tower.forward_intermediates(pictures, intermediates_only=True, output_extra_tokens=True)
    if pool == "cls":
        return [prefix[:, 0] for prefix in states["image_intermediates_prefix"]]
    return [layer.double().mean((2, 3)) for layer in states["image_intermediates"]]


def _text_row(name: str, kind: str, encoder: Any, tokenizer: Any) -> Row:
    tower = encoder.tower
    tokens = encoder.tokenize([Text.of(text) for text in TEXTS], TextRules())

    def reference() -> list[torch.Tensor]:
        ids = tokenizer(list(TEXTS))
        ends = ids.argmax(1) if tower.pool_type == "argmax" else (ids != 0).sum(1) - 1
        with torch.no_grad():
            states = tower.forward_intermediates(ids, intermediates_only=True, output_fmt="NLC")["text_intermediates"]
        return [torch.stack([state[i, : end + 1].mean(0) for i, end in enumerate(ends)]) for state in states]

    return measured(
        name,
        kind,
        lambda part: encoder.encode(tokens[part]).features,
        reference,
        pool=encoder.pool,
        source="its blocks",
    )
