"""Every language architecture of transformers, small and with random weights, through our loader and encoder.

What the encoder says is compared with what the library says of one text at a time, with code that shares nothing with
the encoder: hidden states, whether later tokens change earlier states, and the bits of the model's own logits.
"""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from platorep.core.errors import PlatorepError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import Text, TextRules, load, resolve
from tests.architectures.language_configs import BUILT_AS, OWN, architectures
from tests.architectures.sizes import WORDS, small_config


CPU = torch.device("cpu")

LENGTHS = (3, 11, 17, 11, 5)
"""Tokens of the texts, which all share one batch."""

SAME = 1e-4
"""Largest difference of two vectors, as a share of their length, that counts as rounding in float32."""

VERSIONS = ("transformers", "torch")

COLUMNS = {
    "architecture": "Architecture",
    "kind": "Kind",
    "layers": "Layers",
    "agreement": "To own states",
    "invariance": "By batching",
    "causal": "Causal",
    "batches": "Batches",
    "bits": "Bits",
    "result": "Result",
}


@dataclass(frozen=True)
class Row:
    """What was found of one architecture; numbers are the largest relative differences over texts and layers."""

    architecture: str
    kind: str
    result: str
    layers: int | None = None
    agreement: float | None = None
    invariance: float | None = None
    causal: bool | None = None
    batches: str = ""
    bits: float | None = None

    @property
    def right(self) -> bool:
        return self.result.startswith("right")

    @property
    def refused(self) -> bool:
        return self.result.startswith("refused: ")


def names() -> list[str]:
    """Every architecture, with its kind before it: "decoder/llama"."""
    return [f"{kind}/{name}" for kind, table in architectures().items() for name in table]


def rows(wanted: Sequence[str] = ()) -> Iterator[Row]:
    """What is found of the wanted architectures, or of all."""
    for name in wanted or names():
        yield check(*name.split("/"))


def check(kind: str, name: str) -> Row:
    """Builds an architecture, saves it, loads it as an encoder, and compares."""
    transformers.logging.set_verbosity_error()
    try:
        model = _build(kind, name)
    except Exception as error:
        return Row(name, kind, f"not built small: {type(error).__name__}: {_line(error)}")
    tokenizer = _tokenizer()
    with tempfile.TemporaryDirectory() as folder, _one_tokenizer(tokenizer):
        model.save_pretrained(folder)
        (Path(folder) / "tokenizer.json").write_text("{}")
        spec = ModelSpec(name=name, modality="language", source="transformers", id=name, asset=_asset(folder))
        try:
            encoder = load(resolve(spec, CPU), CPU)
        except PlatorepError as error:
            return Row(name, kind, f"refused: {str(error).replace(folder, 'the folder').removeprefix(f'{name}: ')}")
    return _compared(name, kind, model, encoder)


def _build(kind: str, name: str) -> Any:
    auto = {
        "decoder": transformers.AutoModelForCausalLM,
        "encoder": transformers.AutoModel,
        "encoder-decoder": transformers.AutoModelForSeq2SeqLM,
        "with pictures": transformers.AutoModelForMultimodalLM,
        "dual encoder": transformers.AutoModel,
    }[kind]
    config = small_config(name, OWN.get(name, {}))
    torch.manual_seed(0)
    model = getattr(transformers, BUILT_AS[name])(config) if name in BUILT_AS else auto.from_config(config)
    model.eval()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1 and weight.requires_grad:  # initial weights are so small that layers hardly differ
                weight.mul_(3) if weight.any() else weight.normal_(0, 0.1, generator=random)
        for module in model.modules():
            if isinstance(module, nn.Embedding) and module.padding_idx is not None and module.weight.requires_grad:
                # zero at first, but not in every checkpoint that was trained
                spread = float(module.weight.std())
                module.weight[module.padding_idx] = spread * torch.randn(module.embedding_dim, generator=random)
    return model


def _compared(name: str, kind: str, model: Any, encoder: Any) -> Row:
    ids = [[(i * 37 + seed * 11) % (WORDS - 20) + 10 for i in range(n)] for seed, n in enumerate(LENGTHS)]
    tokens = encoder.tokenize([Text.of(" ".join(f"w{i}" for i in row)) for row in ids], TextRules())
    together = encoder.encode(tokens)
    alone = [encoder.encode([text]) for text in tokens]
    reading = model.get_encoder() if model.config.is_encoder_decoder else _text_tower(model, kind)
    for module in model.modules():
        if hasattr(module, "config"):
            module.config.use_cache = False
    agreement = invariance = 0.0
    bits = 0.0 if "bits" in together.scalars else None
    for i, row in enumerate(ids):
        states, logits = _own(reading, row)
        wanted = [state[0].float().mean(0) for state in states]
        for features, batch in zip(alone[i].features, together.features, strict=True):
            agreement = max(agreement, min(_difference(features[0], state) for state in wanted))
            invariance = max(invariance, _difference(batch[i], features[0]))
        if bits is not None:
            logp = logits[0].float().log_softmax(-1)
            own = -sum(logp[at - 1, row[at]].item() for at in range(1, len(row))) / math.log(2)
            bits = max(bits, abs(together.scalars["bits_released"][i].item() - own) / own)
    causal = _is_causal(reading, ids[2])
    faults = []
    if len(encoder.layers) < 2 or agreement > SAME:
        faults.append("states")
    if invariance > SAME:
        faults.append("batching")
    if causal != encoder.causal:
        faults.append("causality")
    no_bits = encoder.facts.get("bits_per_byte_missing", "")
    if (bits or 0) > SAME or (bits is None and causal and kind in ("decoder", "with pictures") and not no_bits):
        faults.append("bits")
    result = f"wrong: {', '.join(faults)}" if faults else "right"
    return Row(
        name,
        kind,
        f"{result}; no bits: {no_bits}" if causal and no_bits else result,
        layers=len(encoder.layers),
        agreement=agreement,
        invariance=invariance,
        causal=encoder.causal,
        batches={"padded": "any texts", "equal": "one length", "alone": "one text"}[encoder.nature.company],
        bits=bits,
    )


def _text_tower(model: Any, kind: str) -> Any:
    return model.text_model if kind == "dual encoder" and hasattr(model, "text_model") else model


@torch.no_grad()
def _own(reading: Any, ids: list[int]) -> tuple[list[torch.Tensor], torch.Tensor | None]:
    """The library's hidden states and logits of one text; its embedding output too, which some report no state of."""
    embedded: list[torch.Tensor] = []
    tables = [
        module for module in reading.modules() if isinstance(module, nn.Embedding) and len(module.weight) == WORDS
    ]
    handles = [t.register_forward_hook(lambda _module, _args, output: embedded.append(output)) for t in tables]
    masked = "attention_mask" in inspect.signature(reading.forward).parameters
    more = {"attention_mask": torch.ones(1, len(ids), dtype=torch.long)} if masked else {}
    try:
        output = reading(input_ids=torch.tensor([ids]), output_hidden_states=True, **more)
    finally:
        for handle in handles:
            handle.remove()
    states = [state[0] if isinstance(state, tuple) else state for state in output.hidden_states]
    return states + embedded[:1], getattr(output, "logits", None)


def _is_causal(reading: Any, ids: list[int]) -> bool:
    changed = [*ids[:-1], ids[-1] + 1]
    before, after = _own(reading, ids)[0], _own(reading, changed)[0]
    return all(_difference(b[0, :-1], a[0, :-1]) < 1e-5 for a, b in zip(before, after, strict=True))


def _difference(a: torch.Tensor, b: torch.Tensor) -> float:
    if a.shape != b.shape:
        return math.inf
    return float(((a.float() - b.float()).norm(dim=-1) / b.float().norm(dim=-1).clamp(min=1e-9)).max())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def _asset(folder: str) -> AssetSpec:
    return AssetSpec(source="path", id=folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "<video>", "<audio>", "<boi>", "<eoi>"]
    words += [f"w{i}" for i in range(len(words), WORDS)]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


@contextmanager
def _one_tokenizer(tokenizer: PreTrainedTokenizerFast) -> Iterator[None]:
    """One tokenizer for all: transformers would make each architecture's own kind of any vocabulary."""
    with mock.patch.object(transformers.AutoTokenizer, "from_pretrained", return_value=tokenizer):
        yield
