"""Language models and text encoders of the transformers library: tokens in, pooled hidden states out.

Hidden states are the protocol's: the embedding output, every block's output, and the last block's after the final norm
(its name then ends in ".norm"). Texts are padded on the right whatever the tokenizer would do: a causal model cannot
see what comes after, so that it needs no mask there, and encoders get one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from platorep.core.errors import DataError, SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoded, Layers, Text, TextRules, Tokens
from platorep.models.hooks import pooled_outputs
from platorep.models.pooling import pool_tokens


log = logging.getLogger(__name__)

LOGITS_AT_ONCE = 1 << 25
"""Elements of the largest block of logits that is ever held: 128 MB in float32."""


class LanguageEncoder(Layers):
    """A causal language model or a text encoder.

    Args:
        spec: the resolved spec.
        model: the model, on its device, in evaluation mode; one with output embeddings is scored in bits too.
        tokenizer: its fast tokenizer.
        device: where inputs go.
    """

    def __init__(self, spec: ModelSpec, model: nn.Module, tokenizer: Any, device: torch.device) -> None:
        self.spec, self.model, self.tokenizer, self.device = spec, model, tokenizer, device
        self.causal = model.get_output_embeddings() is not None and not model.config.is_encoder_decoder
        self.config = model.config.get_text_config(decoder=True) if self.causal else model.config
        self.body = model.get_decoder() if self.causal else model
        self.pool = "mean" if spec.pool == "auto" else spec.pool
        self.blocks = _blocks(self.body, self.config.num_hidden_layers, spec.name)
        self.pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
        self.start, start_name = _start_token(tokenizer)
        probe = torch.tensor([[self.pad if self.start is None else self.start]], device=device)
        with torch.inference_mode(), pooled_outputs({"last": self.blocks[-1]}, lambda hidden: hidden) as seen:
            final = self._body(probe, None)
        self.normed = not torch.equal(seen["last"].to(final.device), final)
        last = len(self.blocks) - 1
        names = [f"block.{i}" for i in range(last)] + [f"block.{last}.norm" if self.normed else f"block.{last}"]
        super().__init__(("embedding", *names))
        self.facts |= {"parameters": sum(p.numel() for p in model.parameters())}
        self.scores = self.causal and self._heads_agree(probe, final)
        if self.scores:
            self.first = self._first_token(final)
            self.facts |= {"start_token": start_name}

    def fit(self, texts: Sequence[str]) -> None:
        """Nothing to learn."""

    def tokenize(self, texts: Sequence[Text], rules: TextRules) -> list[Tokens]:
        """Token ids of texts, with special tokens where the tokenizer adds them.

        Raises:
            DataError: a text without tokens, or one that is too long where `rules.overlong` is "error".
        """
        limit = self.limit(rules.max_tokens)
        made = [self._tokens(text, encoded, rules) for text, encoded in zip(texts, self._ids(texts), strict=True)]
        for i, tokens in enumerate(made):
            if limit is not None and len(tokens) > limit:
                if rules.overlong == "error":
                    raise DataError(
                        f"{self.spec.name}: the text {_short(texts[i].text)!r} has {len(tokens)} tokens; the model takes {limit}. "
                        "Set overlong=truncate, or shorten it."
                    )
                cut = self._ids([texts[i]], truncation=True, max_length=limit)[0]
                made[i] = self._tokens(texts[i], cut, rules, truncated=True)
        return made

    def encode(self, batch: Sequence[Tokens]) -> Encoded:
        """Pooled states of the kept layers, and the bits of every text where the model gives probabilities and they are wanted.

        Memory: one layer's states and `LOGITS_AT_ONCE` logits beside the model's own working space.
        """
        ids, mask, pooled = self._pad(batch)
        own = {self.all_layers[i]: self.blocks[max(i - 1, 0)] for i in self.kept if i < len(self.all_layers) - 1}

        def pool(hidden: torch.Tensor) -> torch.Tensor:
            return pool_tokens(hidden, pooled.to(hidden.device), self.pool).to(self.device)

        with torch.inference_mode():
            with pooled_outputs(own, pool, inputs=frozenset(["embedding"])) as found:
                final = self._body(ids, None if self.causal else mask)
            if self.all_layers[-1] in self.layers:
                found[self.all_layers[-1]] = pool(final)
            scalars = self._bits(batch, ids, final) if self.scores and any(tokens.scored for tokens in batch) else {}
        return Encoded([found[name] for name in self.layers], scalars)

    def _body(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        more = {"use_cache": False} if self.causal else {"attention_mask": mask}
        return self.body(input_ids=ids, **more).last_hidden_state

    def _ids(self, texts: Sequence[Text], **more: Any) -> list[dict[str, Any]]:
        self.tokenizer.truncation_side = "right"
        made = self.tokenizer(
            [t.text for t in texts],
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
            padding=False,
            **more,
        )
        names = ("input_ids", "special_tokens_mask", "offset_mapping")
        return [dict(zip(names, row, strict=True)) for row in zip(*(made[name] for name in names), strict=True)]

    def _tokens(self, text: Text, encoded: dict[str, Any], rules: TextRules, *, truncated: bool = False) -> Tokens:
        ids = encoded["input_ids"]
        real = [not special for special in encoded["special_tokens_mask"]]
        if not any(real):
            raise DataError(
                f"{self.spec.name}: the text {_short(text.text)!r} gives no tokens. Drop it, or mend the caption."
            )
        prompted = (text.start, text.stop) != (0, len(text.text))
        inside = [
            own and (not prompted or (begin < text.stop and end > text.start))
            for own, (begin, end) in zip(real, encoded["offset_mapping"], strict=True)
        ]
        stop = text.stop
        if truncated:
            stop = min(stop, max(end for own, (_, end) in zip(real, encoded["offset_mapping"], strict=True) if own))
        if not any(inside):
            raise DataError(
                f"{self.spec.name}: no token of the caption is left in {_short(text.text)!r}. Raise max_tokens."
            )
        return Tokens(
            ids=ids,
            pooled=inside if rules.span == "caption" else [True] * len(ids),
            scored=inside if rules.bits and self.scores else (),
            bytes=len(text.text[text.start : stop].encode()),
            truncated=truncated,
        )

    def limit(self, max_tokens: int | None) -> int | None:
        """Most tokens a text may have: the given number, or what the model and its tokenizer take, whichever is least."""
        known = [max_tokens, getattr(self.config, "max_position_embeddings", None), self.tokenizer.model_max_length]
        positive = [int(n) for n in known if n is not None and 0 < n < 1 << 40]
        return min(positive, default=None)

    def _pad(self, batch: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        longest = max(len(tokens) for tokens in batch)
        ids = torch.full((len(batch), longest), self.pad)
        mask = torch.zeros(len(batch), longest, dtype=torch.long)
        pooled = torch.zeros(len(batch), longest, dtype=torch.bool)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens.ids)
            mask[row, : len(tokens)] = 1
            pooled[row, : len(tokens)] = torch.tensor(tokens.pooled)
        return tuple(t.to(self.device, non_blocking=True) for t in (ids, mask, pooled))  # type: ignore[return-value]

    def _bits(self, batch: Sequence[Tokens], ids: torch.Tensor, final: torch.Tensor) -> dict[str, torch.Tensor]:
        """Bits of every text's scored tokens, with the first one given the start token, and without it."""
        width = ids.shape[1]
        scored = [(row, at) for row, tokens in enumerate(batch) for at, own in enumerate(tokens.scored) if own]
        later = [(row, at) for row, at in scored if at > 0]
        bits = torch.zeros(len(batch), device=self.device)
        if later:
            rows = torch.tensor([row for row, _ in later], device=self.device)
            places = torch.tensor([row * width + at for row, at in later], device=self.device)
            states = final.reshape(-1, final.shape[-1])
            targets = ids.flatten()[places]
            step = max(1, LOGITS_AT_ONCE // self.first.numel())
            for low in range(0, len(later), step):
                part = slice(low, low + step)
                logits = self._logits(states[(places[part] - 1).to(states.device)]).to(self.device)
                own = logits.gather(1, targets[part, None]).squeeze(1)
                bits.index_add_(0, rows[part], (logits.logsumexp(1) - own) / math.log(2))
        first = torch.zeros(len(batch), device=self.device)
        if heads := [row for row, at in scored if at == 0]:
            at = torch.tensor(heads, device=self.device)
            first[at] = -self.first[ids[at, 0]] / math.log(2)
        return {"bits": bits + first, "bits_released": bits}

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        """Float32 logits of states (positions, width), with the scaling and capping that some architectures do."""
        head = self.model.get_output_embeddings()
        logits = head(states.to(head.weight.dtype)).float()
        if scale := getattr(self.config, "logit_scale", None):
            logits = logits * scale
        if scale := getattr(self.config, "logits_scaling", None):
            logits = logits / scale
        if cap := getattr(self.config, "final_logit_softcapping", None):
            logits = torch.tanh(logits / cap) * cap
        return logits

    @torch.inference_mode()
    def _heads_agree(self, probe: torch.Tensor, final: torch.Tensor) -> bool:
        """Whether our logits are the model's own: an architecture may do more to them than we know of."""
        want = self.model(input_ids=probe, use_cache=False).logits[0].float()
        got = self._logits(final[0])
        size = want.nan_to_num(0, 0, 0).abs().max().item()  # what is not finite is found when features are written
        if torch.allclose(got.to(want.device), want, rtol=0.02, atol=0.02 * size + 1e-6, equal_nan=True):
            return True
        log.warning(
            "%s: its logits are more than its output embeddings times the last state; bits per byte are left out.",
            self.spec.name,
        )
        self.facts["bits_per_byte_missing"] = "the architecture's logits are not known to platorep"
        return False

    @torch.inference_mode()
    def _first_token(self, final: torch.Tensor) -> torch.Tensor:
        """Log probabilities of a text's first token: given the start token, or uniform where the tokenizer has none."""
        logits = self._logits(final[0, -1:])[0].to(self.device)
        return logits.log_softmax(0) if self.start is not None else torch.full_like(logits, -math.log(len(logits)))


def _start_token(tokenizer: Any) -> tuple[int | None, str]:
    """What comes before a text: the tokenizer's BOS, else its EOS (as in GPT-2), else nothing."""
    for kind in ("bos", "eos"):
        if (found := getattr(tokenizer, f"{kind}_token_id")) is not None:
            return found, f"{kind} {getattr(tokenizer, f'{kind}_token')}"
    return None, "none: the first token is taken as uniform over the vocabulary"


def _blocks(body: nn.Module, count: int, name: str) -> nn.ModuleList:
    for module in body.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise SpecError(
        f"{name}: no list of {count} blocks was found in {type(body).__name__}. Give a causal language model or an encoder "
        "whose blocks are one list."
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
