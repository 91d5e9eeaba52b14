"""Repositories laid out file by file like those of the Hub, with tiny weights: what `Hub.add` serves.

Each function returns the files of one repository. What a layout copies is said where it matters: which files there are,
how the weights are split and how their tensors are named, what the tokenizer's files leave out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import torch
import transformers
from safetensors.torch import save

from tests.hub.builder_tokenizers import llama_tokenizer, sentencepiece_model, tokenizer_json
from tests.hub.repositories import Files
from tests.small_models import byte_tokenizer, word_tokenizer


GITATTRIBUTES = {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}


def config_json(config: Any, architecture: str, **more: Any) -> Files:
    """The config.json of a model as its authors saved it."""
    values = {**config.to_dict(), "architectures": [architecture], "dtype": "float16", **more}
    return {"config.json": json.dumps(values, default=str).encode()}


def weights(
    model: torch.nn.Module, *, format: str = "safetensors", shards: int = 1, rename: Callable[[str], str] | None = None
) -> Files:
    """A model's tensors in half precision, in one file or in several with an index."""
    state = {name: tensor.detach().half().clone() for name, tensor in model.state_dict().items()}
    tied = getattr(model, "_tied_weights_keys", None) or {}
    if getattr(model.config, "tie_word_embeddings", False):
        state = {name: tensor for name, tensor in state.items() if name not in tied}
    state = {(rename or str)(name): tensor for name, tensor in state.items()}
    stem, ending = ("model", "safetensors") if format == "safetensors" else ("pytorch_model", "bin")
    if shards == 1:
        return {f"{stem}.{ending}": weight_file(state, format)}
    names, files, places = list(state), {}, {}
    for number in range(shards):
        file = f"{stem}-{number + 1:05d}-of-{shards:05d}.{ending}"
        part = {name: state[name] for name in names[number::shards]}
        files[file] = weight_file(part, format)
        places |= dict.fromkeys(part, file)
    size = sum(tensor.nbytes for tensor in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    return {**files, f"{stem}.{ending}.index.json": json.dumps(index).encode()}


def weight_file(state: dict[str, torch.Tensor], format: str) -> bytes:
    if format == "safetensors":
        return save({name: tensor.contiguous() for name, tensor in state.items()}, metadata={"format": "pt"})
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def small(architecture: str, config: Any, seed: int = 0) -> torch.nn.Module:
    """A model of this architecture whose weights are large enough that its layers differ."""
    torch.manual_seed(seed)
    model = getattr(transformers, architecture)(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0) if weight.ndim > 1 else None
    return model


def llama_config(vocabulary: int, layers: int = 2, width: int = 32, **more: Any) -> Any:
    return transformers.LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=48, num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=64, bos_token_id=1, eos_token_id=2, **more,
    )  # fmt: skip


def llama(layers: int = 2, seed: int = 0, shards: int = 2) -> Files:
    """huggyllama/llama-*: safetensors in shards, the same in .bin, tokenizer.json beside tokenizer.model."""
    tokenizer = llama_tokenizer()
    config = llama_config(len(tokenizer), layers)
    model = small("LlamaForCausalLM", config, seed)
    return {
        **GITATTRIBUTES,
        **config_json(config, "LlamaForCausalLM"),
        **tokenizer_json(tokenizer, tokenizer_class="LlamaTokenizer", add_bos_token=True, model_max_length=2048),
        "tokenizer.model": sentencepiece_model(),
        "generation_config.json": b'{"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}',
        **weights(model, shards=shards),
        **weights(model, format="bin", shards=shards),
    }


def open_llama(layers: int = 2, seed: int = 0) -> Files:
    """openlm-research/open_llama_*: no fast tokenizer and no safetensors; rotary buffers among the tensors."""
    vocabulary = 256 + 120
    config = llama_config(vocabulary, layers)
    model = small("LlamaForCausalLM", config, seed)
    for number in range(layers):
        buffer = torch.ones(config.hidden_size // config.num_attention_heads // 2)
        model.model.layers[number].self_attn.register_module("rotary_emb", torch.nn.Module())
        model.model.layers[number].self_attn.rotary_emb.register_buffer("inv_freq", buffer)
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return {
        **GITATTRIBUTES,
        **config_json(config, "LlamaForCausalLM"),
        "tokenizer.model": sentencepiece_model(),
        "tokenizer_config.json": json.dumps(
            {**tokens, "tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False,
             "model_max_length": 2048, "sp_model_kwargs": {}, "clean_up_tokenization_spaces": False}
        ).encode(),
        "special_tokens_map.json": json.dumps(tokens).encode(),
        "generation_config.json": b'{"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}',
        **weights(model, format="bin"),
    }  # fmt: skip


def bloomz(layers: int = 2, seed: int = 0) -> Files:
    """bigscience/bloomz-*: tokenizer.json only, padding on the left, tensors without the prefix `transformer.`."""
    tokenizer = byte_tokenizer(
        specials=("<unk>", "<s>", "</s>", "<pad>"), unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<pad>",
    )  # fmt: skip
    config = transformers.BloomConfig(vocab_size=len(tokenizer), hidden_size=24, n_layer=layers, n_head=3)
    model = small("BloomForCausalLM", config, seed)
    bare = lambda name: name.removeprefix("transformer.")  # noqa: E731
    return {
        **GITATTRIBUTES,
        **config_json(config, "BloomForCausalLM", pad_token_id=3),
        **tokenizer_json(tokenizer, tokenizer_class="BloomTokenizerFast", padding_side="left"),
        **weights(model, rename=bare),
        **weights(model, format="bin", rename=bare),
    }


def opt(layers: int = 2, seed: int = 0, *, projected: bool = False) -> Files:
    """facebook/opt-*: vocab.json and merges.txt, .bin only, tensors named `decoder.`; opt-350m projects embeddings."""
    tokenizer = byte_tokenizer(
        specials=("<s>", "<pad>", "</s>", "<unk>"), bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    )
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in state["merges"]]
    config = transformers.OPTConfig(
        vocab_size=len(tokenizer), hidden_size=32, ffn_dim=48, num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=64, word_embed_proj_dim=16 if projected else 32, do_layer_norm_before=not projected,
        bos_token_id=2, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    model = small("OPTForCausalLM", config, seed)
    return {
        **GITATTRIBUTES,
        **config_json(config, "OPTForCausalLM"),
        "vocab.json": json.dumps(state["vocab"]).encode(),
        "merges.txt": "\n".join(["#version: 0.2", *merges]).encode(),
        "tokenizer_config.json": json.dumps(
            {"errors": "replace", "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>",
             "add_prefix_space": False, "add_bos_token": True, "tokenizer_class": "GPT2Tokenizer"}
        ).encode(),
        "special_tokens_map.json": json.dumps(
            {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
        ).encode(),
        **weights(model, format="bin", rename=lambda name: name.removeprefix("model.")),
    }  # fmt: skip


def olmo(layers: int = 2, seed: int = 0) -> Files:
    """allenai/OLMo-*-hf: safetensors, a GPT-NeoX tokenizer without a start token."""
    tokenizer = byte_tokenizer(
        specials=("<|endoftext|>", "<|padding|>"), eos_token="<|endoftext|>", pad_token="<|padding|>"
    )
    config = transformers.OlmoConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=64, pad_token_id=1, eos_token_id=0,
    )  # fmt: skip
    return {
        **GITATTRIBUTES,
        **config_json(config, "OlmoForCausalLM"),
        **tokenizer_json(tokenizer, tokenizer_class="GPTNeoXTokenizerFast"),
        **weights(small("OlmoForCausalLM", config, seed), shards=2),
    }


def gemma(layers: int = 2, seed: int = 0) -> Files:
    """google/gemma-*: gated; tied embeddings, both kinds of tokenizer files, a GGUF copy that nobody asked for."""
    tokenizer = byte_tokenizer(
        specials=("<pad>", "<eos>", "<bos>", "<unk>"), adds_bos=True, bos_token="<bos>", eos_token="<eos>",
        pad_token="<pad>", unk_token="<unk>",
    )  # fmt: skip
    config = transformers.GemmaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    return {
        **GITATTRIBUTES,
        **config_json(config, "GemmaForCausalLM"),
        **tokenizer_json(tokenizer, tokenizer_class="GemmaTokenizer", add_bos_token=True),
        "tokenizer.model": sentencepiece_model(),
        "gemma.gguf": b"GGUF not to be fetched",
        **weights(small("GemmaForCausalLM", config, seed), shards=2),
    }


def mistral(layers: int = 2, seed: int = 0) -> Files:
    """mistralai/Mistral-7B-v0.1: gated once; safetensors and .bin in shards."""
    tokenizer = llama_tokenizer()
    config = transformers.MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, sliding_window=32,
    )  # fmt: skip
    model = small("MistralForCausalLM", config, seed)
    return {
        **GITATTRIBUTES,
        **config_json(config, "MistralForCausalLM"),
        **tokenizer_json(tokenizer, tokenizer_class="LlamaTokenizer", add_bos_token=True),
        "tokenizer.model": sentencepiece_model(),
        **weights(model, shards=2),
        **weights(model, format="bin", shards=2),
    }


def mixtral(layers: int = 2, seed: int = 0, experts: int = 4) -> Files:
    """mistralai/Mixtral-8x7B-v0.1: three matrices for each expert, and consolidated copies that nobody asks for."""
    tokenizer = llama_tokenizer()
    config = transformers.MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, num_local_experts=experts, num_experts_per_tok=2,
    )  # fmt: skip
    model = small("MixtralForCausalLM", config, seed)
    return {
        **GITATTRIBUTES,
        **config_json(config, "MixtralForCausalLM"),
        **tokenizer_json(tokenizer, tokenizer_class="LlamaTokenizer", add_bos_token=True),
        "tokenizer.model": sentencepiece_model(),
        "consolidated.00.pt": b"not to be fetched",
        **_published_mixtral(model),
    }


def _published_mixtral(model: torch.nn.Module) -> Files:
    """The model's weights under the names of the published checkpoint, which this library joins when it loads them."""
    state: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().half()
        if ".mlp.experts." not in name:
            state[name.replace(".mlp.", ".block_sparse_moe.")] = tensor
            continue
        prefix = name.partition(".mlp.experts.")[0] + ".block_sparse_moe.experts"
        for expert, matrix in enumerate(tensor):
            if "gate_up_proj" in name:
                gate, up = matrix.chunk(2)
                state[f"{prefix}.{expert}.w1.weight"], state[f"{prefix}.{expert}.w3.weight"] = gate.clone(), up.clone()
            else:
                state[f"{prefix}.{expert}.w2.weight"] = matrix.clone()
    half = len(state) // 2
    files, places = {}, {}
    for number, names in enumerate((list(state)[:half], list(state)[half:])):
        file = f"model-{number + 1:05d}-of-00002.safetensors"
        files[file] = weight_file({name: state[name] for name in names}, "safetensors")
        places |= dict.fromkeys(names, file)
    return {**files, "model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": places}).encode()}


def llama3(layers: int = 2, seed: int = 0) -> Files:
    """NousResearch/Meta-Llama-3-*: tokenizer.json only, and the authors' own checkpoint under original/."""
    tokenizer = byte_tokenizer(
        specials=("<|begin_of_text|>", "<|end_of_text|>"), adds_bos=True, bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
    )  # fmt: skip
    config = llama_config(len(tokenizer), layers, num_key_value_heads=2)
    return {
        **GITATTRIBUTES,
        **config_json(config, "LlamaForCausalLM"),
        **tokenizer_json(tokenizer, tokenizer_class="PreTrainedTokenizerFast"),
        "original/consolidated.00.pth": b"not to be fetched",
        "original/params.json": b"{}",
        "original/tokenizer.model": b"not to be read",
        **weights(small("LlamaForCausalLM", config, seed), shards=2),
    }


def pythia(seed: int = 0, layers: int = 2) -> Files:
    """EleutherAI/pythia-*: one commit; branches step1000 … hold others. Rotary and mask buffers among the tensors."""
    tokenizer = byte_tokenizer(specials=("<|endoftext|>",), bos_token="<|endoftext|>", eos_token="<|endoftext|>")
    config = transformers.GPTNeoXConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=64,
    )  # fmt: skip
    model = small("GPTNeoXForCausalLM", config, seed)
    for layer in model.gpt_neox.layers:
        layer.attention.register_buffer("masked_bias", torch.tensor(-1e9))
    return {
        **GITATTRIBUTES,
        **config_json(config, "GPTNeoXForCausalLM"),
        **tokenizer_json(tokenizer, tokenizer_class="GPTNeoXTokenizer"),
        **weights(model),
        **weights(model, format="bin"),
    }


def sentence_transformer(pooling: str = "mean", *, dense: bool = False, prompts: bool = False) -> Files:
    """sentence-transformers/*: modules.json lists Transformer, Pooling, perhaps Dense, and Normalize, a folder each."""
    tokenizer = word_tokenizer()
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=32,
    )  # fmt: skip
    steps = ["", "1_Pooling", *(["2_Dense"] if dense else []), "3_Normalize" if dense else "2_Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": path,
         "type": f"sentence_transformers.models.{path.partition('_')[2] or 'Transformer'}"}
        for i, path in enumerate(steps)
    ]  # fmt: skip
    modes = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "last": "pooling_mode_lasttoken"}
    files = {
        **GITATTRIBUTES,
        **config_json(config, "BertModel"),
        **tokenizer_json(tokenizer, tokenizer_class="BertTokenizer"),
        "vocab.txt": "\n".join(tokenizer.get_vocab()).encode(),
        "modules.json": json.dumps(modules).encode(),
        "sentence_bert_config.json": b'{"max_seq_length": 32, "do_lower_case": false}',
        "1_Pooling/config.json": json.dumps(
            {"word_embedding_dimension": 32, **{word: word == modes[pooling] for word in modes.values()}}
        ).encode(),
        "config_sentence_transformers.json": json.dumps(
            {"prompts": {"query": "query: ", "passage": "passage: "} if prompts else {}, "default_prompt_name": None}
        ).encode(),
        **weights(small("BertModel", config)),
    }
    if dense:
        torch.manual_seed(5)
        layer = torch.nn.Linear(32, 16)
        files["2_Dense/config.json"] = (
            b'{"in_features": 32, "out_features": 16, "bias": true, '
            b'"activation_function": "torch.nn.modules.linear.Identity"}'
        )
        files["2_Dense/model.safetensors"] = save({f"linear.{k}": v.detach() for k, v in layer.state_dict().items()})
    return files
