"""Text encoders of the BERT family from an ONNX file, written as a folder that the transformers library loads.

Only the weights are read, by the wire format of protocol buffers; the graph is not run. An exporter keeps the names of
weights except those of linear maps: these are the second inputs of matrix products, transposed, and the product's
output is named after the module.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from platorep.core.errors import AssetError


GRAPH, NODE, INITIALISER = 7, 1, 5
"""Fields of a model (graph) and of a graph (nodes, weights)."""

DIMENSIONS, TYPE, NAME, RAW = 1, 2, 8, 9
"""Fields of a weight."""

INPUT, OUTPUT, OPERATOR = 1, 2, 4
"""Fields of a node."""

FLOAT32 = 1
PRODUCT = "/MatMul_output_0"
MODEL = "auto_model"
"""The part of a name after which the module's own name in BertModel begins."""

HEAD_WIDTH = 32
"""Width of an attention head of the MiniLM models; the graph holds it in constants only."""


def write_model(path: Path, tokenizer: Path, folder: Path) -> None:
    """Writes config, float32 weights and tokenizer to a folder in transformers' format.

    Args:
        path: the ONNX file.
        tokenizer: folder of the tokenizer, which the file lacks.
        folder: where to write.

    Raises:
        AssetError: the file is no ONNX file, or holds no BERT with heads of `HEAD_WIDTH`.
    """
    from transformers import AutoTokenizer, BertConfig, BertModel

    weights = read_weights(path)
    try:
        vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
        positions = len(weights["embeddings.position_embeddings.weight"])
        inner = len(weights["encoder.layer.0.intermediate.dense.bias"])
    except KeyError as error:
        raise AssetError(f"{path} holds no BERT: it has no weight {error}.") from error
    layers = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=inner,
        max_position_embeddings=positions,
    )
    config.architectures = ["BertModel"]
    model = BertModel(config)
    # features read no pooler, which the file lacks: zeros spare a warning at every loading
    state = {name: torch.zeros_like(t) for name, t in model.state_dict().items() if name.startswith("pooler.")}
    try:
        model.load_state_dict(state | weights, strict=True)
    except RuntimeError as error:
        raise AssetError(f"{path} holds another architecture than BERT: {error}") from error
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The float32 weights of an ONNX file by their names in BertModel.

    Raises:
        AssetError: the file is no ONNX file, or is cut short.
    """
    raw = path.read_bytes()
    try:
        return _weights(raw)
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise AssetError(
            f"{path} is no ONNX file, or is damaged or cut short at {len(raw)} bytes ({error})."
        ) from error


def _weights(raw: bytes) -> dict[str, torch.Tensor]:
    graph = next(value for field, value in _fields(raw, (0, len(raw))) if field == GRAPH)
    tensors: dict[str, torch.Tensor] = {}
    products: dict[str, str] = {}
    for field, value in _fields(raw, graph):
        if field == INITIALISER:
            name, tensor = _tensor(raw, value)
            if tensor is not None:
                tensors[name] = tensor
        elif field == NODE:
            parts = [(kind, raw[slice(*place)].decode()) for kind, place in _fields(raw, value) if kind <= OPERATOR]
            if (OPERATOR, "MatMul") in parts:
                inputs, outputs = ([text for kind, text in parts if kind == wanted] for wanted in (INPUT, OUTPUT))
                products[inputs[1]] = outputs[0]
    weights = {}
    for name, tensor in tensors.items():
        if name in products:
            module = products[name].removesuffix(PRODUCT).partition(f"{MODEL}/")[2].replace("/", ".")
            weights[f"{module}.weight"] = tensor.T.contiguous()
        elif f"{MODEL}." in name:
            weights[name.partition(f"{MODEL}.")[2]] = tensor
    return weights


def _tensor(raw: bytes, place: tuple[int, int]) -> tuple[str, torch.Tensor | None]:
    """Name and values of a weight; None for one that is not float32, such as the positions."""
    fields = list(_fields(raw, place))
    known = dict(fields)
    name = raw[slice(*known[NAME])].decode()
    if known[TYPE] != FLOAT32 or RAW not in known:
        return name, None
    shape = [value for field, value in fields if field == DIMENSIONS]
    start, stop = known[RAW]
    values = np.frombuffer(raw, "<f4", (stop - start) // 4, start).reshape(shape)
    return name, torch.from_numpy(values.copy())


def _fields(raw: bytes, place: tuple[int, int]) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a message's fields: whole numbers, and places of bytes.

    Raises:
        IndexError: the message is cut short.
        ValueError: a field is of no known kind.
    """
    at, stop = place

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < stop:
        key = number()
        kind = key & 7
        if kind == 0:
            yield key >> 3, number()
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"field of kind {kind}")
        length = number() if kind == 2 else {1: 8, 5: 4}[kind]
        if at + length > stop:
            raise IndexError(f"field of {length} bytes at {at} of {stop}")
        yield key >> 3, (at, at + length)
        at += length
