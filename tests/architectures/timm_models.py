"""timm: one small network or more of every module of the library, with random weights."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from platorep.core.specs import ModelSpec
from platorep.models.networks import noise_pictures
from platorep.models.vision import TimmEncoder
from platorep.models.weights import seeded
from tests.architectures.rows import Row, enliven, measured, refused


SMALL = {"depth": 2, "embed_dim": 32, "num_heads": 4}
STAGES = {"depths": (1, 1, 1, 1), "embed_dim": 16, "num_heads": (1, 2, 4, 8)}

NETWORKS: dict[str, tuple[int, dict[str, Any]]] = {
    # transformers whose tokens keep number and width
    "test_vit": (160, {}),
    "test_vit2": (160, {}),
    "test_vit3": (160, {}),
    "test_vit4": (160, {}),
    "vit_base_patch16_clip_224": (32, {**SMALL, "img_size": 32}),
    "vit_base_patch16_siglip_224": (32, {**SMALL, "img_size": 32}),
    "vit_small_patch14_reg4_dinov2": (56, {**SMALL, "img_size": 56}),
    "vit_small_patch16_dinov3": (64, {**SMALL, "img_size": 64}),
    "aimv2_large_patch14_224": (56, {**SMALL, "img_size": 56}),
    "vit_pe_core_tiny_patch16_384": (64, {**SMALL, "img_size": 64}),
    "flexivit_small": (64, {**SMALL, "img_size": 64}),
    "vit_tiny_r_s16_p8_224": (64, {"depth": 2, "embed_dim": 48, "num_heads": 3, "img_size": 64}),
    "test_vit_relpos": (160, {}),
    "samvit_base_patch16_224": (64, {**SMALL, "img_size": 64, "global_attn_indexes": (1,)}),
    "deit_tiny_patch16_224": (32, {**SMALL, "img_size": 32}),
    "deit_tiny_distilled_patch16_224": (32, {**SMALL, "img_size": 32}),
    "beit_base_patch16_224": (32, {**SMALL, "img_size": 32}),
    "beitv2_base_patch16_224": (32, {**SMALL, "img_size": 32}),
    "eva02_tiny_patch14_224": (56, {**SMALL, "img_size": 56}),
    "naflexvit_base_patch16_parfac_gap": (64, SMALL),
    "deepseek_vit_412m": (84, SMALL),
    "gemma4_vit_167m": (96, SMALL),
    "qwen3_vit_88m": (64, SMALL),
    "cait_xxs24_224": (32, {**SMALL, "img_size": 32}),
    "xcit_nano_12_p16_224": (64, SMALL),
    "convit_tiny": (32, {**SMALL, "depth": 4, "local_up_to_layer": 2, "img_size": 32}),
    "tnt_s_legacy_patch16_224": (64, {"depth": 2, "img_size": 64}),
    "crossvit_tiny_240": (240, {}),
    "mixer_s32_224": (224, {}),
    "gmlp_ti16_224": (224, {}),
    "convmixer_1024_20_ks9_p14": (224, {}),
    # transformers in stages
    "pit_ti_224": (224, {}),
    "volo_d1_224": (224, {}),
    "coat_tiny": (224, {}),
    "davit_tiny": (64, {}),
    "efficientformer_l1": (224, {}),
    "efficientformerv2_s0": (224, {}),
    "efficientvit_b0": (64, {}),
    "efficientvit_m0": (224, {}),
    "efficientvim_m1": (224, {}),
    "edgenext_xx_small": (64, {}),
    "fastvit_t8": (64, {}),
    "focalnet_tiny_srf": (64, {}),
    "gcvit_xxtiny": (224, {}),
    "hiera_tiny_224": (224, {}),
    "sam2_hiera_tiny": (224, {}),
    "iformer_t": (64, {}),
    "levit_128s": (224, {}),
    "lowformer_b0": (64, {}),
    "test_coatnet": (160, {}),
    "test_maxvit": (160, {}),
    "poolformerv2_s12": (64, {}),
    "caformer_s18": (64, {}),
    "mobilevit_xxs": (64, {}),
    "mobilevitv2_050": (64, {}),
    "mvitv2_tiny": (224, {}),
    "nest_tiny": (224, {}),
    "nextvit_small": (64, {}),
    "pvt_v2_b0": (64, {}),
    "repvit_m1": (64, {}),
    "sequencer2d_s": (224, {}),
    "shvit_s1": (64, {}),
    "swiftformer_xs": (64, {}),
    "swin_tiny_patch4_window7_224": (224, STAGES),
    "swinv2_tiny_window16_256": (256, STAGES),
    "swinv2_cr_tiny_224": (224, STAGES),
    "tiny_vit_5m_224": (224, {}),
    "twins_svt_small": (224, {}),
    "twins_pcpvt_small": (224, {}),
    "visformer_tiny": (224, {}),
    "vitamin_small_224": (224, {}),
    # convolutions
    "cpubone_nano": (64, {}),
    "cs3darknet_focus_s": (64, {}),
    "csatv2": (128, {}),
    "cspnext_tiny": (64, {}),
    "densenet121": (64, {}),
    "dla46x_c": (64, {}),
    "dpn48b": (64, {}),
    "ese_vovnet19b_slim_dw": (64, {}),
    "fasternet_t0": (64, {}),
    "ghostnet_050": (64, {}),
    "halonet_h1": (256, {}),
    "hardcorenas_b": (64, {}),
    "hgnetv2_b0": (64, {}),
    "hrnet_w18_small": (64, {}),
    "inception_next_atto": (64, {}),
    "inception_resnet_v2": (160, {}),
    "inception_v3": (160, {}),
    "inception_v4": (160, {}),
    "lcnetv2_small": (64, {}),
    "legacy_seresnet18": (64, {}),
    "legacy_xception": (160, {}),
    "mnasnet_small": (64, {}),
    "mobilenetv3_small_050": (64, {}),
    "mobilenetv5_base": (64, {}),
    "nasnetalarge": (96, {}),
    "pnasnet5large": (96, {}),
    "rdnet_tiny": (64, {}),
    "regnetx_002": (64, {}),
    "repghostnet_050": (64, {}),
    "res2next50": (64, {}),
    "resnest14d": (64, {}),
    "resnetv2_18": (64, {}),
    "rexnet_100": (64, {}),
    "selecsls42": (64, {}),
    "skresnet18": (64, {}),
    "starnet_s050": (64, {}),
    "test_byobnet": (64, {}),
    "test_convnext": (64, {}),
    "test_efficientnet": (64, {}),
    "test_mambaout": (64, {}),
    "test_nfnet": (64, {}),
    "test_resnet": (64, {}),
    "tresnet_m": (64, {}),
    "vgg11": (64, {}),
    "xception41p": (160, {}),
}
"""Names, the side of the input, and what makes the network smaller than it is."""

WITH_CLASS_TOKEN = {
    "test_vit",
    "vit_base_patch16_clip_224",
    "vit_small_patch14_reg4_dinov2",
    "vit_small_patch16_dinov3",
    "vit_pe_core_tiny_patch16_384",
    "flexivit_small",
    "vit_tiny_r_s16_p8_224",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "beit_base_patch16_224",
    "beitv2_base_patch16_224",
    "eva02_tiny_patch14_224",
    "tnt_s_legacy_patch16_224",
}
"""Those with a class token in every block, by their papers: what `pool: auto` must find by itself."""


def row(name: str) -> Row:
    """What platorep makes of a network, beside timm's own maps."""
    import timm

    side, settings = NETWORKS[name]
    model = seeded(0, lambda: timm.create_model(name, **settings))
    enliven(model, lambda: model(noise_pictures((side, side), 8)))
    return refused(name, type(model).__name__, lambda: _row(name, model, side))


def _row(name: str, model: torch.nn.Module, side: int) -> Row:
    spec = ModelSpec(name=name, modality="vision", source="timm", id=name, weights="random")
    encoder = TimmEncoder(spec, model, lambda _: torch.zeros(3, side, side), (side, side), torch.device("cpu"))
    encoder.check()
    pictures = noise_pictures((side, side), 3)
    return measured(
        name,
        type(model).__name__,
        lambda part: encoder.encode(pictures[part]).features,
        lambda: own_features(model, pictures, encoder.pool),
        pool=encoder.pool,
        source=encoder.facts["layers_read_from"],
    )


@torch.no_grad()
def own_features(model: torch.nn.Module, pictures: torch.Tensor, pool: str) -> list[torch.Tensor]:
    """Class tokens, or means over space, of timm's own maps."""
    takes = "return_prefix_tokens" in inspect.signature(model.forward_intermediates).parameters
    more = {"return_prefix_tokens": True} if takes and getattr(model, "num_prefix_tokens", 0) else {}
    layers = model.forward_intermediates(pictures, intermediates_only=True, **more)
    if pool == "cls":
        return [prefix[:, 0] for _, prefix in layers]
    return [(layer[0] if isinstance(layer, tuple) else layer).double().mean((2, 3)) for layer in layers]
