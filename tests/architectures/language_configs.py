"""Which language architectures there are, and the settings of those that general sizes do not fit."""

from __future__ import annotations

from typing import Any

from transformers.models.auto import modeling_auto as known

from tests.architectures.sizes import DEFAULT


ROPE = {"rope_type": "default", "rope_theta": 10000.0}

LATENT = {"num_key_value_heads": 4}
"""Latent attention has as many heads of keys as of queries."""

MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_expand": 2, "mamba_d_state": 8, "mamba_chunk_size": 8}


def _rotary(*sections: int) -> dict[str, Any]:
    return {"text_config": {"rope_parameters": {**ROPE, "mrope_section": list(sections)}}}


OWN: dict[str, dict[str, Any]] = {
    "axk1": LATENT | {"n_group": 2, "topk_group": 1},
    "axk2": LATENT,
    "bailing_hybrid": LATENT | {"n_group": 2, "topk_group": 1},
    "bamba": MAMBA | {"num_hidden_layers": 3, "attn_layer_indices": [1]},
    "codegen": {"rotary_dim": 4},
    "cohere_compass_text": {"rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}},
    "cohere_compass": {"text_config": {"rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}}},
    "dbrx": {
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8},
    },
    "deepseek_v2": LATENT,
    "deepseek_v3": LATENT,
    "deepseek_v32": LATENT,
    "dots1": {"n_shared_experts": 1},
    "dots3_note_text": LATENT,
    "esmc": LATENT,
    "falcon": {"head_dim": DEFAULT},
    "falcon_h1": MAMBA | {"mamba_d_ssm": 64},
    "funnel": {
        "num_hidden_layers": DEFAULT, "num_blocks": DEFAULT, "block_sizes": [1, 1, 1], "block_repeats": [1, 1, 1],
        "num_decoder_layers": 1, "d_head": 8, "architectures": ["FunnelModel"],
    },
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": LATENT,
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": MAMBA,
    "lfm2_moe": {"layer_types": ["full_attention", "conv", "full_attention"]},
    "kimi_linear": LATENT | {"linear_head_dim": 8, "linear_num_heads": 4, "num_experts_per_token": 2},
    "luke": {"entity_vocab_size": 20, "entity_emb_size": 16},
    "longcat_flash": LATENT | {"expert_ffn_hidden_size": 24, "ffn_hidden_size": 48},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    "minicpm3": LATENT,
    "neomme": {"head_dim": 16},
    "prophetnet": {"num_hidden_layers": DEFAULT},
    "reformer": {
        "is_decoder": True, "axial_pos_embds_dim": (16, 16), "axial_pos_shape": (8, 12),
        "attn_layers": ["local", "lsh"],
        "attention_head_size": 8, "feed_forward_size": 48, "num_hidden_layers": DEFAULT, "num_buckets": 4,
    },
    "xlnet": {"max_position_embeddings": DEFAULT},
    "xlstm": {"v_head_dim": DEFAULT},
    "youtu": LATENT | {"pad_token_id": None},  # transformers sets the row of the padding to zero as it loads
    "zamba": {
        "num_hidden_layers": 6, "attn_layer_period": 3, "attn_layer_offset": 2, "mamba_d_state": 8, "mamba_dt_rank": 4,
    },
    "zamba2": {"num_hidden_layers": 3, "layers_block_type": ["mamba", "hybrid", "mamba"], "hybrid_layer_ids": [1]},
    "zaya": {"num_experts_per_tok": 1},
    "qwen2_vl": _rotary(1, 1, 2),
    "qwen2_5_vl": _rotary(1, 1, 2),
    "qwen2_5_omni_thinker": _rotary(1, 1, 2) | {"vision_start_token_id": 7},
    "qwen3_omni_moe_thinker": _rotary(1, 1, 2) | {"vision_start_token_id": 7},
    "paddleocr_vl": _rotary(1, 1, 2),
    "glm4v": _rotary(1, 1, 2),
    "glm46v": _rotary(1, 1, 2),
    "glmga": _rotary(1, 1, 2),
    "glm_ocr": _rotary(1, 1, 2),
    "glm4v_moe": _rotary(1, 1, 0),
    "kimi_k25": {"text_config": LATENT},
    "mistral4": LATENT | {"rope_parameters": ROPE, "head_dim": 16},
    "mistral_large4": {"text_config": LATENT},
    "gemma3n": {"text_config": {"num_kv_shared_layers": 0}},
    "chameleon": {"vocabulary_map": {"<image>": 4}},
    "cosmos3_edge": _rotary(1, 1, 2),
    "deepseek_ocr2": {"text_config": LATENT | {"mlp_layer_types": ["dense", "sparse", "sparse"]}},
    "dots3_note": {
        "text_config": LATENT,
        "vision_config": {"mlp_layer_types": ["dense"] * 3, "adapter_in_dim": 32, "adapter_out_dim": 32},
        "audio_config": {"adapter_input_size": 32, "adapter_out_dim": 32},
    },
    "emu3": {"vocabulary_map": {"<image>": 4, "<|extra_200|>": 9}},
    "ernie4_5_vl_moe": {
        "text_config": {"moe_intermediate_size": [24, 24], "rope_parameters": {**ROPE, "mrope_section": [1, 1, 2]}},
    },
    "exaone4_5": {"text_config": {"model_type": "exaone4"}},
    "florence2": {"vision_config": {"patch_size": DEFAULT, "num_heads": DEFAULT, "embed_dim": DEFAULT}},
    "fun_asr_nano": {"adaptor_config": {"intermediate_size": 8}},
    "glm5_next": {"text_config": LATENT | {"qk_rope_head_dim": 0}},
    "granite4_vision": {
        "spatial_target_layers": [1, 2], "image_grid_pinpoints": [[28, 28]], "deepstack_layer_map": [[-1, 1]],
        "vision_config": {"hidden_size": 64}, "downsample_rate": "1/2",
    },
    "inkling2": {"vision_config": {"text_hidden_size": 32}},
    "kyutai_speech_to_text": {
        "num_codebooks": 2, "codebook_vocab_size": 20, "audio_pad_token_id": 340,
        "codec_config": {"upsample_groups": 4},
    },
    "molmo2": {"vision_config": {"image_size": [28, 28]}, "adapter_config": {"vision_feature_layer": [2, 1]}},
    "muse_spark": {"audio_config": {"num_hidden_layers": DEFAULT}},
    "musicflamingo": {"audio_config": {"model_type": "audioflamingo3_encoder"}},
    "nemo_speechlm": {
        "audio_config": {
            "hidden_size": DEFAULT,
            "asr_config": LATENT,
            "diarization_config": {"head_config": {"audio_hidden_size": 32}, "audio_config": LATENT},
        },
        "word_timestamp_config": LATENT | {"blank_token_id": 9},
    },
    "nemotron_h_omni": {"vision_config": {"video_temporal_patch_size": 2}},
    "perception_lm": {
        "vision_config": {
            "architecture": "vit_pe_core_tiny_patch16_384",
            "model_args": {"embed_dim": 32, "depth": 2, "num_heads": 4, "img_size": [32, 32]},
        },
    },
    "qwen3_omni_moe": {
        "thinker_config": _rotary(1, 1, 2),
        "talker_config": {"spatial_merge_size": 2, "text_config": {"shared_expert_intermediate_size": 24}},
    },
    "step3p7": {"text_config": {"sliding_window": 32}},
    "hunyuan_vl": {"text_config": {"rope_parameters": ROPE}},
}  # fmt: skip


BUILT_AS = {
    "evolla": "EvollaForProteinText2Text",
    "musicgen": "MusicgenForConditionalGeneration",
    "musicgen_melody": "MusicgenMelodyForConditionalGeneration",
}
"""Classes of architectures whose config is of another class than the one that the kind builds from it."""


def architectures() -> dict[str, list[str]]:
    """Names of all architectures by kind; each in one kind."""
    with_pictures = {**known.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, **known.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES}
    encoder_decoders = [
        name for name in known.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES if name not in with_pictures
    ]
    decoders = [name for name in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if name not in with_pictures]
    encoders = {**known.MODEL_FOR_MASKED_LM_MAPPING_NAMES, **known.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES}
    dual = ["clip", "siglip", "siglip2", "chinese_clip", "clipseg", "altclip", "align", "groupvit", "xclip", "flava"]
    return {
        "decoder": decoders,
        "encoder": [name for name in encoders if name not in {*encoder_decoders, *with_pictures}],
        "encoder-decoder": encoder_decoders,
        "with pictures": list(with_pictures),
        "dual encoder": dual,
    }
