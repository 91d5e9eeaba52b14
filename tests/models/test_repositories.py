"""Ids of timm and open_clip, and the Hub repositories that those libraries name for them."""

from __future__ import annotations

import pytest

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models import source_of
from platorep.models.repositories import CLIP_WEIGHTS, TIMM_WEIGHTS, Repository


def repository(spec: ModelSpec) -> Repository:
    return source_of(spec).repository(spec)


def timm_model(name: str) -> ModelSpec:
    return ModelSpec(name="m", modality="vision", source="timm", id=name)


def clip_model(name: str) -> ModelSpec:
    return ModelSpec(name="m", modality="vision", source="open_clip", id=name)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("resnet50", "timm/resnet50.a1_in1k"),  # no tag: timm's default weights
        ("resnet50.ram_in1k", "timm/resnet50.ram_in1k"),
        ("timm/resnet50.ram_in1k", "timm/resnet50.ram_in1k"),
        ("vit_base_patch16_clip_quickgelu_224.openai", "timm/vit_base_patch16_clip_224.openai"),
        ("vitamin_small_224.datacomp1b_clip", "jienengchen/ViTamin-S"),
        ("fastvit_mci0.apple_mclip", "apple/mobileclip_s0_timm"),
        ("davit_base_fl.msft_florence2", "microsoft/Florence-2-base"),
    ],
)
def test_repository_is_the_one_that_timm_names(name, want):
    assert repository(timm_model(name)).id == want


def test_every_pretrained_model_of_timm_has_a_repository_or_a_sentence():
    import timm

    elsewhere, refused = [], []
    for name in timm.list_pretrained():
        config = timm.get_pretrained_cfg(name)
        if not config.hf_hub_id:
            with pytest.raises(SpecError, match=f"m: the weights '{name}' are in no Hub repository; timm names"):
                repository(timm_model(name))
            refused.append(name)
            continue
        at = repository(timm_model(name))
        assert at.id == config.hf_hub_id
        assert at.weights[-1][0].endswith((".bin", ".safetensors"))
        elsewhere += [name] if at.id != f"timm/{name}" else []
    assert elsewhere
    assert {"gcvit_tiny.in1k", "legacy_xception.tf_in1k"} <= set(refused)


def test_wrong_tag_names_the_known_ones():
    with pytest.raises(
        SpecError, match=r"timm does not know the weights 'resnet18\.wrong'\. Known: .*resnet18\.a1_in1k"
    ):
        repository(timm_model("resnet18.wrong"))


@pytest.mark.parametrize(
    ("name", "want", "weights"),
    [
        ("ViT-B-32/laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", CLIP_WEIGHTS),
        ("ViTamin-S/datacomp1b", "jienengchen/ViTamin-S", TIMM_WEIGHTS),  # a file name is part of the entry
        ("owner/name", "owner/name", CLIP_WEIGHTS),
    ],
)
def test_repository_is_the_one_that_open_clip_names(name, want, weights):
    at = repository(clip_model(name))
    assert (at.id, at.weights) == (want, weights)


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32/wrong"])
def test_missing_or_wrong_tag_of_open_clip_names_the_known_ones(name):
    with pytest.raises(SpecError, match="Expected ViT-B-32/TAG, where TAG is one of: openai, .*laion2b_s34b_b79k"):
        repository(clip_model(name))


def test_every_tag_of_open_clip_has_a_repository():
    import open_clip

    for architecture, tag in open_clip.list_pretrained():
        assert repository(clip_model(f"{architecture}/{tag}")).id.count("/") == 1
