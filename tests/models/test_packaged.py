"""Models of the offline suite from package registries load by their configuration and know what they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from platorep.assets import fetch
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.data.pictures import read_picture
from platorep.models import Text, TextRules, load, resolve


pytestmark = pytest.mark.packaged

CPU = torch.device("cpu")
CONFIGS = Path(__file__).parents[2] / "configs"
TIGER = 292
"""ImageNet's class number of the tiger."""


def encoder_of(name, **changes):
    entry = yaml.safe_load((CONFIGS / "suite" / "offline.yaml").read_text())["models"][name]
    return load(resolve(ModelSpec.from_dict({"name": name, **entry, **changes}), CPU), CPU)


def encoded(encoder, *texts):
    return encoder.encode(encoder.tokenize([Text.of(text) for text in texts], TextRules()))


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_efficientnet_lite_sees_the_tiger(name):
    asset = AssetSpec.from_dict(yaml.safe_load((CONFIGS / "dataset" / "stamps.yaml").read_text())["assets"][0])
    tiger = read_picture(
        fetch(asset) / "usr/share/tuxpaint/stamps/animals/mammals/cats/tiger_sumatran.png", square=True
    )
    encoder = encoder_of(name)
    with torch.inference_mode():
        assert encoder.model(encoder.transform(tiger).unsqueeze(0)).argmax().item() == TIGER


@pytest.mark.parametrize("name", ["minilm_l6", "glove_50d"])
def test_texts_of_like_meaning_are_close(name):
    states = encoded(encoder_of(name), "A tiger in the forest.", "A lion.", "An adjustable wrench.").features[-1]
    tiger, lion, wrench = torch.nn.functional.normalize(states, dim=1)
    assert tiger @ lion > tiger @ wrench + 0.1


def test_smollm2_loads_from_gguf_predicts_english_and_loses_it_by_noise():
    text = "The capital of France is Paris, and the capital of Germany is Berlin."
    scrambled = " ".join(reversed(text.split()))
    encoder = encoder_of("smollm2_135m")
    assert encoder.all_layers[-1] == "block.29.norm"
    assert encoder.facts["parameters"] == 134_515_008
    plain, backwards = encoded(encoder, text, scrambled).scalars["bits"] / len(text)
    noisy = encoded(encoder_of("smollm2_135m", weight_noise=0.3), text).scalars["bits"][0] / len(text)
    assert plain < 1.5 < backwards
    assert plain + 1.5 < noisy
