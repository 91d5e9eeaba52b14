"""Small networks of many architectures against their libraries' own states; all of them in the slow suite."""

from __future__ import annotations

import pytest
import torch

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models import load, resolve
from platorep.models.vision import TimmEncoder
from tests import small_models
from tests.architectures import clip_models, timm_models, transformers_models
from tests.architectures.vision import DOCS, pages


CPU = torch.device("cpu")

NETWORKS = [
    "test_vit", "test_vit2", "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3",
    "deit_tiny_distilled_patch16_224", "eva02_tiny_patch14_224", "naflexvit_base_patch16_parfac_gap",
    "cait_xxs24_224", "xcit_nano_12_p16_224", "convit_tiny", "tnt_s_legacy_patch16_224", "test_vit_relpos",
    "samvit_base_patch16_224", "swin_tiny_patch4_window7_224", "test_convnext", "test_efficientnet", "test_resnet",
]  # fmt: skip

TOWERS = [
    "ViT (CLIP)", "ViT with attentional pooling (CoCa)", "ResNet (CLIP RN50)", "timm ViT",
    "timm ViT without class token (SigLIP)", "timm ConvNeXt", *clip_models.TEXT_TOWERS,
]  # fmt: skip

MODELS = [
    "vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "ijepa", "yolos", "clip", "siglip",
    "siglip_vision_model", "aimv2_vision_model", "radio", "sam_vision_model", "llava", "convnext", "resnet",
    "swin", "pvt", "pvt_v2", "timm_wrapper",
]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_timm(name):
    row = timm_models.row(name)
    assert row.right, row
    assert (row.pool == "cls") == (name in timm_models.WITH_CLASS_TOKEN)


@pytest.mark.parametrize("name", TOWERS)
def test_towers_of_open_clip(name, tmp_path):
    row = clip_models.row(name, tmp_path)
    if name.startswith("a text model of transformers"):
        assert "load that text model by transformers" in row.refusal
        return
    assert row.right, row
    assert (row.pool == "cls") == (name in clip_models.WITH_CLASS_TOKEN)


@pytest.mark.parametrize("kind", MODELS)
def test_models_of_transformers(kind, tmp_path):
    row = transformers_models.row(kind, tmp_path)
    assert row.right, row
    has_one = kind in transformers_models.OTHERS and kind not in transformers_models.SEVERAL_CLASS_TOKENS
    assert (row.pool == "cls") == has_one


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("vit_mae", "depend on the batch or on chance"),
        ("siglip2_vision_model", "does not run on pictures alone .*pixel_attention_mask"),
        ("videomae", "does not run on pictures alone"),
        ("maskformer-swin", "reports no hidden states"),
    ],
)
def test_models_of_transformers_that_are_refused(kind, sentence, tmp_path):
    spec = transformers_models.save(kind, tmp_path)
    with pytest.raises(SpecError, match=f"^{kind}: .*{sentence}"):
        load(resolve(spec, CPU), CPU)


@pytest.mark.parametrize("kind", ["vit", "dinov3_vit", "yolos", "radio"])
def test_mean_over_patches_leaves_other_tokens_out(kind, tmp_path):
    spec = transformers_models.save(kind, tmp_path).replace(pool="mean")
    encoder = load(resolve(spec, CPU), CPU)
    pictures = transformers_models.noise_pictures(encoder.size, 3)
    own = transformers_models.own_features(kind, encoder.model, pictures, len(encoder.layers), "mean")
    for ours, theirs in zip(encoder.encode(pictures).features, own, strict=True):
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["xcit_nano_12_p16_224", "cait_xxs24_224", "pit_ti_224", "volo_d1_224", "convit_tiny", "crossvit_tiny_240"]
)
def test_class_token_that_is_not_in_every_layer_is_no_pool(name):
    """The attribute `cls_token`, or `num_prefix_tokens`, says there is one."""
    spec = small_models.picture(name)
    assert resolve(spec, CPU).pool == "mean"


def test_class_token_that_joins_later_cannot_be_asked_for():
    spec = small_models.picture("xcit_nano_12_p16_224", pool="cls")
    with pytest.raises(SpecError, match="pool=cls does not exist for this vision model"):
        load(resolve(spec, CPU), CPU)


def network(change) -> TimmEncoder:
    """A small transformer of timm with something done to it."""
    import timm

    torch.manual_seed(0)
    model = timm.create_model("test_vit").eval()
    change(model)
    spec = ModelSpec(name="changed", modality="vision", source="timm", id="test_vit", weights="random")
    return TimmEncoder(spec, model, lambda _: torch.zeros(3, 160, 160), (160, 160), CPU)


def test_features_that_depend_on_the_batch_are_refused():
    def mix(model):
        model.blocks[2].register_forward_hook(lambda _module, _args, out: out - out.mean(0, keepdim=True))

    with pytest.raises(SpecError, match=r"changed: a picture's features in block\.2 differ by \d+% of their length"):
        network(mix).check()
    network(lambda _: None).check()


def test_hooks_that_disagree_with_the_library_are_not_read():
    """A network whose forward pass does something else than what its library reports of it."""

    def differ(model):
        plain = model.forward_features
        model.forward_features = lambda pictures: plain(-pictures)

    encoder = network(differ)
    encoder.check()
    assert encoder.facts["layers_read_from"] == "timm's forward_intermediates"
    pictures = torch.randn(3, 3, 160, 160)
    plain = network(lambda _: None)
    plain.check()
    assert plain.facts["layers_read_from"] == "its blocks"
    for ours, theirs in zip(encoder.encode(pictures).features, plain.encode(pictures).features, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("timm.md", timm_models.NETWORKS),
        ("open_clip.md", [*clip_models.PICTURE_TOWERS, *clip_models.TEXT_TOWERS]),
        ("transformers_vision.md", transformers_models.MODELS),
    ],
)
def test_page_has_a_row_for_every_architecture(page, names):
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == list(names)
    if page == "timm.md":
        assert len(names) >= 64


@pytest.mark.slow
def test_pages_of_architectures_are_up_to_date_and_all_are_right_or_refused():
    for name, text in pages():
        assert (DOCS / name).read_text(encoding="utf-8") == text, "run python scripts/check_vision_architectures.py"
        assert "inf" not in text
        numbers = [
            line.split("|")[-3:-1] for line in text.splitlines() if line.startswith("| `") and "refused" not in line
        ]
        assert numbers
        assert all(cell.strip() == "none" for pair in numbers for cell in pair)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in timm_models.NETWORKS if name not in NETWORKS])
def test_all_other_networks_of_timm(name):
    row = timm_models.row(name)
    assert row.right, row
    assert (row.pool == "cls") == (name in timm_models.WITH_CLASS_TOKEN)
    full = resolve(ModelSpec(name=name, modality="vision", source="timm", id=name, weights="random"), CPU)
    assert full.pool == row.pool


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in transformers_models.MODELS if kind not in MODELS])
def test_all_other_models_of_transformers(kind, tmp_path):
    row = transformers_models.row(kind, tmp_path)
    assert row.refusal if kind in transformers_models.REFUSED else row.right, row


@pytest.mark.slow
def test_every_module_of_timm_has_a_network_here():
    import timm
    from timm.models import list_modules

    modules = {timm.model_entrypoint(name).__module__.rsplit(".", 1)[-1] for name in timm_models.NETWORKS}
    assert set(list_modules()) <= modules
