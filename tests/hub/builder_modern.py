"""Repositories of the suites modern_language and modern_vision, laid out like the real ones, with tiny weights.

Which files lie beside the weights is general knowledge of these repositories (Mistral's consolidated copies are in
their listings); the tensors' names are those that transformers saves.
"""

from __future__ import annotations

import json
from typing import Any

import transformers

from tests.hub.builder import GITATTRIBUTES, config_json, llama3, small, weights
from tests.hub.builder_tokenizers import llama_tokenizer, sentencepiece_model, tokenizer_json
from tests.hub.repositories import Files
from tests.small_models import byte_tokenizer


SHAPE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip


def gpt2_tokenizer(end: str = "<|endoftext|>") -> Any:
    """A byte tokenizer without a start token, as Qwen, OLMo, SmolLM and Phi have it."""
    return byte_tokenizer(specials=(end,), eos_token=end, pad_token=end)


def vocabulary_files(tokenizer: Any) -> Files:
    """vocab.json and merges.txt beside tokenizer.json."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in state["merges"]]
    return {
        "vocab.json": json.dumps(state["vocab"]).encode(),
        "merges.txt": "\n".join(["#version: 0.2", *merges]).encode(),
    }


def causal(architecture: str, config: Any, tokenizer: Any, *, shards: int = 2, **files: Any) -> Files:
    """A causal model's repository: config, tokenizer.json, safetensors, and what `files` adds."""
    return {
        **GITATTRIBUTES,
        **config_json(config, architecture),
        **tokenizer_json(tokenizer, tokenizer_class="PreTrainedTokenizerFast"),
        "generation_config.json": b"{}",
        **weights(small(architecture, config), shards=shards),
        **files.pop("more", {}),
    }


def qwen(version: str) -> Files:
    """Qwen/Qwen2.5-*, Qwen/Qwen3-*-Base: no start token, vocab.json and merges.txt as well."""
    tokenizer = gpt2_tokenizer()
    kind = {"qwen2.5": "Qwen2", "qwen3": "Qwen3"}[version]
    shape = {
        **SHAPE,
        "vocab_size": len(tokenizer),
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    config = getattr(transformers, f"{kind}Config")(**shape, **({"head_dim": 8} if version == "qwen3" else {}))
    return causal(f"{kind}ForCausalLM", config, tokenizer, more=vocabulary_files(tokenizer))


def gemma_tokenizer() -> Any:
    return byte_tokenizer(
        specials=("<pad>", "<eos>", "<bos>", "<unk>"), adds_bos=True, bos_token="<bos>", eos_token="<eos>",
        pad_token="<pad>", unk_token="<unk>",
    )  # fmt: skip


def gemma(version: str) -> Files:
    """google/gemma-2-*, google/gemma-3-270m and -1b-pt: both kinds of tokenizer files."""
    tokenizer = gemma_tokenizer()
    shape = {
        **SHAPE,
        "vocab_size": len(tokenizer),
        "head_dim": 16,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    if version == "gemma2":
        name, config = "Gemma2ForCausalLM", transformers.Gemma2Config(**shape, sliding_window=16)
    else:
        name, config = "Gemma3ForCausalLM", transformers.Gemma3TextConfig(**shape, sliding_window=16)
    return causal(name, config, tokenizer, more={"tokenizer.model": sentencepiece_model()})


def gemma3_multimodal() -> Files:
    """google/gemma-3-4b-pt and larger: a vision tower beside the text model, a processor's files."""
    tokenizer = gemma_tokenizer()
    text = {**SHAPE, "vocab_size": len(tokenizer), "head_dim": 16, "sliding_window": 16}
    vision = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16,
        "patch_size": 8,
    }  # fmt: skip
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    more = {"tokenizer.model": sentencepiece_model(), "processor_config.json": b"{}", "preprocessor_config.json": b"{}"}
    return causal("Gemma3ForConditionalGeneration", config, tokenizer, more=more)


def olmo2() -> Files:
    """allenai/OLMo-2-*: a byte tokenizer, norms after attention and feed-forward."""
    tokenizer = gpt2_tokenizer()
    return causal("Olmo2ForCausalLM", transformers.Olmo2Config(**SHAPE, vocab_size=len(tokenizer)), tokenizer)


def smollm(version: str) -> Files:
    """HuggingFaceTB/SmolLM2-* (LLaMA's architecture) and SmolLM3-3B-Base (layers without rotary positions)."""
    tokenizer = gpt2_tokenizer()
    shape = {**SHAPE, "vocab_size": len(tokenizer), "tie_word_embeddings": True}
    if version == "smollm2":
        return causal(
            "LlamaForCausalLM", transformers.LlamaConfig(**shape), tokenizer, more=vocabulary_files(tokenizer)
        )
    config = transformers.SmolLM3Config(**shape, no_rope_layers=[1, 0], pad_token_id=0)
    return causal("SmolLM3ForCausalLM", config, tokenizer)


def mistral_base(*, tekken: bool) -> Files:
    """mistralai/Mistral-7B-v0.3, and Nemo and Small with tekken.json: consolidated copies that must not be fetched."""
    tokenizer = llama_tokenizer()
    config = transformers.MistralConfig(**SHAPE, vocab_size=len(tokenizer), head_dim=8, sliding_window=None)
    more = {"consolidated.safetensors": b"not to be fetched", "params.json": b"{}"}
    more |= {"tekken.json": b"{}"} if tekken else {"tokenizer.model": sentencepiece_model(), "tokenizer.model.v3": b"x"}
    return causal("MistralForCausalLM", config, tokenizer, more=more)


def phi(version: str) -> Files:
    """microsoft/phi-1_5, phi-2 (PhiForCausalLM) and phi-4 (Phi3ForCausalLM)."""
    tokenizer = gpt2_tokenizer()
    if version == "phi-4":
        config = transformers.Phi3Config(
            **SHAPE, vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=0, bos_token_id=0
        )
        return causal("Phi3ForCausalLM", config, tokenizer, more=vocabulary_files(tokenizer))
    config = transformers.PhiConfig(**{**SHAPE, "num_key_value_heads": 4}, vocab_size=len(tokenizer))
    return causal("PhiForCausalLM", config, tokenizer, more=vocabulary_files(tokenizer))


LAYOUTS = {
    "meta-llama/Llama-3": llama3,
    "Qwen/Qwen2.5": lambda: qwen("qwen2.5"),
    "Qwen/Qwen3": lambda: qwen("qwen3"),
    "google/gemma-2": lambda: gemma("gemma2"),
    "google/gemma-3-270m": lambda: gemma("gemma3"),
    "google/gemma-3-1b": lambda: gemma("gemma3"),
    "google/gemma-3": gemma3_multimodal,
    "allenai/OLMo-2": olmo2,
    "HuggingFaceTB/SmolLM2": lambda: smollm("smollm2"),
    "HuggingFaceTB/SmolLM3": lambda: smollm("smollm3"),
    "mistralai/Mistral-7B": lambda: mistral_base(tekken=False),
    "mistralai/Mistral": lambda: mistral_base(tekken=True),
    "microsoft/phi-4": lambda: phi("phi-4"),
    "microsoft/phi": lambda: phi("phi-2"),
}
"""What builds a repository, by the beginning of its id; the first that fits."""


def layout(id: str) -> str:
    """The key of `LAYOUTS` for a repository."""
    return next(start for start in LAYOUTS if id.startswith(start))
