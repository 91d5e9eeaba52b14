"""Placement and rounding of weights: arguments passed to the libraries, and models larger than one device."""

from __future__ import annotations

import importlib.util
from functools import partial

import pytest
import torch
from accelerate import infer_auto_device_map

from platorep.core.errors import SpecError
from platorep.models import Text, TextRules, load, pretrained, resolve
from tests import small_models


CPU = torch.device("cpu")
TEXTS = [Text.of("A Sumatran tiger."), Text.of("steel")]


def encoded(encoder):
    return encoder.encode(encoder.tokenize(TEXTS, TextRules()))


@pytest.mark.parametrize("make", [small_models.llama, small_models.gemma, small_models.bert])
def test_features_do_not_depend_on_a_split_between_memory_and_disk(make, tmp_path, monkeypatch):
    """What device_map="auto" makes of a model that is larger than all memory, here with a limit on the host's."""
    spec = resolve(make(tmp_path / make.__name__), CPU)
    plain = load(spec, CPU)
    size = 4 * plain.facts["parameters"]
    split = infer_auto_device_map(plain.model, {"cpu": size * 6 // 10, "disk": 10 * size})
    assert "disk" in split.values()
    monkeypatch.setattr(pretrained, "_placement", lambda *_: split)
    spread = load(spec, CPU)
    want, got = encoded(plain), encoded(spread)
    assert all(torch.equal(a, b) for a, b in zip(want.features, got.features, strict=True))
    assert all(torch.equal(want.scalars[name], got.scalars[name]) for name in want.scalars)
    assert "disk" in spread.facts["spread_over"]
    assert "spread_over" not in plain.facts
    assert (
        spread.facts["parameters"] == plain.facts["parameters"]
    )  # tied weights are two on the disk, and one model still


@pytest.mark.parametrize(
    ("free", "quantize", "want"),
    [(1000, None, "whole"), (400, None, "auto"), (400, "8bit", "whole"), (60, "8bit", "auto"), (60, "4bit", "whole")],
)
def test_a_model_is_spread_only_where_it_does_not_fit(free, quantize, want, tmp_path, monkeypatch):
    spec = resolve(small_models.llama(tmp_path / "llama"), CPU).replace(dtype="float32", quantize=quantize)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10 * free))
    cuda = torch.device("cuda")
    placed = pretrained._placement(
        spec, lambda: torch.nn.Linear(10, 10, bias=False), cuda
    )  # 400 bytes, or 100 in 8 bits
    assert placed == ("auto" if want == "auto" else {"": cuda})
    assert pretrained._placement(spec, partial(pytest.fail, "a CPU's memory was asked for"), CPU) == {"": CPU}


def test_quantisation_is_part_of_the_key_and_passed_on_with_the_dtype_to_compute_in(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("transformers.BitsAndBytesConfig", dict)
    spec = resolve(small_models.llama(tmp_path / "llama", dtype="bfloat16"), CPU)
    eight, four = spec.replace(quantize="8bit"), spec.replace(quantize="4bit")
    assert len({spec.key(), eight.key(), four.key()}) == 3
    assert pretrained._quantized(spec) == {}
    assert pretrained._quantized(eight) == {"quantization_config": {"load_in_8bit": True}}
    assert pretrained._quantized(four) == {
        "quantization_config": {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.bfloat16}
    }


def test_quantisation_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "bitsandbytes" else find(name, *more)
    )
    spec = resolve(small_models.llama(tmp_path / "llama", quantize="8bit"), CPU)
    with pytest.raises(
        SpecError, match=r"llama-8bit: quantize=8bit needs bitsandbytes: pip install 'platorep\[quant\]'"
    ):
        load(spec, CPU)


def test_untrained_weights_are_not_quantised(tmp_path):
    with pytest.raises(SpecError, match="quantize takes pretrained weights"):
        resolve(small_models.llama(tmp_path / "llama", weights="random", quantize="8bit"), CPU)
