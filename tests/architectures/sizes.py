"""Small configs of transformers' architectures: the same code paths with thousands of weights instead of billions."""

from __future__ import annotations

from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig


WORDS = 300
"""Tokens of every small model."""

DEFAULT = object()
"""Leaves a setting at the architecture's default."""

SIZES: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "n_vocab"), WORDS),
    **dict.fromkeys(
        ("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embedding_size", "word_embed_proj_dim"), 32
    ),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks", "depth"), 3),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers", "num_encoder_layers"), 3),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads"), 4),
    "num_key_value_heads": 2,
    **dict.fromkeys(
        ("intermediate_size", "d_ff", "d_inner", "n_inner", "ffn_dim", "hidden_dim", "ffn_hidden_size"), 48
    ),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 48),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 24),
    **dict.fromkeys(("head_dim", "d_kv"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "kv_lora_rank", "q_lora_rank"), 8),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk"), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_target_positions"), 96),
    **dict.fromkeys(("image_size", "img_size"), 28),
    "patch_size": 14,
    "out_hidden_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 0,
    **dict.fromkeys(("image_token_id", "image_token_index"), 4),
    **dict.fromkeys(("video_token_id", "video_token_index"), 5),
    **dict.fromkeys(("audio_token_id", "audio_token_index"), 6),
    **dict.fromkeys(("vision_start_token_id", "boi_token_index", "boi_token_id"), 7),
    **dict.fromkeys(("vision_end_token_id", "eoi_token_index", "eoi_token_id"), 8),
}
"""Settings that most architectures call by one of these names."""


def small_config(name: str, own: dict[str, Any]) -> PreTrainedConfig:
    """An architecture's config with few and narrow layers.

    Args:
        name: the architecture, as `model_type` in config.json.
        own: settings of this architecture, also of the configs within it.
    """
    kind = CONFIG_MAPPING[name]
    return kind(**_settings(kind(), own))


def _settings(default: PreTrainedConfig, own: dict[str, Any]) -> dict[str, Any]:
    names = set(dir(default))  # asked for by name, some settings raise
    settings = {name: size for name, size in SIZES.items() if name in names}
    for part in getattr(default, "sub_configs", {}):
        if isinstance(config := getattr(default, part, None), PreTrainedConfig):
            settings[part] = _settings(config, own.get(part) or {})
    settings |= {name: value for name, value in own.items() if not isinstance(settings.get(name), dict)}
    return {name: value for name, value in settings.items() if value is not DEFAULT}
