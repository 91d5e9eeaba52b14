"""Whisper from packaged CTranslate2 files: the weights are loaded into the architecture of transformers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models.degrade import add_weight_noise
from platorep.models.files import fetched, find
from platorep.models.hearing import check_sound_spec
from platorep.models.source import Source
from platorep.models.transformers_sound import TransformersSoundEncoder, shortened
from platorep.models.weights import seeded


VERSION = 6
"""Supported version of the file format."""

TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
"""Types of variables. Weights are read in 32 or 16 bits; 8-bit weights have scales and are refused."""

SECONDS = 30
"""Length of Whisper's input."""


class CTranslate2(Source):
    """The encoder of a Whisper model in CTranslate2's format."""

    modalities = ("sound",)

    def check(self, spec: ModelSpec) -> None:
        super().check(spec)
        check_sound_spec(spec)
        _asset(spec)

    def load(self, spec: ModelSpec, device: torch.device) -> TransformersSoundEncoder:
        from transformers import WhisperFeatureExtractor
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        path = find(fetched(_asset(spec)), "*.bin")
        variables = read_variables(path)
        config = whisper_config(variables, path)
        if spec.weights == "random":
            tower = seeded(spec.seed, lambda: WhisperEncoder(config))
        else:
            tower = WhisperEncoder(config)
            state = {name.removeprefix("model.encoder."): v for name, v in whisper_state(variables).items()}
            tower.load_state_dict({name: v for name, v in state.items() if not name.startswith("model.")}, strict=True)
        if spec.weight_noise:
            add_weight_noise(tower, spec.weight_noise, spec.seed)
        tower.eval().to(device, getattr(torch, spec.dtype))
        processor = WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=SECONDS)
        tower, processor = shortened(spec, tower, processor)
        encoder = TransformersSoundEncoder(spec, tower, processor, device)
        encoder.check()
        return encoder


def _asset(spec: ModelSpec) -> AssetSpec:
    if spec.asset is None:
        raise SpecError(f"{spec.name}: source=ctranslate2 needs an asset with the file model.bin.")
    return spec.asset


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """The variables of a CTranslate2 file by name, mapped from the file.

    Raises:
        AssetError: the file is not in this format, has another version or is truncated.
        SpecError: the file has weights of an unsupported type.
    """
    raw = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    place = 0

    def take(count: int) -> bytes:
        nonlocal place
        if place + count > len(raw):
            raise AssetError(f"{path} is not a CTranslate2 model, or is truncated at {len(raw)} bytes.")
        place += count
        return raw[place - count : place].tobytes()

    def number(kind: str) -> int:
        return struct.unpack(f"<{kind}", take(struct.calcsize(f"<{kind}")))[0]

    def text() -> str:
        return take(number("H"))[:-1].decode(errors="replace")

    if (version := number("I")) != VERSION:
        raise AssetError(f"{path} is in version {version} of CTranslate2's format; expected {VERSION}.")
    text(), number("I")  # the kind of model and its revision
    variables = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind, size = number("B"), number("I")
        if kind not in TYPES:
            raise SpecError(f"{path}: {name} has type {kind}, which is not read; expected float32 or float16.")
        dtype: np.dtype[Any] = np.dtype(TYPES[kind])
        if place + size > len(raw) or dtype.itemsize * int(np.prod(shape)) != size:
            raise AssetError(f"{path}: {name} states {size} bytes for shape {shape}; the file is damaged.")
        variables[name] = np.frombuffer(raw, dtype, int(np.prod(shape)), place).reshape(shape)
        place += size
    return variables


def whisper_config(variables: dict[str, np.ndarray], path: Path) -> Any:
    """Derives the architecture, a WhisperConfig, from the shapes of the variables.

    Raises:
        SpecError: the variables are not those of Whisper, or are stored in 8 bits.
    """
    from transformers import WhisperConfig

    conv = variables.get("encoder/conv1/weight")
    if conv is None or "decoder/embeddings/weight" not in variables:
        raise SpecError(f"{path} holds another model than Whisper, the only one that is read from this format.")
    if conv.dtype.kind != "f":
        raise SpecError(f"{path} holds weights in 8 bits; expected float32 or float16.")

    def layers(side: str) -> int:
        return len({name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_") and "ffn" in name})

    vocabulary, width = variables["decoder/embeddings/weight"].shape
    return WhisperConfig(
        vocab_size=vocabulary,
        num_mel_bins=conv.shape[1],
        d_model=width,
        encoder_layers=layers("encoder"),
        decoder_layers=layers("decoder"),
        encoder_attention_heads=int(variables["encoder/num_heads"]),
        decoder_attention_heads=int(variables["decoder/num_heads"]),
        encoder_ffn_dim=variables["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        decoder_ffn_dim=variables["decoder/layer_0/ffn/linear_0/weight"].shape[0],
        max_source_positions=variables["encoder/position_encodings/encodings"].shape[0],
        pad_token_id=min(50256, vocabulary - 1),  # must be in the vocabulary, and changes no feature
        max_target_positions=variables["decoder/position_encodings/encodings"].shape[0],
    )


def whisper_state(variables: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The float32 state dict of transformers' WhisperForConditionalGeneration, without the tied output projection."""
    state: dict[str, torch.Tensor] = {}
    plain = {
        "conv1": "conv1", "conv2": "conv2", "layer_norm": "layer_norm", "embeddings": "embed_tokens",
        "ffn/linear_0": "fc1", "ffn/linear_1": "fc2", "ffn/layer_norm": "final_layer_norm",
        "self_attention/layer_norm": "self_attn_layer_norm", "attention/layer_norm": "encoder_attn_layer_norm",
        "self_attention/linear_1": "self_attn.out_proj", "attention/linear_2": "encoder_attn.out_proj",
    }  # fmt: skip
    stacked = {
        "self_attention/linear_0": ("self_attn", ("q_proj", "k_proj", "v_proj")),
        "attention/linear_0": ("encoder_attn", ("q_proj",)),
        "attention/linear_1": ("encoder_attn", ("k_proj", "v_proj")),
    }
    leaves = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}
    for name, values in variables.items():
        side, _, rest = name.partition("/")
        layer, _, inner = rest.partition("/") if rest.startswith("layer_") and rest[6].isdecimal() else ("", "", rest)
        place = f"model.{side}." + (f"layers.{layer.removeprefix('layer_')}." if layer else "")
        path, _, leaf = inner.rpartition("/")
        if (path, leaf) == ("position_encodings", "encodings"):
            state[f"{place}embed_positions.weight"] = _tensor(values)
        elif path in plain and leaf in leaves:
            state[f"{place}{plain[path]}.{leaves[leaf]}"] = _tensor(values)
        elif path in stacked:
            attention, parts = stacked[path]
            for part, values_of in zip(parts, np.split(values, len(parts)), strict=True):
                if (part, leaf) != ("k_proj", "bias"):  # Whisper's keys have no bias; the file holds zeros
                    state[f"{place}{attention}.{part}.{leaf}"] = _tensor(values_of)
    return state


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
