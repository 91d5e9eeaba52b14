"""Tokenizers' files as model repositories hold them."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

from tests.hub.repositories import Files
from tests.small_models import byte_tokenizer


NOUNS = ("tiger", "wrench", "square", "house", "river", "ship", "tower", "bridge", "field", "mountain", "king", "map")
WORDS = [f"A {adjective} {noun}." for noun in NOUNS for adjective in ("red", "small", "steel", "old")]


def tokenizer_json(tokenizer: Any, *leave_out: str, **config: Any) -> Files:
    """tokenizer.json, tokenizer_config.json and special_tokens_map.json, as model repositories hold them."""
    special = {
        name: getattr(tokenizer, name)
        for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        if getattr(tokenizer, name, None)
    }
    files = {
        "tokenizer.json": tokenizer.backend_tokenizer.to_str().encode(),
        "tokenizer_config.json": json.dumps({**special, **config}).encode(),
        "special_tokens_map.json": json.dumps(special).encode(),
    }
    return {name: content for name, content in files.items() if name not in leave_out}


@cache
def sentencepiece_model(vocabulary: int = 120) -> bytes:
    """A bare `tokenizer.model`: BPE with byte fallback and LLaMA's special tokens."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS * 4), model_writer=model, vocab_size=256 + vocabulary, model_type="bpe",
        byte_fallback=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, character_coverage=1.0, minloglevel=2,
        hard_vocab_limit=False, num_threads=1,
    )  # fmt: skip
    return model.getvalue()


def llama_tokenizer() -> Any:
    """A fast tokenizer that puts <s> first."""
    return byte_tokenizer(
        specials=("<unk>", "<s>", "</s>"), adds_bos=True, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
