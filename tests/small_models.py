"""Small models built from configs and saved to folders: the code paths of the large ones, in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from platorep.core.specs import AssetSpec, ModelSpec


LINES = [
    "A Sumatran tiger.",
    "An adjustable wrench, of steel.",
    "A red square in the upper left.",
    "Ein Bär im Schnee, naïve 猫.",
]


def byte_tokenizer(
    *, specials: tuple[str, ...] = (), adds_bos: bool = False, merges: bool = True, **named: str
) -> PreTrainedTokenizerFast:
    """Byte-level BPE: 256 bytes, the specials, and some merges learnt from a few lines."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(specials) + (40 if merges else 0),
        initial_alphabet=alphabet,
        special_tokens=list(specials),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    if adds_bos:
        bos = named["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def word_tokenizer() -> PreTrainedTokenizerFast:
    """BERT's kind: words, [CLS] and [SEP] around them."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def _language(folder: Path, model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, **more: object) -> ModelSpec:
    with torch.no_grad():  # initial weights are so small that layers would hardly differ
        for weight in model.parameters():
            weight.mul_(4.0) if weight.ndim > 1 else None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    asset = AssetSpec(source="path", id=str(folder))
    return ModelSpec(name=folder.name, modality="language", source="transformers", id=folder.name, asset=asset, **more)


def llama(
    folder: Path, *, seed: int = 0, layers: int = 3, width: int = 32, context: int = 64, **more: object
) -> ModelSpec:
    tokenizer = byte_tokenizer(specials=("<s>", "</s>"), adds_bos=True, bos_token="<s>", eos_token="</s>")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=width * 3 // 2, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=context, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return _language(folder, LlamaForCausalLM(config), tokenizer, **more)


def bloom(folder: Path, **more: object) -> ModelSpec:
    """Adds no start token, has one to give, and pads on the left by its tokenizer's word."""
    tokenizer = byte_tokenizer(
        specials=("<s>", "</s>", "<pad>"), bos_token="<s>", eos_token="</s>", pad_token="<pad>", padding_side="left"
    )
    torch.manual_seed(1)
    config = BloomConfig(vocab_size=len(tokenizer), hidden_size=24, n_layer=2, n_head=3)
    return _language(folder, BloomForCausalLM(config), tokenizer, **more)


def gemma(folder: Path, **more: object) -> ModelSpec:
    """Scales its embeddings, caps its logits, and slides its attention in every other layer."""
    tokenizer = byte_tokenizer(specials=("<bos>", "<eos>"), adds_bos=True, bos_token="<bos>", eos_token="<eos>")
    torch.manual_seed(2)
    config = Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        head_dim=16, num_key_value_heads=1, max_position_embeddings=64, sliding_window=4, final_logit_softcapping=3.0,
    )  # fmt: skip
    return _language(folder, Gemma2ForCausalLM(config), tokenizer, **more)


def bert(folder: Path, **more: object) -> ModelSpec:
    tokenizer = word_tokenizer()
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=32,
    )  # fmt: skip
    return _language(folder, BertModel(config), tokenizer, **more)


def uniform_over_bytes(folder: Path) -> ModelSpec:
    """A vocabulary of the 256 bytes, and output embeddings of zero: every byte costs eight bits."""
    tokenizer = byte_tokenizer(merges=False)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    torch.nn.init.zeros_(model.lm_head.weight)
    return _language(folder, model, tokenizer)


def picture(name: str = "test_vit", **more: object) -> ModelSpec:
    """A small timm model with random weights."""
    return ModelSpec(name=name, modality="vision", source="timm", id=name, weights="random", **more)


def clip(folder: Path, modality: str, **more: object) -> ModelSpec:
    import open_clip

    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 3},
    }
    if not folder.exists():
        torch.manual_seed(4)
        model = open_clip.model.CustomTextCLIP(**config)
        folder.mkdir(parents=True)
        (folder / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": config | {"custom_text": True}, "preprocess_cfg": {}})
        )
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    asset = AssetSpec(source="path", id=str(folder))
    return ModelSpec(name=f"clip_{modality}", modality=modality, source="open_clip", id="small", asset=asset, **more)
