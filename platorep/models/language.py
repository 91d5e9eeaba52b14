"""Language models and text encoders of the transformers library: tokens in, pooled hidden states out.

Hidden states are those that the model reports: the embedding output and the output of every block, where the last one
follows the final norm, if there is one (its name then ends in ".norm"). Texts are always padded on the right. A causal
model does not attend to later tokens and needs no mask; all other models get one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from platorep.core.errors import DataError, SpecError
from platorep.core.specs import GenerateSpec, ModelSpec
from platorep.models.architectures import TextPart, last_states, reported_states
from platorep.models.base import Encoded, Layers, Text, TextRules, Tokens
from platorep.models.continuing import continued, room_for
from platorep.models.hooks import pooled_outputs
from platorep.models.pooling import pool_tokens
from platorep.models.probing import examine, repeatable


log = logging.getLogger(__name__)

LOGITS_AT_ONCE = 1 << 25
"""Largest number of logits in memory at a time: 128 MB in float32."""

COMPANY = {
    "equal": "padding changes a text's states, so that only texts of one length share a batch",
    "alone": "the other texts of a batch change a text's states, so that every text is read alone",
}


class LanguageEncoder(Layers):
    """A causal language model or a text encoder.

    Running the model on short texts (`probing.examine`) determines which modules return its hidden states, whether it
    is causal, which texts can share a batch, and the number of positions.

    Args:
        spec: the resolved spec.
        model: the model, on its device, in evaluation mode; bits are measured for causal models with output embeddings.
        tokenizer: its fast tokenizer.
        device: the device of inputs.
        headless: whether the checkpoint has no output embeddings, so that bits cannot be measured.

    Raises:
        SpecError: the model does not compute hidden states from text alone.
    """

    def __init__(
        self, spec: ModelSpec, model: nn.Module, tokenizer: Any, device: torch.device, *, headless: bool = False
    ) -> None:
        self.spec, self.tokenizer, self.device = spec, tokenizer, device
        part = TextPart.of(model)
        self.pool = "mean" if spec.pool == "auto" else spec.pool
        self.rows = part.vocabulary()
        named = (tokenizer.pad_token_id, tokenizer.eos_token_id)
        self.pad = next((i for i in named if i is not None and i < self.rows), 0)
        self.nature = examine(part, part.ordinary_ids(tokenizer), self.pad, device, spec.name)
        self.blocks, self.causal = self.nature.blocks, self.nature.causal
        self.model = part.modules()
        self.part, self.body = part, part.body
        super().__init__(self.nature.names())
        self.facts |= {"parameters": sum(p.numel() for p in self.model.parameters())}
        if part.label != "model":
            self.facts["part"] = f"the {part.label} of {type(model).__name__}"
        if self.nature.company != "padded":
            self.facts["batches"] = COMPANY[self.nature.company]
            log.warning("%s: %s.", spec.name, COMPANY[self.nature.company])
        self.start, start_name = _start_token(tokenizer, self.rows)
        self.scores = part.head is not None and self._can_score(headless)
        if self.scores:
            self.first = self._first_token()
            self.facts |= {"start_token": start_name}

    def fit(self, texts: Sequence[str]) -> None:
        """Nothing to learn."""

    def tokenize(self, texts: Sequence[Text], rules: TextRules) -> list[Tokens]:
        """Tokenises texts, including the special tokens that the tokenizer adds.

        Raises:
            DataError: a text has no tokens, or is too long and `rules.overlong` is "error".
        """
        limit = self.limit(rules.max_tokens)
        if rules.generated is not None:
            limit = room_for(self, limit, rules.generated)
        tokenised = [self._tokens(text, encoded, rules) for text, encoded in zip(texts, self._ids(texts), strict=True)]
        for i, tokens in enumerate(tokenised):
            if limit is not None and len(tokens) > limit:
                if rules.overlong == "error":
                    raise DataError(
                        f"{self.spec.name}: the text {_short(texts[i].text)!r} has {len(tokens)} tokens; "
                        f"the model takes {limit}. Set overlong=truncate, or shorten it."
                    )
                cut = self._ids([texts[i]], truncation=True, max_length=limit)[0]
                tokenised[i] = self._tokens(texts[i], cut, rules, truncated=True)
        return tokenised

    def encode(self, batch: Sequence[Tokens]) -> Encoded:
        """Pooled states of the kept layers, and the bits of every text if the model gives probabilities.

        Memory: the states of one layer (of all layers if `blocks` is None) and `LOGITS_AT_ONCE` logits, in addition to
            the
        memory of the model itself.
        """
        wanted = self.scores and any(tokens.scored for tokens in batch)
        groups = self._groups(batch)
        if len(groups) == 1:
            return self._encode(batch, bits=wanted)
        parts = [self._encode([batch[i] for i in group], bits=wanted) for group in groups]
        order = torch.tensor([i for group in groups for i in group], device=self.device).argsort()
        features = [torch.cat(layer)[order] for layer in zip(*(part.features for part in parts), strict=True)]
        scalars = {name: torch.cat([part.scalars[name] for part in parts])[order] for name in parts[0].scalars}
        return Encoded(features, scalars)

    def continued(self, batch: Sequence[Tokens], rules: GenerateSpec) -> list[Tokens]:
        """The texts with the tokens that the model continues them with (`models.continuing`), and only these pooled."""
        return continued(self, batch, rules)

    def limit(self, max_tokens: int | None) -> int | None:
        """Largest number of tokens per text: the least of the given number and the limits of model and tokenizer."""
        try:
            stated = getattr(self.part.config, "max_position_embeddings", None)
        except NotImplementedError:  # some configs raise this if there is no limit
            stated = None
        known = [max_tokens, stated, self.nature.positions, self.tokenizer.model_max_length]
        positive = [int(n) for n in known if n is not None and 0 < n < 1 << 40]
        return min(positive, default=None)

    def _groups(self, batch: Sequence[Tokens]) -> list[list[int]]:
        """Groups of indices of texts that can be computed together."""
        if self.nature.company == "padded":
            return [list(range(len(batch)))]
        if self.nature.company == "alone":
            return [[i] for i in range(len(batch))]
        groups: dict[int, list[int]] = {}
        for i, tokens in enumerate(batch):
            groups.setdefault(len(tokens), []).append(i)
        return list(groups.values())

    def _encode(self, batch: Sequence[Tokens], *, bits: bool) -> Encoded:
        ids, mask, pooled = self._pad(batch)

        def pool(hidden: torch.Tensor) -> torch.Tensor:
            if hidden.shape[:2] != pooled.shape:
                raise SpecError(
                    f"{self.spec.name}: {type(self.body).__name__} makes states of shape {tuple(hidden.shape)} of "
                    f"{len(ids)} texts of {ids.shape[1]} tokens, so that they cannot be pooled over the texts' own "
                    "tokens. Shorten the texts (max_tokens), or choose another model."
                )
            return pool_tokens(hidden, pooled.to(hidden.device), self.pool).to(self.device)

        with torch.inference_mode(), repeatable(self.device, self.spec.name):
            features, final = self._states(ids, None if self.causal and self.part.head is not None else mask, pool)
            scalars = self._bits(batch, ids, final) if bits else {}
        return Encoded(features, scalars)

    def _states(
        self, ids: torch.Tensor, mask: torch.Tensor | None, pool: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Pooled states of the kept layers, and the last states of all tokens."""
        if self.blocks is None:
            output = self.part.run(ids, mask, states=True)
            states = reported_states(output)
            return [pool(states[i]) for i in self.kept], last_states(output)
        last = len(self.all_layers) - 1
        hooked = [i for i in self.kept if i < last or not self.nature.normed]
        modules = {self.all_layers[i]: self.blocks[max(i - 1, 0)] for i in hooked}
        with pooled_outputs(modules, pool, inputs=frozenset(["embedding"])) as features:
            final = last_states(self.part.run(ids, mask))
        if last in self.kept and self.nature.normed:
            features[self.all_layers[last]] = pool(final)
        return [features[name] for name in self.layers], final

    def _ids(self, texts: Sequence[Text], **more: Any) -> list[dict[str, Any]]:
        self.tokenizer.truncation_side = "right"
        encoding = self.tokenizer(
            [t.text for t in texts],
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
            padding=False,
            **more,
        )
        names = ("input_ids", "special_tokens_mask", "offset_mapping")
        return [dict(zip(names, row, strict=True)) for row in zip(*(encoding[name] for name in names), strict=True)]

    def _tokens(self, text: Text, encoded: dict[str, Any], rules: TextRules, *, truncated: bool = False) -> Tokens:
        ids = encoded["input_ids"]
        real = [not special for special in encoded["special_tokens_mask"]]
        if not any(real):
            raise DataError(
                f"{self.spec.name}: the text {_short(text.text)!r} gives no tokens. Drop it, or fix the caption."
            )
        prompted = (text.start, text.stop) != (0, len(text.text))
        inside = [
            is_real and (not prompted or (begin < text.stop and end > text.start))
            for is_real, (begin, end) in zip(real, encoded["offset_mapping"], strict=True)
        ]
        stop = text.stop
        if truncated:
            stop = min(
                stop, max(end for is_real, (_, end) in zip(real, encoded["offset_mapping"], strict=True) if is_real)
            )
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

    def _pad(self, batch: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        longest = max(len(tokens) for tokens in batch)
        ids = torch.full((len(batch), longest), self.pad)
        mask = torch.zeros(len(batch), longest, dtype=torch.long)
        pooled = torch.zeros(len(batch), longest, dtype=torch.bool)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens.ids)
            mask[row, : len(tokens)] = 1
            pooled[row, : len(tokens)] = torch.tensor(tokens.pooled)
        if (highest := int(ids.max())) >= self.rows:
            raise DataError(
                f"{self.spec.name}: its tokenizer gives the token {self.tokenizer.convert_ids_to_tokens(highest)!r} "
                f"(id {highest}), but the model has only {self.rows} embeddings. Give the tokenizer that it was "
                "trained with, or leave out the texts that hold this token."
            )
        ids, mask, pooled = (t.to(self.device, non_blocking=True) for t in (ids, mask, pooled))
        return ids, mask, pooled

    def _bits(self, batch: Sequence[Tokens], ids: torch.Tensor, final: torch.Tensor) -> dict[str, torch.Tensor]:
        """Bits of the scored tokens of every text, with and without the first token, which is given the start token."""
        width = ids.shape[1]
        scored = [(row, at) for row, tokens in enumerate(batch) for at, counts in enumerate(tokens.scored) if counts]
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
                target_logits = logits.gather(1, targets[part, None]).squeeze(1)
                bits.index_add_(0, rows[part], (logits.logsumexp(1) - target_logits) / math.log(2))
        first = torch.zeros(len(batch), device=self.device)
        if heads := [row for row, at in scored if at == 0]:
            at = torch.tensor(heads, device=self.device)
            first[at] = -self.first[ids[at, 0]] / math.log(2)
        return {"bits": bits + first, "bits_released": bits}

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        """Float32 logits of states (positions, width)."""
        return self.part.logits(states, self.nature.output)

    def _can_score(self, headless: bool) -> bool:
        """Whether bits can be measured; otherwise logs the reason."""
        if not self.causal:
            reason = "its attention is not causal, so that it predicts no next token"
        elif headless:
            reason = "the checkpoint has no output embeddings"
        elif not self._logits_agree():
            reason = "its logits depend on more than its last states"
        else:
            return True
        log.warning("%s: no bits per byte: %s.", self.spec.name, reason)
        self.facts["bits_per_byte_missing"] = reason
        return False

    def _stated_logits(self) -> torch.Tensor:
        if self.nature.logits is None:
            raise ValueError(f"{self.spec.name} has no head that gives logits")
        return self.nature.logits

    @torch.inference_mode()
    def _logits_agree(self) -> bool:
        """Whether logits computed from the last states equal the logits of the model."""
        wanted = self._stated_logits()[0].float()
        try:
            computed = self._logits(self.nature.final[0])
        except (RuntimeError, AttributeError, TypeError, ValueError, LookupError):
            return False
        if computed.shape != wanted.shape:
            return False
        size = wanted.nan_to_num(0, 0, 0).abs().max().item()  # non-finite values are found when features are written
        return torch.allclose(computed.to(wanted.device), wanted, rtol=0.02, atol=0.02 * size + 1e-6, equal_nan=True)

    @torch.inference_mode()
    def _first_token(self) -> torch.Tensor:
        """Log probabilities of the first token: given the start token, or uniform if the tokenizer has none."""
        if self.start is None:
            width = self._stated_logits().shape[-1]
            return torch.full((width,), -math.log(width), device=self.device)
        final = last_states(self.part.run(torch.tensor([[self.start]], device=self.device), states=True))
        return self._logits(final[0, -1:])[0].to(self.device).log_softmax(0)


def _start_token(tokenizer: Any, rows: int) -> tuple[int | None, str]:
    """The token before a text: the tokenizer's BOS, else its EOS (as in GPT-2), else none."""
    for kind in ("bos", "eos"):
        token = getattr(tokenizer, f"{kind}_token_id")
        if token is not None and token < rows:
            return token, f"{kind} {getattr(tokenizer, f'{kind}_token')}"
    return None, "none: the first token is taken as uniform over the vocabulary"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
