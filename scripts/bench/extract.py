"""Compares the cost of extraction with its bare forward passes and with a plain loop.

Three ways in one run, with the same randomly initialised model and the same inputs:

  platorep   `platorep.extract.extract` into a store: tokenising, packing, pooling, copying, writing (loading apart)
  bare       the model's forward passes over the same batches, already packed and on the device; nothing kept
  plain      pad to the longest, batches of four, every hidden state stacked, every logit made (captions only)

Caption lengths are log-normal with median 18 tokens and 99th percentile 150. No weights are downloaded.

  python scripts/bench/extract.py captions --size 135m --n 256
  python scripts/bench/extract.py pictures --model vit_small_patch16_224 --n 256
  python scripts/bench/extract.py captions --size 7b --n 65536 --device cuda
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from platorep.core.resources import Resources, pick_device
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureStore
from platorep.extract import engine
from platorep.extract.batches import Budget, pack
from platorep.models import Text, TextRules
from platorep.models.base import native_dtype
from platorep.models.language import LanguageEncoder
from platorep.models.vision import TimmEncoder


SIZES = {  # hidden, intermediate, layers, heads, key-value heads, vocabulary
    "tiny": (64, 128, 2, 4, 4, 1000),
    "135m": (576, 1536, 30, 9, 3, 49152),
    "7b": (4096, 11008, 32, 32, 32, 32000),
}
SHARD_ROWS = 256


class Captions:
    """Captions of random lengths, with one word per token."""

    def __init__(self, n: int, vocabulary: int) -> None:
        chance = np.random.default_rng(0)
        sigma = math.log(150 / 18) / 2.326
        lengths = np.clip(np.exp(chance.normal(math.log(18), sigma, n)).round(), 1, 1000).astype(int)
        self.texts = [" ".join(f"w{chance.integers(vocabulary - 2)}" for _ in range(length)) for length in lengths]
        self.samples = Samples([f"s{i}" for i in range(n)], [[text] for text in self.texts])


class Pictures:
    """JPEG files of 500 x 375 pixels."""

    def __init__(self, n: int, folder: Path) -> None:
        chance = np.random.default_rng(0)
        self.files = []
        for i in range(min(n, 64)):
            coarse = Image.fromarray(chance.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            self.files.append(folder / f"{i}.jpg")
            coarse.resize((500, 375)).save(self.files[-1], quality=90)
        self.samples = Samples([f"s{i}" for i in range(n)], [["a picture"]] * n)

    def picture(self, index: int, number: int = 0) -> Image.Image:
        return Image.open(self.files[index % len(self.files)]).convert("RGB")


def llama(size: str, device: torch.device) -> LanguageEncoder:
    hidden, inner, layers, heads, groups, vocabulary = SIZES[size]
    config = LlamaConfig(
        hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=groups, vocab_size=vocabulary, tie_word_embeddings=size != "7b",
        max_position_embeddings=2048, dtype=native_dtype(device),
    )  # fmt: skip
    dtype = getattr(torch, native_dtype(device))
    with torch.device(device):
        torch.set_default_dtype(dtype)
        model = LlamaForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)
    words = {"</s>": 0, "<unk>": 1} | {f"w{i}": i + 2 for i in range(vocabulary - 2)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    spec = ModelSpec(
        name=f"llama_{size}",
        modality="language",
        source="transformers",
        id=size,
        revision="1",
        dtype=native_dtype(device),
    )
    return LanguageEncoder(spec, model, fast, device)


def picture_model(name: str, device: torch.device) -> TimmEncoder:
    dtype = native_dtype(device)
    model = timm.create_model(name).eval().to(device, getattr(torch, dtype))
    data = resolve_model_data_config(model)
    spec = ModelSpec(name=name, modality="vision", source="timm", id=name, revision="1", weights="random", dtype=dtype)
    return TimmEncoder(spec, model, create_transform(**data, is_training=False), tuple(data["input_size"][1:]), device)


def seconds(work, device: torch.device) -> float:
    """Wall time of a piece of work, including the queue of the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def by_platorep(encoder, data, device: torch.device, *, tokens=None, workers=None, bits=True) -> None:
    how = Resources(
        device=str(device), threads=None, tokens=tokens, workers=workers, shard_rows=SHARD_ROWS, compile=False, memory=1
    )
    spec = ExtractSpec(model=encoder.spec, dataset=DatasetSpec(name="bench", source="synthetic", revision="1"))
    engine.load = lambda *_: encoder  # the model is built here instead of loaded
    with tempfile.TemporaryDirectory() as root:
        engine.extract(spec, data, FeatureStore(root), how, bits=bits)


def packed_ids(encoder: LanguageEncoder, data: Captions, budget: int) -> list[torch.Tensor]:
    """The batches of extraction, on the device."""
    made = []
    for start in range(0, len(data.texts), SHARD_ROWS):
        tokens = encoder.tokenize([Text.of(text) for text in data.texts[start : start + SHARD_ROWS]], TextRules())
        for batch in pack([len(one) for one in tokens], budget):
            made.append(encoder._pad([tokens[i] for i in batch])[0])
    return made


@torch.inference_mode()
def bare_captions(encoder: LanguageEncoder, batches: list[torch.Tensor]) -> None:
    for ids in batches:
        encoder.body(input_ids=ids, use_cache=False)


@torch.inference_mode()
def plain_captions(encoder: LanguageEncoder, data: Captions, n: int, longest: int) -> None:
    tokenizer, device = encoder.tokenizer, encoder.device
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"
    for start in range(0, n, 4):
        batch = tokenizer(
            data.texts[start : start + 4], padding="max_length", max_length=longest, return_tensors="pt"
        ).to(device)
        out = encoder.model(batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True)
        states = torch.stack(out.hidden_states).permute(1, 2, 0, 3)
        mask = batch.attention_mask[:, :, None, None]
        ((states * mask).sum(1) / mask.sum(1)).cpu()
        out.logits.float().log_softmax(-1).gather(2, batch.input_ids.unsqueeze(-1)).cpu()


def matrix_flops(device: torch.device) -> float:
    """Operations per second of one large matrix product, where a multiply-add counts as two: the attainable peak."""
    side = 8192 if device.type == "cuda" else 1536
    a = torch.randn(side, side, device=device, dtype=getattr(torch, native_dtype(device)))
    a @ a
    return 2 * side**3 * 10 / seconds(lambda: [a @ a for _ in range(10)], device)


def peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def bench_captions(args, device: torch.device) -> dict:
    encoder, data = llama(args.size, device), Captions(args.n, SIZES[args.size][-1])
    lengths = [text.count(" ") + 1 for text in data.texts]
    tokens = sum(lengths)
    batches = packed_ids(encoder, data, Budget.find(args.tokens, device).tokens)
    bare_captions(encoder, batches[-1:])
    rounds = {"bare": [], "features": [], "features_and_bits": []}
    for _ in range(args.rounds):  # alternating, so that a machine that slows down slows all ways
        rounds["bare"].append(seconds(lambda: bare_captions(encoder, batches), device))
        rounds["features"].append(
            seconds(lambda: by_platorep(encoder, data, device, tokens=args.tokens, bits=False), device)
        )
        rounds["features_and_bits"].append(
            seconds(lambda: by_platorep(encoder, data, device, tokens=args.tokens), device)
        )
    memory = peak_memory(device)
    some = min(args.plain, args.n)
    plain = seconds(lambda: plain_captions(encoder, data, some, max(lengths)), device) * args.n / some
    best = {name: min(times) for name, times in rounds.items()}
    weights = sum(p.numel() for name, p in encoder.body.named_parameters() if "embed" not in name)
    padded = sum(batch.numel() for batch in batches) / tokens
    return {
        "model": encoder.spec.name, "n": args.n, "tokens": tokens, "padded": padded,
        "seconds": best | {"plain": plain},
        "tokens_per_second": {name: tokens / t for name, t in (best | {"plain": plain}).items()},
        "features_to_bare": best["features"] / best["bare"],
        "plain_to_features_and_bits": plain / best["features_and_bits"],
        "peak_memory_gb": memory,
        "model_gb": sum(p.numel() * p.element_size() for p in encoder.model.parameters()) / 1e9,
        "share_of_matrix_throughput": 2 * weights * tokens / best["features"] / matrix_flops(device),
    }  # fmt: skip


@torch.inference_mode()
def bare_pictures(encoder: TimmEncoder, batch: torch.Tensor, n: int) -> None:
    for start in range(0, n, len(batch)):
        encoder.model.forward_features(batch[: n - start])


def bench_pictures(args, device: torch.device) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        encoder, data = picture_model(args.model, device), Pictures(args.n, Path(folder))
        size = max(1, Budget.find(args.tokens, device).tokens // encoder.tokens_each)
        one = encoder.transform(data.picture(0))
        batch = one.repeat(min(size, args.n), 1, 1, 1).to(device, encoder.dtype)
        if encoder.blocks is None:
            batch = batch.contiguous(memory_format=torch.channels_last)
        bare_pictures(encoder, batch, len(batch))
        rounds = {"bare": [], "platorep": []}
        for _ in range(args.rounds):
            rounds["bare"].append(seconds(lambda: bare_pictures(encoder, batch, args.n), device))
            rounds["platorep"].append(
                seconds(lambda: by_platorep(encoder, data, device, tokens=args.tokens, workers=args.workers), device)
            )
        best = {name: min(times) for name, times in rounds.items()}
        decode = seconds(lambda: [encoder.transform(data.picture(i)) for i in range(16)], torch.device("cpu")) / 16
    return {
        "model": args.model, "n": args.n, "batch": len(batch), "seconds": best,
        "pictures_per_second": {k: args.n / t for k, t in best.items()},
        "platorep_to_bare": best["platorep"] / best["bare"], "decode_ms_a_picture": decode * 1e3,
        "peak_memory_gb": peak_memory(device),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["captions", "pictures"])
    parser.add_argument("--size", choices=list(SIZES), default="135m", help="shape of the Llama")
    parser.add_argument("--model", default="vit_small_patch16_224", help="timm architecture")
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument(
        "--plain", type=int, default=16, help="captions that the plain loop runs over; its time is scaled to n"
    )
    parser.add_argument("--rounds", type=int, default=2, help="the fastest counts")
    parser.add_argument("--tokens", type=int, help="token budget of a batch")
    parser.add_argument("--workers", type=int, help="processes that decode pictures")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    device = pick_device(args.device)
    made = (bench_captions if args.what == "captions" else bench_pictures)(args, device)
    print(json.dumps({"device": str(device), "threads": torch.get_num_threads(), **made}, indent=1))


if __name__ == "__main__":
    main()
