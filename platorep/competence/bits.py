"""Bits per byte of a causal language model over documents, by sliding windows.

The figure is comparable between models with different tokenizers, because it relates the bits of a whole text to its
number of UTF-8 bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from platorep.core.errors import DataError, SpecError
from platorep.extract.batches import Budget, encode_within, pack
from platorep.models.base import Tokens
from platorep.models.language import LanguageEncoder
from platorep.stats.ratios import mean_of_ratios, ratio_of_sums


log = logging.getLogger(__name__)

VERSION = 1
"""Incremented when the numbers change."""

AT_ONCE = 1 << 16
"""Number of tokens whose windows are packed into batches together."""


@dataclass(frozen=True)
class Bits:
    """The bits of documents under one model.

    Attributes:
        bits: bits of every document, shape (n,), float64.
        bytes: UTF-8 bytes of every document, shape (n,).
        tokens: number of text tokens of all documents.
        lossy: number of documents that the tokenizer does not reproduce.
        released: whether the first token is not scored if the tokenizer adds no start token.
    """

    bits: np.ndarray
    bytes: np.ndarray
    tokens: int
    lossy: int
    released: bool

    def per_byte(self) -> tuple[float, float]:
        """Bits per byte with its standard error over documents.

        Total bits over total bytes or, in the convention of the released code, the mean over documents of their ratios.
        """
        return (mean_of_ratios if self.released else ratio_of_sums)(self.bits, self.bytes)


def windows(ids: Sequence[int], prefix: Sequence[int], *, context: int, stride: int) -> Iterator[Tokens]:
    """Windows of a document that score each of its tokens exactly once.

    Each window contains the prefix and `context - 1` text tokens, begins `stride` tokens after the previous window, and
    scores the tokens that no earlier window contains. After the first window, every token is scored given at least
    `context - 1 - stride` other tokens. The number of text tokens does not depend on the prefix, so models with and
    without a start token use contexts of equal length.

    Args:
        ids: the tokens of the document without special tokens; at least one.
        prefix: the beginning of every window: the start token, or nothing.
        context: tokens per window, start token included.
        stride: tokens between the starts of windows, 1 to `context - 1`.
    """
    width, scored = context - 1, 0
    for low in range(0, len(ids), stride):
        high = min(low + width, len(ids))
        window = [*prefix, *ids[low:high]]
        yield Tokens(window, [True] * len(window), [False] * len(prefix) + [at >= scored for at in range(low, high)])
        scored = high
        if high == len(ids):
            return


def document_bits(
    encoder: LanguageEncoder,
    texts: Sequence[str],
    *,
    context: int,
    stride: int,
    budget: Budget,
    released: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Bits:
    """Bits of every document: -log2 p of each token given those before it in its window.

    Every window begins with the start token (the tokenizer's BOS, else its EOS), whether or not the tokenizer adds it.
    The start token is never scored. If the tokenizer has neither, the first token of a document is assumed to be
    uniform over the vocabulary. With `released`, windows begin with the tokens that the tokenizer adds. If it adds
    none, the first token is not scored, as in the paper's released code, which favours tokenizers without a start
    token.

    Args:
        encoder: a causal model that gives probabilities (`encoder.scores`).
        texts: the documents, which must not be empty.
        context: tokens per window, start token included; at most the limit of the model.
        stride: tokens between the starts of windows, 1 to `context - 1`.
        budget: tokens per batch; results depend on it only by rounding.
        released: whether to use the convention of the released code.
        progress: called with the number of documents done and to do.

    Raises:
        SpecError: a window exceeds the limit of the model, or the stride would omit tokens.
        DataError: a document has no tokens.

    Cost: about (context / stride) forward passes over the corpus. Memory: one batch and `LOGITS_AT_ONCE` logits.
    """
    if not 1 <= stride < context:
        raise SpecError(
            f"corpus.stride is {stride}; expected 1 to corpus.context - 1 = {context - 1}, "
            "so that every token is scored."
        )
    limit = encoder.limit(None)
    if limit is not None and context > limit:
        raise SpecError(
            f"{encoder.spec.name} takes {limit} tokens; corpus.context is {context}. "
            f"Set corpus.context={limit} for all models."
        )
    encoder.select("last")
    prefix = own_prefix(encoder.tokenizer) if released else () if encoder.start is None else (encoder.start,)
    which = "bits_released" if released else "bits"
    bits, tokens, lossy = np.zeros(len(texts)), 0, 0
    waiting: list[tuple[int, Tokens]] = []
    size = 0
    for number, text in enumerate(texts):
        ids = encoder.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        if not ids:
            raise DataError(
                f"{encoder.spec.name}: document {number} ({text[:40]!r}) gives no tokens. Leave it out of the corpus."
            )
        lossy += encoder.tokenizer.decode(ids, clean_up_tokenization_spaces=False).strip() != text.strip()
        tokens += len(ids)
        waiting += [(number, window) for window in windows(ids, prefix, context=context, stride=stride)]
        size += len(ids)
        if size >= AT_ONCE or number == len(texts) - 1:
            _score(encoder, waiting, which, budget, bits)
            waiting, size = [], 0
            if progress is not None:
                progress(number + 1, len(texts), "")
    if lossy:
        log.warning(
            "%s: its tokenizer does not reproduce %d of %d documents exactly; the text that it drops costs no bits, so "
            "that its bits per byte are too low.", encoder.spec.name, lossy, len(texts),
        )  # fmt: skip
    return Bits(bits, np.array([len(text.encode()) for text in texts]), tokens, lossy, released)


def own_prefix(tokenizer: Any) -> tuple[int, ...]:
    """The special tokens that a tokenizer adds before a text."""
    encoding = tokenizer("a", return_special_tokens_mask=True)
    special = encoding["special_tokens_mask"]
    return tuple(encoding["input_ids"][: special.index(0)])


def _score(
    encoder: LanguageEncoder, waiting: list[tuple[int, Tokens]], which: str, budget: Budget, bits: np.ndarray
) -> None:
    """Adds the bits of windows to those of their documents in place."""
    for batch in pack([len(tokens) for _, tokens in waiting], budget.tokens):
        longest = len(waiting[batch[0]][1])
        for part, encoded in encode_within(encoder.encode, [waiting[i][1] for i in batch], longest, budget):
            for i, value in zip(batch[part], encoded.scalars[which].tolist(), strict=True):
                bits[waiting[i][0]] += value
