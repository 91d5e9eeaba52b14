"""The joint space of small open_clip models with random weights."""

from __future__ import annotations

import pytest
import torch

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models import Text, TextRules, load, resolve
from platorep.models.networks import noise_pictures
from tests.architectures import clip_models
from tests.models.test_clip import CPU, spec_of


TEXTS = [Text.of(text) for text in ("a tiger!", "two small green birds on the branch of an old tree")]
TOWERS = [
    ("ViT (CLIP)", "transformer (CLIP)"),
    ("ResNet (CLIP RN50)", "transformer with a class token behind the text (CoCa)"),
    ("timm ViT", "transformer that sees the whole text (SigLIP)"),
    ("timm ConvNeXt", "a text model of transformers (XLM-R CLIP)"),
]


@pytest.mark.parametrize(("pictures", "texts"), TOWERS)
def test_pictures_and_texts_are_those_of_open_clip(pictures, texts, tmp_path, monkeypatch):
    import open_clip

    # one folder with both towers
    monkeypatch.setitem(clip_models.PICTURE_TOWERS, texts, clip_models.PICTURE_TOWERS[pictures])
    path = tmp_path / "clip"
    sides = [
        load(resolve(spec_of(texts, path, modality, pool="joint"), CPU), CPU) for modality in ("vision", "language")
    ]
    torch.manual_seed(0)
    model = sides[0].model
    noise, tokens = noise_pictures(sides[0].size, 3), sides[1].tokenize(TEXTS, TextRules())
    (picture,), (text,) = sides[0].encode(noise).features, sides[1].encode(tokens).features
    with torch.no_grad():
        ids = open_clip.get_tokenizer(f"local-dir:{path}")([text.text for text in TEXTS])
        torch.testing.assert_close(picture, model.encode_image(noise), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(text, model.encode_text(ids), rtol=1e-4, atol=1e-5)
    assert picture.shape[1] == text.shape[1]
    assert sides[0].layers == sides[1].layers == ("joint",)


def test_both_sides_are_of_the_same_weights(tmp_path):
    sides = [
        load(resolve(spec_of("transformer (CLIP)", tmp_path, modality, pool="joint"), CPU), CPU)
        for modality in ("vision", "language")
    ]
    one, other = (side.model.state_dict() for side in sides)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_sources_have_no_joint_space():
    spec = ModelSpec(name="net", modality="vision", source="timm", id="resnet18", pool="joint")
    with pytest.raises(SpecError, match="net: pool=joint is the joint space .* of source=open_clip; got timm"):
        resolve(spec, CPU)


def test_a_joint_space_has_a_key_of_its_own(tmp_path):
    spec = resolve(spec_of("ViT (CLIP)", tmp_path, "vision"), CPU)
    assert spec.replace(pool="joint").key() != spec.key()
