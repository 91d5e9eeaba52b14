"""Incomplete checkpoints are refused with the name of the tensor; features need no heads or poolers."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from platorep.core.errors import SpecError
from platorep.models import Text, TextRules, load, resolve
from tests import small_models


CPU = torch.device("cpu")
TEXTS = [Text.of("A Sumatran tiger."), Text.of("steel")]


def without(*patterns):
    return lambda state: {k: v for k, v in state.items() if not any(re.search(p, k) for p in patterns)}


def changed(spec, change):
    """The same model with another file of weights."""
    file = f"{spec.asset.id}/model.safetensors"
    save_file({k: v.contiguous() for k, v in change(load_file(file)).items()}, file, metadata={"format": "pt"})
    return resolve(spec, CPU)


def config(spec, **settings):
    file = f"{spec.asset.id}/config.json"
    with open(file) as text:
        values = json.load(text)
    with open(file, "w") as text:
        json.dump(values | settings, text)
    return resolve(spec, CPU)


def encoded(spec):
    encoder = load(spec, CPU)
    return encoder, encoder.encode(encoder.tokenize(TEXTS, TextRules()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: {f"module.{k}": v for k, v in s.items()},
            r"lacks model.embed_tokens.weight and \d+ more.*'module.'",
        ),
        (lambda s: {f"_orig_mod.{k}": v for k, v in s.items()}, r"take the prefix '_orig_mod.' off the names"),
        (without(r"layers\.1\.self_attn\.q_proj"), r"lacks model.layers.1.self_attn.q_proj.weight, which features"),
        (
            without(r"layers\.2\."),
            r"Of the 3 blocks model.layers in config.json it holds 2: the config belongs to another",
        ),
        (without(r"embed_tokens"), r"lacks model.embed_tokens.weight, which features are made of"),
        (without(r"model\.norm"), r"lacks model.norm.weight, which features are made of"),
        (lambda s: {k: v[:, :8] if "q_proj" in k else v for k, v in s.items()}, r"q_proj.weight has shape \(32, 8\)"),
        (
            lambda s: s | {k.replace("layers.2", "layers.3"): v.clone() for k, v in s.items() if "layers.2" in k},
            r"holds a block model.layers.3, but config.json has only 3 blocks",
        ),
        (
            lambda s: s | {"model.layers.0.self_attn.q_proj.bias": torch.ones(32)},
            r"holds model.layers.0.self_attn.q_proj.bias, "
            r"but by config.json model.layers.0.self_attn.q_proj has no bias",
        ),
    ],
)
def test_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, change, message):
    spec = changed(small_models.llama(tmp_path / "llama"), change)
    with pytest.raises(SpecError, match=f"^llama: the checkpoint.*{message}"):
        load(spec, CPU)


def test_config_with_more_layers_than_the_checkpoint_is_refused(tmp_path):
    spec = config(small_models.llama(tmp_path / "llama"), num_hidden_layers=5)
    with pytest.raises(SpecError, match="lacks model.layers.3.*Of the 5 blocks model.layers in config.json it holds 3"):
        load(spec, CPU)


def test_pooler_may_be_missing_because_no_feature_needs_it(tmp_path):
    spec = small_models.bert(tmp_path / "bert")
    _, whole = encoded(resolve(spec, CPU))
    _, rest = encoded(changed(spec, without(r"pooler")))
    assert all(torch.equal(a, b) for a, b in zip(whole.features, rest.features, strict=True))


def test_missing_head_costs_the_bits_and_no_feature(tmp_path):
    spec = config(small_models.llama(tmp_path / "llama"), tie_word_embeddings=False)
    _, whole = encoded(spec)
    encoder, rest = encoded(changed(spec, without(r"lm_head")))
    assert all(torch.equal(a, b) for a, b in zip(whole.features, rest.features, strict=True))
    assert set(whole.scalars) == {"bits", "bits_released"}
    assert rest.scalars == {}
    assert encoder.facts["bits_per_byte_missing"] == "the checkpoint has no output embeddings"


def test_tensors_that_no_architecture_reads_do_no_harm(tmp_path):
    """Old checkpoints hold masks and rotary frequencies; newer ones a block for predicting further tokens."""
    spec = small_models.llama(tmp_path / "llama")
    _, before = encoded(resolve(spec, CPU))
    more = {
        "model.layers.0.self_attn.bias": torch.ones(1, 1, 8, 8),
        "model.layers.0.self_attn.masked_bias": torch.tensor(-1e9),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "model.layers.3.eh_proj.weight": torch.ones(32, 64),
        "model.layers.3.self_attn.q_proj.weight": torch.ones(32, 32),
    }
    _, after = encoded(changed(spec, lambda state: state | more))
    assert all(torch.equal(a, b) for a, b in zip(before.features, after.features, strict=True))
