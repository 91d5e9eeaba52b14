"""Weights of an ONNX file: a small one written here field by field, loaded as transformers' own BertModel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import load, resolve
from platorep.models.base import Text, TextRules
from platorep.models.onnx_weights import read_weights
from tests.small_models import word_tokenizer


CPU = torch.device("cpu")


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def weight(name: str, values: np.ndarray) -> bytes:
    shape = b"".join(field(1, size) for size in values.shape)
    return field(5, shape + field(2, 1) + field(8, name.encode()) + field(9, values.tobytes()))


def product(name: str, module: str) -> bytes:
    output = f"/model/model.0/auto_model/{module.replace('.', '/')}/MatMul_output_0"
    return field(1, field(1, b"before") + field(1, name.encode()) + field(2, output.encode()) + field(4, b"MatMul"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A BERT of two layers, and the file of its weights as an exporter writes it."""
    folder = tmp_path_factory.mktemp("onnx")
    tokenizer = word_tokenizer()
    tokenizer.save_pretrained(folder / "tokenizer")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96
    )
    theirs = BertModel(config, add_pooling_layer=False).eval()
    graph = b""
    for number, (name, values) in enumerate(theirs.state_dict().items()):
        module = name.removesuffix(".weight")
        if values.ndim == 2 and "embeddings" not in name:
            graph += product(f"onnx::MatMul_{number}", module)
            graph += weight(f"onnx::MatMul_{number}", np.ascontiguousarray(values.numpy().T))
        else:
            graph += weight(f"model.0.auto_model.{name}", values.numpy())
    path = folder / "tiny.onnx"
    path.write_bytes(field(1, 8) + field(7, graph))
    return theirs, path, folder / "tokenizer"


def test_linear_maps_are_found_by_the_products_that_they_are_in(exported):
    theirs, path, _ = exported
    weights = read_weights(path)
    state = theirs.state_dict()
    assert weights.keys() == state.keys()
    assert all(torch.equal(weights[name], values) for name, values in state.items())


def test_features_are_those_of_transformers_own_model(exported, tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path))
    theirs, path, tokenizer = exported
    spec = ModelSpec(
        name="bert",
        modality="language",
        source="transformers",
        id="bert",
        asset=AssetSpec(source="path", id=str(path)),
        tokenizer=AssetSpec(source="path", id=str(tokenizer)),
    )
    encoder = load(resolve(spec, CPU), CPU)
    tokens = encoder.tokenize([Text.of("a small tiger")], TextRules())
    with torch.inference_mode():
        states = theirs(torch.tensor([tokens[0].ids]), output_hidden_states=True).hidden_states
    for layer, state in zip(encoder.encode(tokens).features, states, strict=True):
        assert torch.allclose(layer[0], state[0].mean(0), atol=1e-5)
    with pytest.raises(SpecError, match="an ONNX file has no tokenizer; give the model's field tokenizer an asset"):
        load(resolve(spec.replace(tokenizer=None), CPU), CPU)


def test_a_tokenizer_is_part_of_the_key_and_models_without_one_keep_theirs(exported):
    spec = ModelSpec(name="m", modality="language", source="transformers", id="m")
    asset = AssetSpec(source="path", id="words", sha256="0" * 64)
    assert "tokenizer" not in spec.identity()
    assert spec.replace(tokenizer=asset).key() != spec.key()


def test_files_that_are_no_onnx_or_cut_short_are_refused(exported, tmp_path):
    _, path, _ = exported
    other = tmp_path / "other.onnx"
    for raw in (b"\xff" * 40, path.read_bytes()[:-500]):
        other.write_bytes(raw)
        with pytest.raises(AssetError, match="is no ONNX file, or is damaged or cut short at"):
            read_weights(other)
