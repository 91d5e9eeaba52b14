"""Continues texts: the tokens that a causal language model says next, the likeliest or drawn at a temperature."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch

from platorep.core.errors import SpecError
from platorep.core.specs import GenerateSpec, ModelSpec
from platorep.models.architectures import TextPart
from platorep.models.base import Tokens
from platorep.models.probing import Nature


class Speaker(Protocol):
    """What is read of the encoder of a language model."""

    spec: ModelSpec
    part: TextPart
    nature: Nature
    tokenizer: Any
    device: torch.device
    rows: int
    causal: bool


def room_for(encoder: Speaker, limit: int | None, rules: GenerateSpec) -> int | None:
    """The largest number of tokens of a text that leaves room for new ones.

    Raises:
        SpecError: the model does not continue texts, or has no room for a text beside the new tokens.
    """
    if encoder.part.head is None or not encoder.causal:
        raise SpecError(
            f"{encoder.spec.name}: span=generated needs a causal language model with output embeddings. Leave it out "
            "(only=...), or pool its own tokens (span=all)."
        )
    if limit is not None and limit <= rules.tokens:
        raise SpecError(
            f"{encoder.spec.name}: generated.tokens={rules.tokens} leaves no room for the text: the model takes "
            f"{limit} tokens. Lower generated.tokens, or raise max_tokens."
        )
    return None if limit is None else limit - rules.tokens


@torch.inference_mode()
def continued(encoder: Speaker, batch: Sequence[Tokens], rules: GenerateSpec) -> list[Tokens]:
    """Texts with exactly `rules.tokens` more tokens, of which only the new ones are pooled.

    Special tokens of the tokenizer, the end of a text among them, are never taken, so that every text is continued by
    the same number of tokens. An end token that the tokenizer put behind the text is not continued but taken off. At a
    temperature above 0, the token is the largest of logits / temperature plus Gumbel noise, which is a draw from their
    softmax; the noise of a text comes from the seed and its tokens. Texts of one length are computed together.

    Args:
        encoder: a causal language model with a head.
        batch: tokenised texts.
        rules: number, temperature, seed.

    Returns:
        In the order of the batch. Memory: the keys and values of the batch, or that of one run where the model keeps
        none.
    """
    texts = [_open_ended(encoder, tokens) for tokens in batch]
    groups: dict[Any, list[int]] = {}
    for i, text in enumerate(texts):
        groups.setdefault(i if encoder.nature.company == "alone" else len(text), []).append(i)
    longer: dict[int, Tokens] = {}
    banned = sorted({int(i) for i in encoder.tokenizer.all_special_ids if i < encoder.rows})
    for group in groups.values():
        ids = torch.tensor([list(texts[i].ids) for i in group], device=encoder.device)
        new = _generate(encoder, ids, rules, banned).tolist()
        for i, more in zip(group, new, strict=True):
            scored = (*texts[i].scored, *[False] * len(more)) if texts[i].scored else ()
            pooled = [False] * len(texts[i]) + [True] * len(more)
            longer[i] = replace(texts[i], ids=[*texts[i].ids, *more], pooled=pooled, scored=scored)
    return [longer[i] for i in range(len(batch))]


def _open_ended(encoder: Speaker, tokens: Tokens) -> Tokens:
    """The text without an end token behind it."""
    end = encoder.tokenizer.eos_token_id
    if end is None or len(tokens) < 2 or tokens.ids[-1] != end:
        return tokens
    return replace(tokens, ids=tokens.ids[:-1], pooled=tokens.pooled[:-1], scored=tokens.scored[:-1])


def _generate(encoder: Speaker, ids: torch.Tensor, rules: GenerateSpec, banned: list[int]) -> torch.Tensor:
    """New tokens of texts of one length, shape (texts, rules.tokens)."""
    noises = [_noise_source(row, rules.seed) for row in ids.tolist()] if rules.temperature else []
    taken: list[torch.Tensor] = []
    step, kept = ids, None
    for _ in range(rules.tokens):
        output = encoder.part.whole(input_ids=step, past_key_values=kept, use_cache=True)
        logits = output.logits[:, -1, : encoder.rows].float()
        logits[:, banned] = -torch.inf
        if noises:
            gumbel = torch.stack([_gumbel(logits.shape[1], noise) for noise in noises]).to(logits.device)
            logits = logits / rules.temperature + gumbel
        taken.append(logits.argmax(dim=1))
        kept = getattr(output, "past_key_values", None)
        step = taken[-1][:, None] if kept is not None else torch.cat([ids, torch.stack(taken, dim=1)], dim=1)
    return torch.stack(taken, dim=1)


def _noise_source(ids: Sequence[int], seed: int) -> torch.Generator:
    digest = hashlib.sha256(repr((seed, list(ids))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _gumbel(size: int, noise: torch.Generator) -> torch.Tensor:
    uniform = torch.rand(size, generator=noise, dtype=torch.float64).clamp_(min=1e-300)
    return -(-uniform.log()).log().float()
