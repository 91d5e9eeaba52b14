"""The language models of modern_language by exact id and layout, and the smallest vision models of modern_vision."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import yaml

from platorep.config import config_dir
from platorep.core.specs import ModelSpec
from platorep.models import Text, TextRules, load, resolve
from platorep.models.examining import examine_model
from tests.hub import builder_modern, builder_vision
from tests.hub.builder_data import pictures


CPU = torch.device("cpu")
TEXTS = ("A red tiger.", "An old map  with two spaces, and a longer tail.")


def suite(name: str) -> list[ModelSpec]:
    models = yaml.safe_load((config_dir() / "suite" / f"{name}.yaml").read_text())["models"]
    return [ModelSpec.from_dict({"name": key, **entry}) for key, entry in models.items()]


LANGUAGE = [spec for spec in suite("modern_language") if spec.modality == "language"]
FIRST = list({builder_modern.layout(spec.id): spec for spec in reversed(LANGUAGE)}.values())
"""One model of every layout."""


@cache
def files(layout: str) -> dict[str, bytes]:
    return builder_modern.LAYOUTS[layout]()


@pytest.mark.parametrize("spec", FIRST, ids=lambda spec: spec.id)
def test_every_layout_loads_and_gives_states_that_the_texts_beside_do_not_change(hub, spec):
    hub.add(spec.id, files(builder_modern.layout(spec.id)))
    encoder = load(resolve(spec.replace(dtype="float32"), CPU), CPU)
    tokens = encoder.tokenize([Text.of(text) for text in TEXTS], TextRules())
    together = [layer.numpy() for layer in encoder.encode(tokens).features]
    assert len(together) == 3  # the embeddings and two blocks
    alone = [layer.numpy() for layer in encoder.encode(tokens[:1]).features]
    for both, one in zip(together, alone, strict=True):
        assert np.isfinite(both).all()
        np.testing.assert_allclose(both[0], one[0], rtol=1e-3, atol=1e-4)
    assert not hub.asked("consolidated")


def test_doctor_finds_every_model_of_the_suite_and_its_tokenizer(hub):
    for spec in LANGUAGE:
        hub.add(spec.id, files(builder_modern.layout(spec.id)), gated=spec.access == "gated")
    rows = [examine_model(spec, reachable=True) for spec in LANGUAGE]
    assert [row.found for row in rows] == ["gated" if spec.access == "gated" else "yes" for spec in LANGUAGE]
    assert {row.tokenizer for row in rows} == {"tokenizer.json"}
    assert {spec.family for spec, row in zip(LANGUAGE, rows, strict=True) if row.token == "needed"} == {
        "llama3", "gemma2", "gemma3",
    }  # fmt: skip
    for row in rows:
        held = files(builder_modern.layout(row.id)).items()
        assert row.disk == sum(
            len(content) for name, content in held if name.startswith("model") and name.endswith(".safetensors")
        )


SMALL = ("eva02-tiny", "convnextv2-atto", "pe-tiny")


@pytest.mark.parametrize("name", SMALL)
def test_the_smallest_vision_models_load_from_timms_repositories(hub, name):
    (spec,) = [spec for spec in suite("modern_vision") if spec.name == name]
    hub.add(spec.upstream, builder_vision.timm_model(spec.id, bin=True))
    encoder = load(resolve(spec.replace(dtype="float32"), CPU), CPU)
    assert encoder.facts["parameters"] == spec.parameters
    batch = torch.stack([encoder.transform(picture) for picture in pictures(2, side=32)])
    features = encoder.encode(batch).features
    assert all(torch.isfinite(layer).all() for layer in features)
    assert len(features) == len(encoder.layers)
